import test from 'ava';
import { configMaps, endpointSlices, pods, resource, services } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { KubernetesSource } from './kubernetes.ts';
import type { ChangeScope } from './source.ts';

const virtualServices = resource('networking.istio.io/v1', 'VirtualService', 'virtualservices');
const virtualService = (host: string) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: { hosts: ['cart'], http: [{ route: [{ destination: { host } }] }] },
});

async function watching(t: { teardown(run: () => unknown): void; fail(message: string): void }) {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  const source = new KubernetesSource({
    client,
    namespace: 'istio-system',
    meshConfigMap: 'istio',
    injectorConfigMap: 'istio-sidecar-injector',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    onError: (kind, error) => t.fail(`${kind}: ${error.message}`),
  });
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  const scopes: ChangeScope[] = [];
  const waiting: Array<() => void> = [];
  const start = () =>
    source.start((scope) => {
      scopes.push(scope);
      for (const look of [...waiting]) look();
    }, ending.signal);
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (holds()) resolve();
      };
      waiting.push(look);
      look();
    });
  return { client, source, scopes, start, until };
}

test('what is there at the start is there when it has started', async (t) => {
  const { client, source, start } = await watching(t);
  const mesh = JSON.stringify({ trustDomain: 'corp' });
  const map = (name: string, data: Record<string, string>) =>
    client.create(configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'istio-system' },
      data,
    });
  await map('istio', { mesh });
  await map('istio-sidecar-injector', { values: '{}' });
  await map('other', { large: 'x' });
  await client.create(virtualServices, virtualService('cart'));
  await client.create(services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'cart',
      namespace: 'shop',
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    },
    spec: { clusterIP: '10.96.0.9', ports: [{ port: 80 }] },
  });
  await start();
  const objects = source.read();
  t.is(objects.meshConfig.trustDomain, 'corp');
  t.is(source.meshConfigText, mesh);
  t.deepEqual(source.injectorConfig, { values: '{}' });
  t.is(objects.services.get('shop/cart')?.spec.clusterIP, '10.96.0.9');
  t.is(objects.services.get('shop/cart')?.metadata.annotations, undefined);
  t.true(objects.virtualServices.has('shop/cart'));
  t.deepEqual(source.problems, []);
});

test('changes are told with their scope, and what is not used is not a change', async (t) => {
  const { client, source, scopes, start, until } = await watching(t);
  await start();
  t.deepEqual(scopes, []);
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'cart-1', namespace: 'shop' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
  } as const;
  await client.create(endpointSlices, structuredClone(slice) as never);
  await until(() => source.read().endpointSlices.size === 1);
  t.deepEqual(scopes, ['endpoints']);

  const before = source.read();
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'cart-1', namespace: 'shop' } } as const;
  await client.create(pods, { ...pod, spec: { containers: [] }, status: { phase: 'Pending' } } as never);
  await until(() => source.read().pods.size === 1);
  t.is(scopes.at(-1), 'configuration');
  t.is(source.read().endpointSlices, before.endpointSlices, 'a table that did not change is the same one');
  const count = scopes.length;
  await client.patch(pods, 'cart-1', 'shop', { status: { startTime: '2026-01-01T00:00:00Z' } });
  await client.patch(pods, 'cart-1', 'shop', { status: { podIP: '10.0.0.1' } });
  await until(() => source.read().pods.get('shop/cart-1')?.status?.podIP === '10.0.0.1');
  t.is(scopes.length, count + 1);
});

test('a resource or a mesh configuration with a mistake leaves the last good one, and says so', async (t) => {
  const { client, source, start, until } = await watching(t);
  const metadata = { name: 'istio', namespace: 'istio-system' };
  await client.create(configMaps, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: { mesh: 'trustDomain: one' },
  });
  await client.create(virtualServices, virtualService('good'));
  await start();
  await client.patch(virtualServices, 'cart', 'shop', { spec: { http: [{ timeout: 'soon' }] } });
  await client.patch(configMaps, 'istio', 'istio-system', { data: { mesh: 'trustDomain: [' } });
  // A change of another kind is told; by then these were seen.
  await client.create(virtualServices, {
    ...virtualService('good'),
    metadata: { name: 'later', namespace: 'shop' },
  });
  await until(() => source.read().virtualServices.size === 2);
  const kept = source.read().virtualServices.get('shop/cart')?.spec as { http: unknown[] };
  t.deepEqual(kept.http, virtualService('good').spec.http);
  t.is(source.read().meshConfig.trustDomain, 'one');
  t.regex(source.problems.join('\n'), /VirtualService shop\/cart: spec\.http\[0\]/);
  await client.delete(virtualServices, 'cart', 'shop');
  await until(() => source.read().virtualServices.size === 1);
  t.notRegex(source.problems.join('\n'), /shop\/cart/);
});
