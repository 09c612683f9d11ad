import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { curlFrom } from '../support/curl.ts';
import { startLoad } from '../support/load.ts';
import { apply, get, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { podsReady } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

const namespace = 'cluster-smoke';
const server =
  'require("node:http").createServer((request, answer) => answer.end("hello from " + require("node:os").hostname())).listen(8080)';
const objects = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'hello', namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'hello' } },
      template: {
        metadata: { labels: { app: 'hello' } },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [
            {
              name: 'hello',
              image: 'docker.io/lateen/e2e-tools:1',
              command: ['node', '-e', server],
              ports: [{ containerPort: 8080 }],
              readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'hello', namespace },
    spec: { selector: { app: 'hello' }, ports: [{ port: 80, targetPort: 8080 }] },
  },
];

evidenceOnFailure(test);
test.after.always('the namespace is removed', async () => {
  await remove(objects);
});

test('the API answers and every node is there', async (t) => {
  t.is(await cluster.kubectl(['get', '--raw=/readyz']), 'ok');
  for (const name of cluster.nodes) t.truthy(await get('node', name));
});

test('a pod reaches another by the name of its Service', async (t) => {
  await apply(objects);
  await podsReady(namespace, 'app=hello');
  // kube-proxy hears of a ready pod a moment after the pod's status says so.
  const answer = await waitFor(
    async () => {
      const got = await curlFrom({ namespace, selector: 'app=hello' }, `http://hello.${namespace}`);
      return got.status === 200 && got;
    },
    { what: 'hello to answer', timeoutMs: 10_000 },
  );
  t.regex(answer.body, /^hello from hello-/);
});

test('the test process reaches a Service', async (t) => {
  const forward = await cluster.forward({ namespace, service: 'hello', port: 80 });
  try {
    const answer = await fetch(forward.url);
    t.regex(await answer.text(), /^hello from hello-/);
  } finally {
    await forward.close();
  }
});

test('a Service stands a steady load', async (t) => {
  const load = await startLoad({ namespace, selector: 'app=hello' }, `http://hello.${namespace}`, { perSecond: 100 });
  await setTimeout(1_000);
  const { outcomes, sent } = await load.stop();
  t.deepEqual(outcomes, { 200: sent });
  t.true(sent >= 50, `${sent} sent`);
});

test('a name outside of the cluster does not resolve', async (t) => {
  const answer = await curlFrom({ namespace, selector: 'app=hello' }, 'http://example.com', { timeoutMs: 3_000 });
  if (cluster.provider === 'local') t.is(answer.exitCode, 6, answer.error);
  else t.pass('other clusters may have a way out');
});
