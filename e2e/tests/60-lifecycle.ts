import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { startLoad } from '../support/load.ts';
import { containerNames, meshClient, sample } from '../support/mesh.ts';
import { apply, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { pods, podsReady, rolledOut } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const namespace = 'default';

test.serial('a Job with the sidecar completes', async (t) => {
  const job = sample('job/job.yaml');
  await apply(job, { namespace });
  await cluster.kubectl(['-n', namespace, 'wait', '--for=condition=Complete', 'job/meshed-job', '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  const [pod] = await pods(namespace, 'job-name=meshed-job');
  t.true(containerNames(pod).includes('istio-proxy'));
  await remove(job, { namespace });
});

test.serial('a pod deleted under load costs no request', async (t) => {
  await cluster.kubectl(['-n', namespace, 'scale', 'deployment/ratings-v1', '--replicas=2']);
  await rolledOut(namespace, ['ratings-v1']);
  const load = await startLoad(await meshClient(), 'http://ratings:9080/ratings/0', { perSecond: 50 });
  await pause(2_000);
  const [pod] = await podsReady(namespace, 'app=ratings');
  await cluster.kubectl(['-n', namespace, 'delete', 'pod', pod.metadata.name]);
  await rolledOut(namespace, ['ratings-v1']);
  await pause(2_000);
  const result = await load.stop();
  t.log(result);
  t.deepEqual(result.failures, []);
  t.deepEqual(Object.keys(result.outcomes), ['200']);
  t.true(result.sent >= 200);
});

test.serial('a rolling restart of reviews costs no request', async (t) => {
  const names = ['reviews-v1', 'reviews-v2', 'reviews-v3'];
  const load = await startLoad(await meshClient(), 'http://reviews:9080/reviews/0', { perSecond: 50 });
  await pause(1_000);
  await cluster.kubectl(['-n', namespace, 'rollout', 'restart', ...names.map((name) => `deployment/${name}`)]);
  await rolledOut(namespace, names);
  await waitFor(async () => (await pods(namespace, 'app=reviews')).length === 3, { what: 'the old pods to be gone' });
  await pause(2_000);
  const result = await load.stop();
  t.log(result);
  t.deepEqual(result.failures, []);
  t.deepEqual(Object.keys(result.outcomes), ['200']);
  t.true(result.sent >= 200);
});

test.after.always('one replica again', async () => {
  await cluster.kubectl(['-n', namespace, 'scale', 'deployment/ratings-v1', '--replicas=1']);
});
