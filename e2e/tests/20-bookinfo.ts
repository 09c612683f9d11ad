import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { curlFrom } from '../support/curl.ts';
import { containerNames, ingress, manifests } from '../support/mesh.ts';
import { apply, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { podReady, pods, podsReady, readyCount } from '../support/pods.ts';
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

test.serial('a pod that asks for it gets istio-init, and answers as well', async (t) => {
  const deployment = (annotations: Record<string, string>) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'with-init', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'with-init' } },
      template: {
        metadata: { labels: { app: 'with-init' }, annotations },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'curl', image: 'docker.io/lateen/e2e-tools:1', command: ['sleep', 'infinity'] }],
        },
      },
    },
  });
  const asked = deployment({ 'lateen.dev/initContainer': 'true' });
  await apply(asked);
  const [pod] = await podsReady('default', 'app=with-init');
  t.deepEqual(containerNames(pod), ['istio-init', 'istio-proxy', 'curl']);
  const place = { namespace: 'default', pod: pod.metadata.name, container: 'curl' };
  t.is((await curlFrom(place, 'http://ratings:9080/ratings/0')).status, 200);
  await remove(asked);
});
