import test, { type ExecutionContext } from 'ava';
import type { IstioInstallation } from '../../api/installation/istio-installation.ts';
import { Informer } from '../../kube/informer.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import { installations } from '../../operator/installations.ts';
import { LiveObjects } from '../../operator/live-objects.ts';
import { Reconciler } from '../../operator/reconcile.ts';
import { runCommand } from '../main.ts';
import { Terminal } from '../terminal.ts';
import type { World } from '../verb.ts';

async function cluster(t: ExecutionContext) {
  const api = await ObjectServer.start();
  const client = api.client();
  const onError = () => {};
  const known = new Informer<IstioInstallation>(client, installations, { onError });
  const live = new LiveObjects({ client, onError, onChange: (owner) => owner && queue.add(owner) });
  const reconciler = new Reconciler({ client, live, installations: known, log: { info: () => {}, warn: () => {} } });
  const queue = new WorkQueue({ process: (name, signal) => reconciler.reconcile(name, signal), firstBackoffMs: 5 });
  known.on({ add: (_x, key) => queue.add(key), update: (_x, _y, key) => queue.add(key) });
  await Promise.all([known.start().synced, live.start()]);
  queue.start();
  t.teardown(async () => {
    await Promise.all([queue.stop(), known.stop(), live.stop()]);
    await api.stop();
  });
  /** Plays Kubernetes' controllers: whatever is made becomes ready, or not if `refuse` says so. */
  const complete = async (refuse: (name: string) => boolean = () => false) => {
    for (const kind of ['Deployment', 'CustomResourceDefinition', 'MutatingWebhookConfiguration'])
      for (const { metadata } of api.all(kind))
        if (!refuse(metadata.name ?? ''))
          api.change(kind, metadata.name ?? '', (object) => {
            const counts = { replicas: 1, readyReplicas: 1, updatedReplicas: 1, availableReplicas: 1 };
            if (kind === 'Deployment') object.status = { observedGeneration: object.metadata.generation, ...counts };
            if (kind === 'CustomResourceDefinition')
              object.status = { conditions: [{ type: 'Established', status: 'True' }] };
            for (const hook of (object as { webhooks?: Array<{ clientConfig: { caBundle?: string } }> }).webhooks ?? [])
              hook.clientConfig.caBundle = 'Y2E=';
          });
  };
  let said = '';
  let printed = '';
  const world: World = {
    stdout: { write: (text: string) => (printed += text) },
    stdin: { async *[Symbol.asyncIterator]() {} },
    terminal: new Terminal({ write: (text: string) => (said += text) }, { env: {} }),
    env: {},
    signal: new AbortController().signal,
    kube: async () => api.client(),
  };
  return {
    api,
    client,
    complete,
    run: (...words: string[]) => runCommand(words, world),
    said: () => said,
    printed: () => printed,
  };
}

test('install shows a check mark for each part, uninstall takes everything away', async (t) => {
  const { api, complete, run, said } = await cluster(t);
  const installing = run('install', '--set', 'profile=demo', '-y');
  await api.until(() => api.find('Deployment', 'lateen-operator') !== undefined);
  await complete();
  await api.until(
    () =>
      api.find('MutatingWebhookConfiguration', 'istio-sidecar-injector') !== undefined &&
      api.all('Deployment').length === 4,
  );
  await complete();
  t.is(await installing, 0, said());
  t.deepEqual(
    said()
      .split('\n')
      .filter((line) => /^✔|^Made/.test(line)),
    [
      '✔ Operator installed',
      '✔ Istio core installed',
      '✔ Istiod installed',
      '✔ Egress gateways installed',
      '✔ Ingress gateways installed',
      '✔ Installation complete',
      'Made this installation the default for injection and validation.',
    ],
  );
  t.is(await run('uninstall', '--purge', '-y'), 0, said());
  for (const kind of ['Deployment', 'IstioInstallation', 'ClusterRole', 'CustomResourceDefinition', 'Namespace'])
    t.deepEqual(api.all(kind), [], kind);
});

test('a second install of the same revision reconfigures it under its name', async (t) => {
  const { api, client, complete, run, said } = await cluster(t);
  await client.create(installations, {
    apiVersion: 'lateen.dev/v1alpha1',
    kind: 'IstioInstallation',
    metadata: { name: 'mine' },
    spec: { profile: 'minimal', tag: 'old' },
  });
  await api.until(() => api.find('MutatingWebhookConfiguration', 'istio-sidecar-injector') !== undefined);
  const installing = run('install', '--set', 'profile=minimal', '-y');
  await api.until(() => api.find('Deployment', 'lateen-operator') !== undefined);
  await complete();
  await api.until(() => JSON.stringify(api.find('Deployment', 'istiod')?.spec).includes('lateen:0.'));
  await complete();
  t.is(await installing, 0, said());
  t.deepEqual(
    api.all('IstioInstallation').map(({ metadata, spec }) => [metadata.name, spec]),
    [['mine', { profile: 'minimal' }]],
  );
});

test('what does not become ready is named, with what its pods say', async (t) => {
  const { api, client, complete, run, said } = await cluster(t);
  const installing = run('install', '-y', '--readiness-timeout', '3s');
  await api.until(() => api.find('Deployment', 'lateen-operator') !== undefined);
  await complete();
  await api.until(() => api.find('MutatingWebhookConfiguration', 'istio-sidecar-injector') !== undefined);
  await client.create({ apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true }, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'istiod-1', namespace: 'istio-system', labels: { app: 'istiod', istio: 'pilot' } },
    status: { containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } } }] },
  } as never);
  await complete((name) => name === 'istiod');
  t.is(await installing, 1);
  t.regex(said(), /not ready after 3s: istiod \(/);
  t.regex(said(), /istiod-1: ImagePullBackOff: no such image/);
});

test('a bad field ends at once and nothing is sent', async (t) => {
  const { api, run, said } = await cluster(t);
  t.is(await run('install', '--set', 'meshConfig.outboundTrafficPolicy.mode=NO', '-y'), 65);
  t.regex(said(), /spec\.meshConfig\.outboundTrafficPolicy\.mode/);
  t.is(await run('install', '--readiness-timeout', 'soon', '-y'), 64);
  t.is(await run('install'), 64);
  t.deepEqual(api.writes, []);
});

test('dry runs print and change nothing', async (t) => {
  const { api, run, printed } = await cluster(t);
  t.is(await run('install', '--set', 'profile=demo', '--dry-run'), 0);
  t.regex(printed(), /kind: IstioInstallation\n/);
  t.is(await run('uninstall', '--purge', '--dry-run'), 0);
  t.deepEqual(api.writes, []);
});
