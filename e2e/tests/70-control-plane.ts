import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { curlFrom, tally } from '../support/curl.ts';
import { installationName, manifests, meshClient, removeFile } from '../support/mesh.ts';
import { apply } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { pods, rolledOut } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const namespace = 'default';
const url = 'http://ratings:9080/ratings/0';
const headers = { 'end-user': 'jason' };

/** By the installation, since the operator would set right what is scaled by hand. */
async function scaleControlPlane(replicas: number): Promise<void> {
  const patch = JSON.stringify({ spec: { components: { control: { k8s: { replicas } } } } });
  await cluster.kubectl(['patch', 'istioinstallation', await installationName(), '--type=merge', '-p', patch]);
  await waitFor(
    async () => {
      const found = await pods('istio-system', 'app=istiod');
      return (
        found.length === replicas && found.every((pod) => pod.status.containerStatuses?.every(({ ready }) => ready))
      );
    },
    { what: `${replicas} replicas of the control plane` },
  );
}

test.serial(
  'traffic goes on without a control plane, and a change made meanwhile counts after its return',
  async (t) => {
    const client = await meshClient();
    await apply(manifests.destinationRules(), { namespace });
    await scaleControlPlane(0);
    t.deepEqual(await tally(client, url, { count: 200 }), { '200': 200 });
    await apply(manifests.ratingsAbort(), { namespace });
    t.is((await curlFrom(client, url, { headers })).status, 200);
    await scaleControlPlane(1);
    await waitFor(async () => (await curlFrom(client, url, { headers })).status === 500, {
      what: 'the change to count',
      timeoutMs: 60_000,
    });
    t.is((await curlFrom(client, url)).status, 200);
    await removeFile(manifests.ratingsAbort());
  },
);

const maxDraws = 6;
const bothServe = (counts: readonly number[]) => counts.length === 2 && counts.every((count) => count > 0);

/** How many proxies each replica of the control plane serves. */
async function proxiesByReplica(): Promise<number[]> {
  const counts: number[] = [];
  for (const pod of await pods('istio-system', 'app=istiod')) {
    const text = await cluster.kubectl([
      'get',
      '--raw',
      `/api/v1/namespaces/istio-system/pods/${pod.metadata.name}:15014/proxy/debug/syncz`,
    ]);
    counts.push((JSON.parse(text) as unknown[]).length);
  }
  return counts;
}

test.serial('two replicas serve at once', async (t) => {
  await scaleControlPlane(2);
  let counts: number[] = [];
  // The Service draws a replica for each connection: proxies that have all drawn the same one draw again.
  for (let round = 0; round < maxDraws && !bothServe(counts); round++) {
    const names = ['ratings-v1', 'details-v1', 'productpage-v1'];
    await cluster.kubectl(['-n', namespace, 'rollout', 'restart', ...names.map((name) => `deployment/${name}`)]);
    await rolledOut(namespace, names);
    counts = await proxiesByReplica();
  }
  t.true(bothServe(counts), `proxies by replica: ${counts.join(', ')}`);
  t.log(`proxies by replica: ${counts.join(', ')}`);
  t.deepEqual(await tally(await meshClient(), url, { count: 50 }), { '200': 50 });
  await scaleControlPlane(1);
});

test.after.always('the fault goes again', async () => {
  await removeFile(manifests.ratingsAbort());
});
