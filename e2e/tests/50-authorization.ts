import test from 'ava';
import { curlFrom, tally } from '../support/curl.ts';
import { ingress, meshClient, sample } from '../support/mesh.ts';
import { apply, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { logs, podsReady } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const namespace = 'default';
const policy = sample('bookinfo/security/reviews-viewer.yaml');
const url = 'http://reviews:9080/reviews/0';

test.serial("only productpage's service account may call reviews", async (t) => {
  const client = await meshClient();
  t.is((await curlFrom(client, url)).status, 200);
  await apply(policy, { namespace });
  await waitFor(async () => Object.keys(await tally(client, url, { count: 12 })).join() === '403', {
    what: 'every version to refuse the client',
  });
  const denied = await curlFrom(client, url);
  t.is(denied.status, 403);
  t.is(denied.body, 'RBAC: access denied');
  const gateway = await ingress();
  t.regex((await gateway.page('/productpage')).body, /Reviews served by: reviews-v/);
  await gateway.close();
});

test.serial('the access log names the policy that refused', async (t) => {
  const line = await waitFor(
    async () => {
      for (const pod of await podsReady(namespace, 'app=reviews')) {
        const text = await logs({ namespace, pod: pod.metadata.name, container: 'istio-proxy' }, { tail: 200 });
        const found = text.split('\n').find((each) => / 403 /.test(each) && /rbac_access_denied/.test(each));
        if (found) return found;
      }
      return null;
    },
    { what: 'the access log line' },
  );
  t.log(line);
  t.regex(line, /ns\[default\]-policy\[reviews-viewer\]/);
});

test.after.always('the policy goes again', async () => {
  await remove(policy, { namespace });
});
