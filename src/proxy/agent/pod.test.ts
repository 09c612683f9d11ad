import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromJson } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import { Authority, makeRoot } from '../../control/ca/authority.ts';
import { authenticator } from '../../control/ca/caller.ts';
import { certificateService } from '../../control/ca/certificate-service.ts';
import { Discovery } from '../../control/serve/discovery.ts';
import { Metrics } from '../../control/serve/metrics.ts';
import { encodeResources, type ResourceMessages } from '../../control/serve/resources.ts';
import { createGrpcServer } from '../../xds/grpc/server.ts';
import { schemas, type XdsType } from '../../xds/type-urls.ts';
import { registry } from '../config/registry.ts';
import { createLog } from '../telemetry/log.ts';
import { askTcp, askUdp, question, readReply } from '../testing/dns-peer.ts';
import { readEnvironment } from './environment.ts';
import { type Pod, startPod } from './pod.ts';

const serverName = 'istiod.istio-system.svc';
const types = 'type.googleapis.com/envoy';
const manager = `${types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const router = { name: 'router', typed_config: { '@type': `${types}.extensions.filters.http.router.v3.Router` } };
const materials = {
  tls_certificate_sds_secret_configs: [{ name: 'default' }],
  combined_validation_context: {
    default_validation_context: {},
    validation_context_sds_secret_config: { name: 'ROOTCA' },
  },
};

type World = { [T in XdsType]?: object[] };

/** A real discovery server and CA; each pod is told what `worlds` holds under its name. */
class Mesh {
  readonly worlds = new Map<string, World>();
  readonly nacks: string[] = [];
  version = 1;
  readonly discovery: Discovery;
  readonly folder = mkdtempSync(join(tmpdir(), 'lateen-pod-'));
  readonly #server: ReturnType<typeof createGrpcServer>;
  port = 0;

  static async start(t: ExecutionContext): Promise<Mesh> {
    const authority = await Authority.of(await makeRoot('cluster.local'), { defaultSeconds: 3600, maxSeconds: 3600 });
    const { chain, key } = await authority.issueServing([serverName], 3600);
    const mesh = new Mesh(authority, { chain, key, clientRoots: authority.roots });
    mesh.port = await mesh.#server.listen(0, '127.0.0.1');
    t.teardown(async () => {
      await mesh.#server.close(0);
      rmSync(mesh.folder, { recursive: true });
    });
    return mesh;
  }

  private constructor(authority: Authority, identity: { chain: string; key: string; clientRoots: string }) {
    writeFileSync(join(this.folder, 'root.pem'), authority.roots);
    const authenticate = authenticator(
      async (token) => ({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: token }),
      'cluster.local',
    );
    this.discovery = new Discovery({
      identifier: 'test',
      metrics: new Metrics(),
      unknownWaitMs: 60_000,
      resourcesFor: (proxy) =>
        encodeResources(`${this.version}`, decode(this.worlds.get(proxy.id.split('~')[2].split('.')[0]) ?? {})),
      onNack: (_, { message }) => this.nacks.push(message),
    });
    const certificates = certificateService({ authority: () => authority, authenticate, burst: 9, refillMs: 60_000 });
    this.#server = createGrpcServer({
      methods: { ...this.discovery.methods(authenticate), ...certificates },
      identity,
    });
  }

  push(): void {
    this.version++;
    this.discovery.push(performance.now());
  }

  async pod(t: ExecutionContext, name: string, more: Record<string, string> = {}): Promise<Pod> {
    const token = join(this.folder, `token-${name}`);
    writeFileSync(token, `${name}\n`);
    const environment = await readEnvironment(
      { type: 'sidecar', domain: null },
      {
        POD_NAME: name,
        POD_NAMESPACE: 'shop',
        INSTANCE_IP: '127.0.0.1',
        SERVICE_ACCOUNT: name,
        ISTIO_META_WORKLOAD_NAME: name,
        ISTIOD_SAN: serverName,
        CA_ROOT_CA: join(this.folder, 'root.pem'),
        PROXY_CONFIG: JSON.stringify({ discoveryAddress: `127.0.0.1:${this.port}`, statusPort: 0, proxyAdminPort: 0 }),
        ENVOY_STATUS_PORT: '0',
        ENVOY_PROMETHEUS_PORT: '0',
        ...more,
      },
    );
    const pod = await startPod({ ...environment, tokenPath: token }, createLog('none'), '127.0.0.1');
    t.teardown(async () => {
      pod.lifecycle.quit();
      await pod.ended;
    });
    return pod;
  }
}

function decode(world: World): ResourceMessages {
  return Object.fromEntries(
    Object.entries(world).map(([type, list]) => [
      type,
      list.map((value) => fromJson(schemas[type as XdsType] as never, value as never, { registry })),
    ]),
  );
}

interface Answer {
  status: number;
  body: string;
}

function get(port: number, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path, headers, method, agent: false }, async (response) => {
      const body = (await response.setEncoding('utf8').toArray()).join('');
      resolve({ status: response.statusCode ?? 0, body });
    });
    call.on('error', reject);
    call.end();
  });
}

/** Asks until it holds; a test that waits in vain ends by ava's own limit. */
async function until<T>(read: () => Promise<T> | T, holds: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const ready = (pod: Pod) =>
  until(
    () => get(pod.ports.readiness, '/healthz/ready'),
    ({ status }) => status === 200,
  );

const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

const assignment = (name: string, port: number) => ({
  cluster_name: name,
  endpoints: [
    {
      lb_endpoints: [
        {
          endpoint: { address: address(port) },
          metadata: { filter_metadata: { istio: { workload: 'cart;shop;cart;v1;Kubernetes' } } },
        },
      ],
    },
  ],
});

function inbound(appPort: number, logPath: string): World {
  const hcm = {
    '@type': manager,
    stat_prefix: 'inbound',
    forward_client_cert_details: 'APPEND_FORWARD',
    set_current_client_cert_details: { uri: true },
    route_config: {
      name: 'inbound|80||',
      virtual_hosts: [
        {
          name: 'in',
          domains: ['*'],
          routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: 'inbound|80||' } }],
        },
      ],
    },
    access_log: [
      {
        name: 'file',
        typed_config: {
          '@type': `${types}.extensions.access_loggers.file.v3.FileAccessLog`,
          path: logPath,
          log_format: {
            text_format_source: {
              inline_string: '%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %DOWNSTREAM_PEER_URI_SAN%\n',
            },
          },
        },
      },
    ],
    http_filters: [
      {
        name: 'rbac',
        typed_config: {
          '@type': `${types}.extensions.filters.http.rbac.v3.RBAC`,
          rules: {
            action: 'ALLOW',
            policies: {
              'ns[shop]-policy[cart-viewer]-rule[0]': {
                permissions: [{ header: { name: ':method', string_match: { exact: 'GET' } } }],
                principals: [
                  { authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/shop/sa/front' } } },
                ],
              },
            },
          },
        },
      },
      router,
    ],
  };
  const tls = `${types}.extensions.transport_sockets.tls.v3.DownstreamTlsContext`;
  return {
    listener: [
      {
        name: 'virtualInbound',
        traffic_direction: 'INBOUND',
        address: address(0),
        filter_chains: [
          {
            filters: [{ name: 'hcm', typed_config: hcm }],
            transport_socket: {
              name: 'tls',
              typed_config: {
                '@type': tls,
                require_client_certificate: true,
                common_tls_context: { ...materials, alpn_protocols: ['http/1.1'] },
              },
            },
          },
        ],
      },
    ],
    cluster: [{ name: 'inbound|80||', type: 'STATIC', load_assignment: assignment('inbound|80||', appPort) }],
  };
}

function outbound(serverPort: number): World {
  const hcm = {
    '@type': manager,
    stat_prefix: 'outbound',
    rds: { route_config_name: '80', config_source: { ads: {} } },
    http_filters: [router],
  };
  const tls = `${types}.extensions.transport_sockets.tls.v3.UpstreamTlsContext`;
  const name = 'outbound|80||cart.shop.svc.cluster.local';
  return {
    listener: [
      {
        name: '0.0.0.0_80',
        traffic_direction: 'OUTBOUND',
        address: address(0),
        filter_chains: [{ filters: [{ name: 'hcm', typed_config: hcm }] }],
      },
    ],
    cluster: [
      {
        name,
        type: 'EDS',
        eds_cluster_config: { eds_config: { ads: {} } },
        metadata: {
          filter_metadata: {
            istio: { services: [{ host: 'cart.shop.svc.cluster.local', name: 'cart', namespace: 'shop' }] },
          },
        },
        transport_socket: { name: 'tls', typed_config: { '@type': tls, common_tls_context: materials } },
      },
    ],
    endpoint: [assignment(name, serverPort)],
    route: [
      {
        name: '80',
        virtual_hosts: [
          { name: 'cart', domains: ['cart'], routes: [{ match: { prefix: '/' }, route: { cluster: name } }] },
        ],
      },
    ],
  };
}

async function app(t: ExecutionContext): Promise<number> {
  const server = createServer((incoming, response) => {
    if (incoming.url === '/metrics') response.end('app_up 1\n# EOF\n');
    else if (incoming.url === '/health') response.end(`healthy ${incoming.headers.host}`);
    else response.end(`cart ${incoming.headers['x-forwarded-client-cert']}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

