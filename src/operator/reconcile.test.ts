import test, { type ExecutionContext } from 'ava';
import { crdOf } from '../api/crd.ts';
import type { IstioInstallation, IstioInstallationStatus } from '../api/installation/istio-installation.ts';
import { istioInstallation } from '../api/installation/istio-installation.ts';
import type { Kind } from '../api/kind.ts';
import { kinds } from '../api/kinds.ts';
import { Informer } from '../kube/informer.ts';
import {
  type ApiObject,
  configMaps,
  customResourceDefinitions,
  deployments,
  resource,
  services,
} from '../kube/object.ts';
import { ObjectServer } from '../kube/testing/object-server.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import { installations } from './installations.ts';
import { LiveObjects } from './live-objects.ts';
import { Reconciler } from './reconcile.ts';

const virtualServices = resource('networking.istio.io/v1', 'VirtualService', 'virtualservices');

/** The operator without its process: informers, queue and reconciler over a real connection. */
async function operator(t: ExecutionContext) {
  const api = await ObjectServer.start();
  const client = api.client();
  const errors: string[] = [];
  const onError = (error: Error) => errors.push(error.message);
  const known = new Informer<IstioInstallation>(client, installations, { onError });
  const live = new LiveObjects({
    client,
    onError,
    onChange: (owner) => (owner === null ? addAll() : queue.add(owner)),
  });
  const reconciler = new Reconciler({ client, live, installations: known, log: { info: () => {}, warn: () => {} } });
  const queue = new WorkQueue({
    process: (name, signal) => reconciler.reconcile(name, signal),
    firstBackoffMs: 5,
    onError: (_key, error) => onError(error),
  });
  const addAll = () => {
    for (const key of known.keys()) queue.add(key);
  };
  known.on({ add: (_x, key) => queue.add(key), update: (_x, _y, key) => queue.add(key), delete: addAll });
  await Promise.all([known.start().synced, live.start()]);
  queue.start();
  t.teardown(async () => {
    await Promise.all([queue.stop(), known.stop(), live.stop()]);
    await api.stop();
  });

  const status = (name = 'mesh') => api.find('IstioInstallation', name)?.status as IstioInstallationStatus | undefined;
  const condition = (type: string, name = 'mesh') => status(name)?.conditions?.find((each) => each.type === type);
  return {
    api,
    client,
    errors,
    status,
    condition,
    install: (spec: IstioInstallation['spec'] = {}, name = 'mesh') =>
      client.create(installations, {
        apiVersion: 'lateen.dev/v1alpha1',
        kind: 'IstioInstallation',
        metadata: { name },
        spec,
      }),
    respec: async (spec: IstioInstallation['spec'], name = 'mesh') => {
      const found = await client.get(installations, name);
      await client.update(installations, { ...(found as IstioInstallation), spec });
    },
    until: (met: () => boolean) => api.until(met),
    /** Plays the controllers of Kubernetes and the control plane that signs its webhooks. */
    makeReady: () => {
      for (const { metadata } of api.all('Deployment'))
        api.change('Deployment', metadata.name ?? '', (object) => {
          const counts = { replicas: 1, readyReplicas: 1, updatedReplicas: 1, availableReplicas: 1 };
          object.status = { observedGeneration: object.metadata.generation, ...counts };
        });
      for (const { metadata } of api.all('CustomResourceDefinition'))
        api.change('CustomResourceDefinition', metadata.name ?? '', (object) => {
          object.status = { conditions: [{ type: 'Established', status: 'True' }] };
        });
      for (const { metadata } of api.all('MutatingWebhookConfiguration'))
        api.change('MutatingWebhookConfiguration', metadata.name ?? '', (object) => {
          for (const hook of (object as unknown as { webhooks: Array<{ clientConfig: { caBundle?: string } }> })
            .webhooks)
            hook.clientConfig.caBundle = 'Y2E=';
        });
    },
  };
}

type Operator = Awaited<ReturnType<typeof operator>>;

async function installed(t: ExecutionContext, spec: IstioInstallation['spec'] = {}): Promise<Operator> {
  const world = await operator(t);
  await world.install(spec);
  await world.until(() => world.condition('Reconciled')?.status === 'True');
  world.makeReady();
  await world.until(() => world.condition('Ready')?.status === 'True');
  return world;
}

/** Waits until the operator has answered a change that it must not write for: a touched installation is looked at once more. */
async function touched({ client, api }: Operator): Promise<void> {
  await client.patch(installations, 'mesh', undefined, { metadata: { labels: { touched: 'yes' } } });
  // Two more rounds of the event loop of both ends than a reconciliation without a write takes.
  for (let i = 0; i < 2; i++) await client.list(configMaps);
  api.writes.pop();
}

