import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import { parse } from 'yaml';
import { kinds } from '../../api/kinds.ts';
import type { Condition } from '../../api/meta.ts';
import { type ApiObject, resource } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { createAdsClient } from '../../xds/ads-client.ts';
import { NodeSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { typeUrls } from '../../xds/type-urls.ts';
import { Authority, makeRoot } from '../ca/authority.ts';
import { type MeshObjects, noObjects } from '../model/objects.ts';
import { buildSnapshot, type Snapshot } from '../model/snapshot.ts';
import { createControlPlane } from '../serve/control-plane.ts';
import { DeltaSession } from '../serve/delta-session.ts';
import { proxyOf } from '../serve/proxy-node.ts';
import { encodeResources } from '../serve/resources.ts';
import { scopeOf } from '../translate/scope.ts';
import { translate } from '../translate/translate.ts';
import { FileSource } from '../watch/files.ts';
import { writeConditions } from './conditions.ts';
import { ObjectChanges, progressOf } from './distribution.ts';

const shop = ['cart', 'till']
  .map(
    (name, i) => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {clusterIP: 10.96.1.${i + 1}, selector: {app: ${name}}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}-1, namespace: shop, labels: {app: ${name}}}
spec: {serviceAccountName: ${name}, containers: [{name: ${name}}]}
status: {podIP: 10.0.0.${i + 1}, phase: Running}
`,
  )
  .join('---');

const written: Readonly<Record<string, (n: number) => string>> = {
  'DestinationRule cart': (n) => `{host: cart, trafficPolicy: {connectionPool: {tcp: {maxConnections: ${n}}}}}`,
  'DestinationRule till': (n) => `{host: till, trafficPolicy: {connectionPool: {tcp: {maxConnections: ${n}}}}}`,
  'VirtualService cart': (n) => `{hosts: [cart], http: [{timeout: ${n}s, route: [{destination: {host: cart}}]}]}`,
  'AuthorizationPolicy cart': (n) =>
    `{selector: {matchLabels: {app: cart}}, rules: [{to: [{operation: {paths: [/${n}]}}]}]}`,
  'PeerAuthentication cart': (n) =>
    `{selector: {matchLabels: {app: cart}}, mtls: {mode: ${n % 2 ? 'STRICT' : 'PERMISSIVE'}}}`,
};

function manifest(key: string, n: number): string {
  const [kind, name] = key.split(' ');
  const group = /Policy|Peer/.test(kind) ? 'security' : 'networking';
  return `apiVersion: ${group}.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: shop}\nspec: ${written[key](n)}\n`;
}

/** A control plane over a folder, an API server for statuses, and the leader between them. */
async function meshOf(t: ExecutionContext, patienceMs = 60_000) {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-status-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const put = async (name: string, text: string) => {
    await writeFile(join(folder, `.${name}.part`), text);
    await rename(join(folder, `.${name}.part`), join(folder, name));
  };
  const write = (key: string, n: number) => put(`${key.replace(' ', '-')}.yaml`, manifest(key, n));
  await put('shop.yaml', shop);
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  for (const key of Object.keys(written)) {
    await write(key, 1);
    const object = parse(manifest(key, 1)) as ApiObject & { apiVersion: string; kind: string };
    const { plural } = kinds.find(({ kind }) => kind === object.kind)!;
    await client.create(resource(object.apiVersion, object.kind, plural), object);
  }
  const authority = await Authority.of(await makeRoot('cluster.local'), { defaultSeconds: 60, maxSeconds: 60 });
  const onError = (error: Error) => t.log(error.message);
  const source = new FileSource({
    ...{ folder, clusterDomain: 'cluster.local', clusterId: 'Kubernetes', settleMs: 5, onError },
  });
  const control = await createControlPlane({
    ...{ source, authority: () => authority, trustDomain: 'cluster.local', names: ['istiod'], identifier: 'test' },
    ...{ clusterId: 'Kubernetes', version: '0', log: { info: () => {}, warn: () => {}, error: () => {} } },
    reviewToken: async (token) => ({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: token }),
    debounce: { quietMs: 5, maxMs: 50, spacingMs: 5 },
  });
  const { secure } = await control.listen({ secure: { port: 0, host: '127.0.0.1' }, monitoring: [] });
  t.teardown(() => control.close(0));
  const changes = new ObjectChanges();
  const { mesh, discovery } = control;
  mesh.onSnapshot(() => mesh.snapshot && changes.follow(mesh.snapshot));
  await control.start();
  const ending = new AbortController();
  const proxies = { discovery, changes, replica: () => null, patienceMs };
  const led = writeConditions({ client, mesh, proxies, settleMs: 10, onError }, ending.signal);
  t.teardown(async () => {
    ending.abort();
    await led;
  });
  const told = (key: string): string => {
    const [kind, name] = key.split(' ');
    const status = api.all(kind).find(({ metadata }) => metadata.name === name)?.status as
      | { conditions?: Condition[] }
      | undefined;
    const condition = status?.conditions?.find(({ type }) => type === 'Reconciled');
    return condition ? `${condition.status} ${condition.message}` : '';
  };
  /** A proxy that refuses what it is told to. */
  const proxy = async (name: string, ip: string, protocol: 'delta' | 'sotw', refuses: readonly string[] = []) => {
    const refused = new Set(refuses);
    let isThere = () => {};
    const there = new Promise<void>((resolve) => {
      isThere = resolve;
    });
    const ads = createAdsClient({
      target: {
        ...{ host: '127.0.0.1', port: secure, token: () => name },
        tls: { serverName: 'istiod', roots: () => authority.roots },
      },
      protocol,
      node: { id: `sidecar~${ip}~${name}-1.shop~shop.svc.cluster.local`, metadata: { NAMESPACE: 'shop' } },
      onUpdate: ({ type, changed }) =>
        [...changed.keys()]
          .filter((each) => refused.has(`${type} ${each}`))
          .map((each) => ({ name: each, reason: 'cannot be' })),
      onState: ({ types: { cluster, listener, route } }) => {
        if ([cluster, listener, route].every(({ accepted, rejected }) => accepted + rejected > 0)) isThere();
      },
    });
    t.teardown(() => ads.stop());
    ads.start();
    ads.subscribe('route', ['80']);
    await there;
    return { refused, ads };
  };
  return { api, write, told, proxy };
}

const cluster = (name: string) => `outbound|80||${name}.shop.svc.cluster.local`;

for (const protocol of ['delta', 'sotw'] as const)
  test(`${protocol}: an object's status says who has refused it, and when all have it; others are left alone`, async (t) => {
    const { api, write, told, proxy } = await meshOf(t);
    const cart = await proxy('cart', '10.0.0.1', protocol);
    await proxy('till', '10.0.0.2', protocol);
    const tells = (key: string, text: string) => api.until(() => told(key) === text);

    cart.refused.add(`cluster ${cluster('cart')}`);
    await write('DestinationRule cart', 2);
    await tells(
      'DestinationRule cart',
      `False 1/2 proxies up to date; refused by cart-1.shop: ${cluster('cart')}: cannot be`,
    );
    // Changed while another is refused.
    await write('DestinationRule till', 2);
    await write('DestinationRule cart', 3);
    cart.refused.clear();
    await write('DestinationRule cart', 4);
    await tells('DestinationRule cart', 'True 2/2 proxies up to date');

    cart.refused.add('route 80');
    await write('VirtualService cart', 2);
    await tells('VirtualService cart', 'False 1/2 proxies up to date; refused by cart-1.shop: 80: cannot be');
    cart.refused.clear();
    await write('VirtualService cart', 3);
    await tells('VirtualService cart', 'True 2/2 proxies up to date');

    cart.refused.add('listener virtualInbound');
    await write('AuthorizationPolicy cart', 2);
    await tells(
      'AuthorizationPolicy cart',
      'False 1/2 proxies up to date; refused by cart-1.shop: virtualInbound: cannot be',
    );
    t.is(told('PeerAuthentication cart'), '', 'the proxy runs it: it did not change with what was refused');
    // Gone for good: nobody is left who does not run it.
    await cart.ads.stop();
    await tells('AuthorizationPolicy cart', 'True 1/1 proxies up to date');
    t.is(told('DestinationRule till'), '');
    t.is(api.writes.filter((line) => /PUT|PATCH/.test(line) && /till/.test(line)).length, 0);
  });