test('two pods of a mesh: certificates, mutual TLS, authorization by identity, logs and metrics that say so', async (t) => {
  const mesh = await Mesh.start(t);
  const logPath = join(mesh.folder, 'access.log');
  mesh.worlds.set('cart', inbound(await app(t), logPath));
  const cart = await mesh.pod(t, 'cart');
  await ready(cart);
  mesh.worlds.set('front', outbound(cart.plane.portOf('virtualInbound')));
  mesh.worlds.set('thief', outbound(cart.plane.portOf('virtualInbound')));
  const [front, thief] = await Promise.all([mesh.pod(t, 'front'), mesh.pod(t, 'thief')]);
  await Promise.all([ready(front), ready(thief)]);

  const call = (pod: Pod, method = 'GET') => get(pod.plane.portOf('0.0.0.0_80'), '/items', { host: 'cart' }, method);
  const answer = await call(front);
  t.is(answer.status, 200);
  t.regex(answer.body, /^cart By=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/cart;Hash=[0-9a-f]{64};/);
  t.deepEqual(await call(thief), { status: 403, body: 'RBAC: access denied' });
  t.is((await call(front, 'POST')).status, 403);

  const denied = '/items 403 rbac_access_denied_matched_policy[none];evaluated=ns[shop]-policy[cart-viewer]';
  const log = await until(
    () => readFileSync(logPath, 'utf8'),
    (text) => text.split('\n').length > 3,
  );
  t.deepEqual(log.trim().split('\n'), [
    '/items 200 via_upstream spiffe://cluster.local/ns/shop/sa/front',
    `${denied} spiffe://cluster.local/ns/shop/sa/thief`,
    `${denied} spiffe://cluster.local/ns/shop/sa/front`,
  ]);

  const { body: metrics } = await get(front.ports.metrics, '/stats/prometheus');
  const [series] = metrics.split('\n').filter((line) => /^istio_requests_total\{.*response_code="200"/.test(line));
  for (const label of [
    'reporter="source"',
    'source_workload="front"',
    'destination_workload="cart"',
    'destination_service="cart.shop.svc.cluster.local"',
    'destination_version="v1"',
  ])
    t.true(series.includes(label), label);
  const { body: theirs } = await get(cart.ports.metrics, '/stats/prometheus');
  t.regex(
    theirs,
    /istio_requests_total\{reporter="destination",.*source_principal="spiffe:\/\/cluster\.local\/ns\/shop\/sa\/thief".*response_code="403".*connection_security_policy="mutual_tls"\} 1/,
  );

  const certificates = JSON.parse((await get(front.ports.admin, '/certs')).body);
  t.is(
    certificates.certificates.find(({ cert_chain }: { cert_chain: object[] }) => cert_chain.length > 0).cert_chain[0]
      .subject_alt_names[0].uri,
    'spiffe://cluster.local/ns/shop/sa/front',
  );
  const dump = JSON.parse((await get(front.ports.admin, '/config_dump')).body);
  const routes = dump.configs.find((section: object) => 'dynamic_route_configs' in section);
  t.is(routes.dynamic_route_configs[0].route_config.name, '80');
  const secrets = dump.configs.find((section: object) => 'dynamic_active_secrets' in section).dynamic_active_secrets;
  t.deepEqual(
    secrets.map(({ name }: { name: string }) => name),
    ['default', 'ROOTCA'],
  );
  const { certificate_chain: chain, private_key: key } = secrets[0].secret.tls_certificate;
  t.is(
    new X509Certificate(Buffer.from(chain.inline_bytes, 'base64')).subjectAltName,
    'URI:spiffe://cluster.local/ns/shop/sa/front',
  );
  t.is(Buffer.from(key.inline_bytes, 'base64').toString(), '[redacted]');
  t.regex(Buffer.from(secrets[1].secret.validation_context.trusted_ca.inline_bytes, 'base64').toString(), /BEGIN CERT/);
});

test('a push changes routes of open connections, a bad one changes nothing and says why', async (t) => {
  const mesh = await Mesh.start(t);
  const port = await app(t);
  const world = outbound(port);
  const { transport_socket: _, ...plain } = (world.cluster ?? [])[0] as { transport_socket: object };
  const route = (status: number) => ({
    name: '80',
    virtual_hosts: [
      { name: 'cart', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status } }] },
    ],
  });
  mesh.worlds.set('front', { ...world, cluster: [plain], route: [route(201)] });
  const front = await mesh.pod(t, 'front');
  await ready(front);
  const status = async () => (await get(front.plane.portOf('0.0.0.0_80'), '/')).status;
  t.is(await status(), 201);
  mesh.worlds.set('front', { ...world, cluster: [plain], route: [route(202)] });
  mesh.push();
  await until(status, (now) => now === 202);
  const bad = {
    name: '80',
    virtual_hosts: [{ name: 'cart', domains: ['*'], routes: [{ match: {}, direct_response: { status: 203 } }] }],
  };
  mesh.worlds.set('front', { ...world, cluster: [plain], route: [bad] });
  mesh.push();
  await until(
    () => mesh.nacks.length,
    (count) => count > 0,
  );
  t.regex(mesh.nacks[0], /route 80: virtual_hosts\[0\]\.routes\[0\]\.match: has no path/);
  t.is(await status(), 202);
});