test('an installation gets its objects, its finalizer and, once they are ready, its status', async (t) => {
  const { api, status, condition } = await installed(t);
  t.deepEqual(
    api.all('Deployment').map(({ metadata }) => metadata.name),
    ['istiod', 'istio-ingressgateway'],
  );
  t.deepEqual(api.find('IstioInstallation', 'mesh')?.metadata.finalizers, ['lateen.dev/uninstall']);
  t.is(status()?.state, 'Ready');
  t.is(status()?.observedGeneration, 1);
  t.deepEqual(
    status()?.components?.map(({ kind, status }) => [kind, status]),
    [
      ['Core', 'Ready'],
      ['ControlPlane', 'Ready'],
      ['IngressGateway', 'Ready'],
    ],
  );
  t.is(condition('Degraded')?.status, 'False');
});

test('an idle installation causes no write, nor does a second operator that starts beside it', async (t) => {
  const world = await installed(t);
  world.api.writes.length = 0;
  await touched(world);
  t.deepEqual(world.api.writes, []);

  const live = new LiveObjects({ client: world.client, onError: (error) => t.fail(error.message), onChange: () => {} });
  const known = new Informer<IstioInstallation>(world.client, installations);
  await Promise.all([live.start(), known.start().synced]);
  const second = new Reconciler({
    client: world.client,
    live,
    installations: known,
    log: { info: () => {}, warn: () => {} },
  });
  await second.reconcile('mesh', new AbortController().signal);
  t.deepEqual(world.api.writes, []);
  await Promise.all([live.stop(), known.stop()]);
});

test('a deleted Deployment comes back, and the condition tells of it until it is available', async (t) => {
  const { api, client, condition, until, makeReady } = await installed(t);
  const { uid } = api.find('Deployment', 'istiod')?.metadata ?? {};
  const reasons: string[] = [];
  const watching = new AbortController();
  const told = (async () => {
    const { resourceVersion } = await client.list(installations);
    const options = { resourceVersion, timeoutSeconds: 60, stallMs: 60_000, signal: watching.signal };
    try {
      for await (const { object } of client.watch(installations, options)) {
        const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
        if (ready && reasons.at(-1) !== ready.reason) reasons.push(ready.reason);
        if (reasons.length > 2 && ready?.status === 'True') return;
      }
    } catch (error) {
      if (!watching.signal.aborted) throw error;
    }
  })();
  await client.delete(deployments, 'istiod', 'istio-system');
  await until(
    () => api.find('Deployment', 'istiod') !== undefined && condition('Ready')?.reason === 'ComponentNotReady',
  );
  t.not(api.find('Deployment', 'istiod')?.metadata.uid, uid);
  t.is(condition('Degraded')?.status, 'True');
  makeReady();
  await told;
  watching.abort();
  t.deepEqual(reasons.slice(-3), ['ComponentMissing', 'ComponentNotReady', 'AllComponentsReady']);
});

test('a changed field is set back; a field that others own is left alone', async (t) => {
  const { api, until } = await installed(t);
  api.change('Service', 'istiod', (object) => {
    (object.spec as { ports: Array<{ port: number }> }).ports[0].port = 1;
    (object.spec as { clusterIP?: string }).clusterIP = '10.0.0.1';
  });
  const service = () => api.find('Service', 'istiod')?.spec as { ports: Array<{ port: number }>; clusterIP?: string };
  await until(() => service().ports[0].port === 15_010);
  t.is(service().clusterIP, '10.0.0.1');
});

test('a component that is switched off goes; its namesake that someone else made stays', async (t) => {
  const { api, client, respec, until, status } = await installed(t, { profile: 'demo' });
  const copy = structuredClone(api.find('Service', 'istio-egressgateway')) as ApiObject;
  await client.create(services, {
    ...copy,
    metadata: { name: 'copied', namespace: 'shop', labels: copy.metadata?.labels },
  } as never);
  await respec({ profile: 'demo', components: { egressGateways: [{ name: 'istio-egressgateway', enabled: false }] } });
  await until(
    () =>
      api.find('Deployment', 'istio-egressgateway') === undefined &&
      api.find('Service', 'istio-egressgateway') === undefined,
  );
  await until(() => status()?.observedGeneration === 2);
  t.truthy(api.find('Service', 'copied'));
  t.truthy(api.find('Deployment', 'istio-ingressgateway'));
});

test('an invalid change is refused by a condition that names the field; what runs stays and is still repaired', async (t) => {
  const { api, client, respec, condition, until, status } = await installed(t);
  await respec({ meshConfig: { outboundTrafficPolicy: { mode: 'SOMETIMES' as never } } });
  await until(() => condition('Reconciled')?.status === 'False');
  t.is(condition('Reconciled')?.reason, 'InvalidSpec');
  t.regex(condition('Reconciled')?.message ?? '', /^spec\.meshConfig\.outboundTrafficPolicy\.mode /);
  t.is(status()?.state, 'Failed');
  t.is(condition('Ready')?.status, 'True');
  await client.delete(services, 'istiod', 'istio-system');
  await until(() => api.find('Service', 'istiod') !== undefined);
  await respec({});
  await until(() => condition('Reconciled')?.status === 'True');
});