test('what a proxy refuses when it starts is told of those whose name it bears', async (t) => {
  const { api, told, proxy } = await meshOf(t);
  await proxy('till', '10.0.0.2', 'delta');
  t.deepEqual(
    api.writes.filter((line) => !line.startsWith('POST')),
    [],
    'a mesh in which all is well is not written to',
  );
  await proxy('cart', '10.0.0.1', 'delta', [`cluster ${cluster('cart')}`]);
  const refusal = `refused by cart-1.shop: ${cluster('cart')}: cannot be`;
  await api.until(() => told('DestinationRule cart') === `False 1/2 proxies up to date; ${refusal}`);
  for (const other of ['DestinationRule till', 'VirtualService cart', 'PeerAuthentication cart'])
    t.is(told(other), '', other);
});

test('who has not answered is late after a while, but not when it is starting', (t) => {
  const rule = (n: number) => parse(manifest('DestinationRule cart', n));
  const services = new Map([
    [
      'shop/cart',
      {
        metadata: { name: 'cart', namespace: 'shop' },
        spec: { clusterIP: '10.96.1.1', ports: [{ name: 'http', port: 80 }] },
      },
    ],
  ]);
  const world = (n: number): MeshObjects => ({
    ...noObjects,
    services,
    destinationRules: new Map([['shop/cart', rule(n)]]),
  });
  const changes = new ObjectChanges();
  let snapshot: Snapshot | null = null;
  let nowMs = 0;
  const nonces: string[] = [];
  const session = new DeltaSession({
    identifier: 'test',
    nowMs: () => nowMs,
    send: (message) => nonces.push(fromBinary(DeltaDiscoveryResponseSchema, message).nonce),
    onNack: (nack) => t.fail(nack.message),
  });
  const node = { id: 'sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local', metadata: { NAMESPACE: 'shop' } };
  const request = (responseNonce: string) =>
    session.receive(
      Buffer.from(
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, { node, typeUrl: typeUrls.cluster, responseNonce }),
        ),
      ),
    );
  const apply = (n: number) => {
    snapshot = buildSnapshot(world(n), snapshot);
    changes.follow(snapshot);
    const { clusters } = translate(snapshot, scopeOf(node, snapshot));
    session.update(encodeResources(`${snapshot.version}`, { cluster: clusters }));
  };
  const progress = () => {
    const proxy = proxyOf(create(NodeSchema, node));
    const laggards = [{ proxy, lacking: session.lacking(), unsent: null }];
    const facts = { changes: changes.all, laggards, total: 3, rootNamespace: 'istio-system', nowMs, patienceMs: 1_000 };
    return progressOf(facts).get('DestinationRule shop cart');
  };
  request('');
  apply(1);
  nowMs = 5_000;
  t.is(progress(), undefined, 'it is starting');
  request(nonces.at(-1)!);
  t.is(progress(), undefined);
  apply(2);
  t.like(progress(), { behind: 1, total: 3, isFresh: true });
  nowMs += 1_000;
  t.like(progress(), { behind: 1, isFresh: false });
  // Nothing more goes out to who has not answered, and what waits is lacking as well.
  apply(3);
  t.like(progress(), { behind: 1, isFresh: false });
  request(nonces.at(-1)!);
  t.like(progress(), { behind: 1, isFresh: true }, 'what waited is on its way');
  request(nonces.at(-1)!);
  t.is(progress(), undefined);
});