test('a pod that captures DNS is ready when it knows names, and follows them', async (t) => {
  const mesh = await Mesh.start(t);
  const world = outbound(await app(t));
  const { transport_socket: _, ...plain } = (world.cluster ?? [])[0] as { transport_socket: object };
  const names = (ip: string) => [
    {
      table: {
        'cart.shop.svc.cluster.local': { ips: [ip], registry: 'Kubernetes', shortname: 'cart', namespace: 'shop' },
      },
    },
  ];
  mesh.worlds.set('front', { ...world, cluster: [plain] });
  const front = await mesh.pod(t, 'front', { ISTIO_META_DNS_CAPTURE: 'true', DNS_PROXY_ADDR: '127.0.0.1:0' });
  const { udp = 0, tcp = 0 } = front.ports.dns ?? {};
  const { body } = await until(
    () => get(front.ports.readiness, '/healthz/ready'),
    ({ body }) => body === 'no names to answer DNS with yet\n',
  );
  t.is(body, 'no names to answer DNS with yet\n');
  t.is(readReply(await askUdp(udp, question({ name: 'cart' }))).code, 2);
  mesh.worlds.set('front', { ...world, cluster: [plain], nameTable: names('10.0.0.1') });
  mesh.push();
  await ready(front);
  t.deepEqual(readReply(await askUdp(udp, question({ name: 'cart.shop' }))).records, ['cart.shop A 10.0.0.1']);
  mesh.worlds.set('front', { ...world, cluster: [plain], nameTable: names('10.0.0.2') });
  mesh.push();
  const records = async () => readReply((await askTcp(tcp, question({ name: 'cart' })))[0]).records.join();
  t.is(await until(records, (now) => now !== 'cart A 10.0.0.1'), 'cart A 10.0.0.2');
  t.regex((await get(front.ports.status, '/stats/prometheus')).body, /\ndns_requests_total [3-9]/);
  const other = await mesh.pod(t, 'other');
  t.is(other.ports.dns, null);
});