test('an object of the same name that someone else made is not taken; the condition says so', async (t) => {
  const world = await operator(t);
  const theirs = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: 'theirs' },
  } as const;
  await world.client.create(configMaps, theirs as never);
  await world.install();
  await world.until(() => world.condition('Reconciled')?.reason === 'Conflict');
  t.regex(world.condition('Reconciled')?.message ?? '', /ConfigMap istio-system\/istio exists already/);
  t.is((world.api.find('ConfigMap', 'istio') as unknown as typeof theirs).data.mesh, 'theirs');
});

test('a second revision has a control plane of its own and shares the gateways of the first', async (t) => {
  const world = await installed(t);
  await world.install({ revision: 'canary' }, 'canary');
  await world.until(() => world.condition('Reconciled', 'canary')?.status === 'True');
  world.makeReady();
  await world.until(() => world.condition('Ready', 'canary')?.status === 'True');
  t.deepEqual(
    world.api.all('Deployment').map(({ metadata }) => metadata.name),
    ['istiod', 'istio-ingressgateway', 'istiod-canary'],
  );
  await world.client.delete(installations, 'mesh');
  // The gateway goes with the first and comes back with the second, which its profile gives one too.
  await world.until(() => world.api.find('IstioInstallation', 'mesh') === undefined);
  await world.until(() => world.api.find('Deployment', 'istio-ingressgateway') !== undefined);
  t.truthy(world.api.find('CustomResourceDefinition', 'virtualservices.networking.istio.io'));
  t.deepEqual(
    world.api
      .all('Deployment')
      .map(({ metadata }) => metadata.name)
      .sort(),
    ['istio-ingressgateway', 'istiod-canary'],
  );
});

test('removal takes what the operator and the control plane made, in order, and leaves what users made', async (t) => {
  const { api, client, until } = await installed(t);
  const cm = (name: string, namespace: string) =>
    client.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: {} });
  await cm('istio-ca-root-cert', 'shop');
  await cm('istio-ca-root-cert', 'istio-system');
  await cm('kube-root-ca.crt', 'istio-system');
  await cm('mine', 'shop');
  await client.create(customResourceDefinitions, crdOf(istioInstallation as Kind) as never);
  await client.create(virtualServices, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'cart', namespace: 'shop' },
  });
  api.writes.length = 0;
  await client.delete(installations, 'mesh');
  await until(() => api.find('IstioInstallation', 'mesh') === undefined);

  t.deepEqual(
    api.all('ConfigMap').map(({ metadata }) => metadata.name),
    ['mine'],
  );
  t.deepEqual(api.all('Namespace'), []);
  for (const kind of ['Deployment', 'Service', 'ServiceAccount', 'ClusterRole', 'MutatingWebhookConfiguration'])
    t.deepEqual(api.all(kind), []);
  t.is(api.all('VirtualService').length, 1);
  t.deepEqual(
    api.all('CustomResourceDefinition').map(({ metadata }) => metadata.name),
    ['virtualservices.networking.istio.io', 'istioinstallations.lateen.dev'],
  );
  const order = api.writes.filter((line) => line.startsWith('DELETE')).map((line) => line.split('/').at(-2));
  t.true(order.indexOf('mutatingwebhookconfigurations') < order.indexOf('deployments'));
  t.true(order.indexOf('deployments') < order.indexOf('serviceaccounts'));
  t.true(order.indexOf('serviceaccounts') < order.indexOf('configmaps'));
});

test('a namespace that holds something of a user’s stays, as one does that the operator did not make', async (t) => {
  const { api, client, until } = await installed(t);
  await client.create(services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'mine', namespace: 'istio-system' },
  });
  await client.delete(installations, 'mesh');
  await until(() => api.find('IstioInstallation', 'mesh') === undefined);
  t.is(api.all('Namespace').length, 1);
  t.is(api.all('Service').length, 1);
});

test('an installation that is not the last takes its own namespace along and leaves what the others use', async (t) => {
  const world = await installed(t);
  const { api, client, until } = world;
  await world.install({ profile: 'minimal', revision: 'canary', namespace: 'mesh' }, 'canary');
  await until(() => world.condition('Reconciled', 'canary')?.status === 'True');
  await client.create(configMaps, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-ca-root-cert', namespace: 'mesh' },
  });
  await client.delete(installations, 'canary');
  await until(() => api.find('IstioInstallation', 'canary') === undefined);
  t.deepEqual(
    api.all('Namespace').map(({ metadata }) => metadata.name),
    ['istio-system'],
  );
  t.deepEqual(
    api.all('Deployment').map(({ metadata }) => metadata.name),
    ['istiod', 'istio-ingressgateway'],
  );
  t.is(api.all('CustomResourceDefinition').length, kinds.filter(({ group }) => group.endsWith('.istio.io')).length);
});
