import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createAdsClient } from '../../xds/ads-client.ts';
import { GrpcError } from '../../xds/grpc/status.ts';
import { Authority, makeRoot } from '../ca/authority.ts';
import { FileSource } from '../watch/files.ts';
import { createControlPlane } from './control-plane.ts';

const service = (name: string, port: number) => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {clusterIP: 10.96.1.${port % 200}, selector: {app: ${name}}, ports: [{name: http, port: ${port}}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, namespace: shop, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: http, port: ${port}}]
endpoints: [{addresses: [10.0.0.${port % 200}], conditions: {ready: true}}]
`;
const pod = `
apiVersion: v1
kind: Pod
metadata: {name: cart-1, namespace: shop, labels: {app: cart}}
spec: {serviceAccountName: cart, containers: [{name: cart}]}
status: {podIP: 10.0.0.9, phase: Running}
`;

test('a folder becomes a mesh: changes reach a proxy, mistakes do not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-mesh-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const put = async (name: string, text: string) => {
    await writeFile(join(folder, `.${name}.part`), text);
    await rename(join(folder, `.${name}.part`), join(folder, name));
  };
  await put('cart.yaml', service('cart', 8001));
  await put('pods.yaml', pod);

  const limits = { defaultSeconds: 60, maxSeconds: 60 };
  const authority = await Authority.of(await makeRoot('cluster.local'), limits);
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const source = new FileSource({
    folder,
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    settleMs: 5,
    onError: (error) => t.log(error),
  });
  const control = await createControlPlane({
    source,
    authority: () => authority,
    trustDomain: 'cluster.local',
    reviewToken: async (token) => {
      if (token !== 'cart') throw new GrpcError('unauthenticated', 'unknown');
      return { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' };
    },
    names: ['istiod.istio-system.svc'],
    identifier: 'test',
    clusterId: 'Kubernetes',
    version: '0',
    log: silent,
    debounce: { quietMs: 5, maxMs: 50, spacingMs: 5 },
  });
  const ports = await control.listen({
    secure: { port: 0, host: '127.0.0.1' },
    monitoring: [{ port: 0, host: '127.0.0.1' }],
  });
  t.teardown(() => control.close(0));
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${ports.monitoring[0]}${path}`);
    return { status: response.status, text: await response.text() };
  };
  t.is((await get('/ready')).status, 503);
  await control.start();
  t.is((await get('/ready')).status, 200);

  const clusters = new Set<string>();
  let wake = () => {};
  const client = createAdsClient({
    target: {
      host: '127.0.0.1',
      port: ports.secure,
      tls: { serverName: 'istiod.istio-system.svc', roots: () => authority.roots },
      token: () => 'cart',
    },
    node: { id: 'sidecar~10.0.0.9~cart-1.shop~shop.svc.cluster.local', metadata: { NAMESPACE: 'shop' } },
    onUpdate: (update) => {
      if (update.type === 'cluster') for (const name of update.changed.keys()) clusters.add(name);
      for (const name of update.removed) clusters.delete(name);
      return [];
    },
    onState: () => wake(),
  });
  t.teardown(() => client.stop());
  client.start();
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      wake = () => {
        if (holds()) resolve();
      };
      wake();
    });
  const cluster = (name: string, port: number) => `outbound|${port}||${name}.shop.svc.cluster.local`;
  await until(() => clusters.has(cluster('cart', 8001)));
  await put('till.yaml', service('till', 8002));
  await until(() => clusters.has(cluster('till', 8002)));

  await put('till.yaml', 'kind: [');
  await put('wares.yaml', service('wares', 8003));
  await until(() => clusters.has(cluster('wares', 8003)));
  t.true(clusters.has(cluster('till', 8002)), 'the last good content stays');
  t.regex(source.problems.join(), /till\.yaml: document 1/);

  await rm(join(folder, 'till.yaml'));
  await until(() => !clusters.has(cluster('till', 8002)));
  t.deepEqual(source.problems, []);

  const [sync] = JSON.parse((await get('/debug/syncz')).text);
  t.like(sync, { proxy: 'cart-1.shop', cluster_status: 'SYNCED', listener_status: 'SYNCED' });
  const dump = await get('/debug/config_dump?proxyID=cart-1.shop');
  t.regex(dump.text, /envoy\.filters\.network\.http_connection_manager/);
  t.notRegex(dump.text, /"unreadable"/);
  t.is((await get('/debug/config_dump?proxyID=none')).status, 404);
  t.is((await get('/nowhere')).status, 404);
  t.regex((await get('/metrics')).text, /pilot_proxy_convergence_time_count [1-9]/);
  t.regex((await get('/debug/endpointz')).text, /wares\.shop\.svc/);
});