test('probes of the application, merged metrics, readiness and the end of a pod', async (t) => {
  const mesh = await Mesh.start(t);
  const port = await app(t);
  mesh.worlds.set('cart', inbound(port, join(mesh.folder, 'access.log')));
  const cart = await mesh.pod(t, 'cart', {
    ISTIO_KUBE_APP_PROBERS: JSON.stringify({
      '/app-health/app/livez': { httpGet: { path: '/health', port } },
      '/app-health/app/readyz': { tcpSocket: { port } },
      '/app-health/app/startupz': { httpGet: { port: 1 }, timeoutSeconds: 1 },
    }),
    ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify({ scrape: 'true', path: '/metrics', port: `${port}` }),
  });
  const { status, readiness } = cart.ports;
  await ready(cart);
  t.deepEqual(await get(status, '/app-health/app/livez', { host: `10.0.0.9:${status}` }), {
    status: 200,
    body: `healthy 10.0.0.9:${status}`,
  });
  t.is((await get(status, '/app-health/app/readyz')).status, 200);
  t.is((await get(status, '/app-health/app/startupz')).status, 500);
  t.is((await get(status, '/app-health/other/livez')).status, 400);
  const { body } = await get(status, '/stats/prometheus');
  t.regex(body, /envoy_server_live\{\} 1\n[\s\S]*app_up 1\n$/);
  t.is((await get(status, '/quitquitquit')).status, 405);
  t.is((await get(status, '/drain', {}, 'POST')).status, 200);
  t.is((await get(readiness, '/healthz/ready')).status, 503);
  cart.lifecycle.terminate();
  await cart.ended;
  await t.throwsAsync(get(readiness, '/healthz/ready'));
});
