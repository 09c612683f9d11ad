import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readEnvironment } from './environment.ts';

const pod = {
  POD_NAME: 'cart-1',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: '10.0.0.9',
  SERVICE_ACCOUNT: 'cart',
  CA_ADDR: 'istiod.istio-system.svc:15012',
  PROXY_CONFIG: '{}\n',
};
const sidecar = { type: 'sidecar', domain: 'shop.svc.cluster.local' } as const;

test('DNS is answered by sidecars that capture it', async (t) => {
  const capturing = { ...pod, ISTIO_META_DNS_CAPTURE: 'true' };
  t.is((await readEnvironment(sidecar, pod)).dns, null);
  t.is((await readEnvironment(sidecar, { ...pod, ISTIO_META_DNS_CAPTURE: 'false' })).dns, null);
  t.is((await readEnvironment({ type: 'router', domain: null }, capturing)).dns, null);
  const { dns, metadata } = await readEnvironment(sidecar, capturing);
  t.is(metadata.DNS_CAPTURE, 'true');
  t.deepEqual(dns, {
    at: { host: 'localhost', port: 15_053 },
    namespace: 'shop',
    domain: 'shop.svc.cluster.local',
    resolvConfPath: '/etc/resolv.conf',
  });
  t.deepEqual((await readEnvironment(sidecar, { ...capturing, DNS_PROXY_ADDR: '[::1]:53' })).dns?.at, {
    host: '::1',
    port: 53,
  });
  await t.throwsAsync(readEnvironment(sidecar, { ...capturing, DNS_PROXY_ADDR: 'nowhere' }), {
    message: /DNS_PROXY_ADDR: "nowhere" is not host:port/,
  });
});

test("Istio's environment becomes the node that the control plane knows", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-environment-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const files = { labels: join(folder, 'labels'), annotations: join(folder, 'annotations') };
  writeFileSync(files.labels, 'app="cart"\nistio-locality="eu.west.a"\npod-template-hash="x"\nquoted="a\\"b"');
  writeFileSync(files.annotations, 'note="one\\ntwo"\n');
  const environment = await readEnvironment(
    sidecar,
    { ...pod, ISTIO_META_CLUSTER_ID: 'east', ISTIO_METAJSON_PLATFORM: '{"ZONE":"a"}' },
    files,
  );
  t.is(environment.nodeId, 'sidecar~10.0.0.9~cart-1.shop~shop.svc.cluster.local');
  t.is(environment.identity, 'spiffe://cluster.local/ns/shop/sa/cart');
  t.is(environment.cluster, 'cart.shop');
  t.deepEqual(environment.locality, { region: 'eu', zone: 'west', subZone: 'a' });
  t.like(environment.metadata, {
    CLUSTER_ID: 'east',
    ZONE: 'a',
    NAMESPACE: 'shop',
    SERVICE_ACCOUNT: 'cart',
    INSTANCE_IPS: '10.0.0.9',
    LABELS: { app: 'cart', 'istio-locality': 'eu.west.a', quoted: 'a"b' },
    ANNOTATIONS: { note: 'one\ntwo' },
  });
  t.deepEqual(environment.discovery, { host: 'istiod.istio-system.svc', port: 15_012 });
});

test('ProxyConfig is read from JSON and from YAML', async (t) => {
  const config =
    'discoveryAddress: "[fd00::1]:15012"\nterminationDrainDuration: 20s\nproxyMetadata: {ISTIO_META_X: y}\n';
  const { proxyConfig, discovery, metadata } = await readEnvironment(sidecar, { ...pod, PROXY_CONFIG: config });
  t.is(proxyConfig.terminationDrainMs, 20_000);
  t.deepEqual(discovery, { host: 'fd00::1', port: 15_012 });
  t.is(metadata.X, 'y');
});

test('a sidecar ends with its connections, a gateway takes its time, either can be told otherwise', async (t) => {
  const ends = async (type: 'sidecar' | 'router', told?: string) =>
    (await readEnvironment({ type, domain: null }, { ...pod, ...(told && { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: told }) }))
      .exitOnZeroActiveConnections;
  t.deepEqual(
    [await ends('sidecar'), await ends('router'), await ends('sidecar', 'false'), await ends('router', 'true')],
    [true, false, false, true],
  );
});

test('a bad value is told with the name of its variable', async (t) => {
  const wrong: Record<string, string>[] = [
    { CA_ADDR: 'nowhere' },
    { PROXY_CONFIG: '[1]' },
    { PROXY_CONFIG: '{"terminationDrainDuration":"soon"}' },
    { SECRET_TTL: '-1h' },
    { ISTIO_METAJSON_LABELS: '{' },
  ];
  for (const one of wrong)
    await t.throwsAsync(readEnvironment(sidecar, { ...pod, ...one }), {
      message: new RegExp(`^${Object.keys(one)[0]}`),
    });
});

test('a pod that is no container has its files below a folder, and may have a table in place of iptables', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'lateen-environment-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const folder of ['etc/istio/pod', 'etc/lateen']) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'etc/istio/pod/labels'), 'app="cart"\n');
  const read = () => readEnvironment(sidecar, { ...pod, LATEEN_POD_ROOT: root });
  t.like(await read(), {
    cluster: 'cart.shop',
    tokenPath: `${root}/var/run/secrets/tokens/istio-token`,
    rootsPath: `${root}/var/run/secrets/istio/root-cert.pem`,
    interception: null,
  });
  const table = join(root, 'etc/lateen/interception.json');
  const interception = { host: '127.9.4.1', application: '127.9.4.2', inbound: [], outbound: [] };
  writeFileSync(table, JSON.stringify(interception));
  t.deepEqual((await read()).interception, interception);
  writeFileSync(table, '{}');
  await t.throwsAsync(read, { message: `${table}: host: undefined is no IP address` });
});
