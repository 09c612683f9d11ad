import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { containerNames, ingress, manifests } from '../support/mesh.ts';
import { apply } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { podReady, pods, readyCount } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const services = ['details', 'productpage', 'ratings', 'reviews'];

test.serial("a labelled namespace and Bookinfo's manifest give pods of two ready containers", async (t) => {
  await cluster.kubectl(['label', 'namespace', 'default', 'istio-injection=enabled', '--overwrite']);
  await apply(manifests.bookinfo(), { namespace: 'default' });
  const found = await waitFor(
    async () => {
      const list = (await pods('default')).filter(({ metadata }) => services.includes(metadata.labels?.app ?? ''));
      return list.length === 6 && list.every(podReady) && list;
    },
    { what: 'the six pods of Bookinfo to be ready', timeoutMs: 90_000 },
  );
  for (const pod of found) {
    t.deepEqual(readyCount(pod), { ready: 2, of: 2 }, pod.metadata.name);
    t.true(containerNames(pod).includes('istio-proxy'), pod.metadata.name);
    t.is(pod.metadata.labels?.['security.istio.io/tlsMode'], 'istio');
  }
});

test.serial('productpage answers through the ingress gateway', async (t) => {
  await apply(manifests.gateway(), { namespace: 'default' });
  const gateway = await ingress();
  const page = await waitFor(
    async () => {
      const answer = await gateway.page('/productpage');
      return answer.status === 200 && /Reviews served by/.test(answer.body) && answer;
    },
    { what: 'the page through the gateway', timeoutMs: 30_000 },
  );
  t.regex(page.body, /Book Details/);
  t.regex(page.body, /Reviews served by: reviews-v/);
  t.is((await gateway.page('/not-routed')).status, 404);
  await gateway.close();
});
