import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { type Condition, deployFile, type Installation, installationName, readyCondition } from '../support/mesh.ts';
import { apply, get } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

test.serial('an operator and a resource make an installation Ready', async (t) => {
  await apply(deployFile('operator.yaml'));
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd/istioinstallations.lateen.dev', '--timeout=30s']);
  await cluster.kubectl(['-n', 'lateen-operator', 'rollout', 'status', 'deployment/lateen-operator', '--timeout=60s']);
  const begun = Date.now();
  await apply(deployFile('samples/demo.yaml'));
  const name = await installationName();
  await waitFor(async () => (await readyCondition(name))?.status === 'True', {
    what: 'the installation to be Ready',
    timeoutMs: 60_000,
  });
  t.log(`Ready after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  const status = (await get<Installation>('istioinstallation', name))?.status;
  t.deepEqual([...new Set(status?.components?.map((component) => component.status))], ['Ready']);
  t.true(status?.components?.some((component) => component.name === 'istio-ingressgateway'));
  t.is(status?.observedGeneration, 1);
});

test.serial('a Deployment deleted by hand comes back, and the condition tells so meanwhile', async (t) => {
  const name = await installationName();
  const uidOf = async () => (await get('deployment', 'istiod', 'istio-system'))?.metadata.uid;
  const uid = await uidOf();
  const seen: Condition[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const ready = await readyCondition(name);
      if (ready && ready.message !== seen.at(-1)?.message) seen.push(ready);
      await pause(20);
    }
  })();
  const begun = Date.now();
  await cluster.kubectl(['-n', 'istio-system', 'delete', 'deployment/istiod', '--wait=false']);
  await waitFor(async () => ![undefined, uid].includes(await uidOf()), {
    what: 'istiod to be made again',
    timeoutMs: 10_000,
    everyMs: 50,
  });
  t.log(`back after ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  await waitFor(() => seen.some(({ status }) => status === 'False'), {
    what: 'the condition to tell',
    timeoutMs: 10_000,
  });
  await waitFor(async () => (await readyCondition(name))?.status === 'True', { what: 'Ready again' });
  stop.abort();
  await watching;
  const told = seen.find(({ status }) => status === 'False');
  t.log(`${told?.reason}: ${told?.message}`);
  t.regex(told?.message ?? '', /istiod/);
});

test.serial('an idle installation writes nothing', async (t) => {
  const versions = async () =>
    (await cluster.kubectl([
      '-n',
      'istio-system',
      'get',
      'deployments,services,configmaps,serviceaccounts,roles,rolebindings',
      '-o',
      'jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{"\\n"}{end}',
    ])) +
    (await cluster.kubectl([
      'get',
      'istioinstallations,mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,crds',
      '-o',
      'jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{"\\n"}{end}',
    ]));
  const settled = await waitFor(
    async () => {
      const one = await versions();
      await pause(2_000);
      return (await versions()) === one && one;
    },
    { what: 'the installation to settle' },
  );
  await pause(10_000);
  t.is(await versions(), settled);
});
