import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Cluster, HealthCheck } from '../config/table.ts';
import { createRuntime } from '../runtime.ts';
import { noSecrets, ok, Witness } from '../testing/peers.ts';
import { get, originFor, TestProxy } from '../testing/proxy.ts';
import {
  chainOf,
  clusterOf,
  endpointOf,
  forwardOf,
  hostOf,
  httpTable,
  listenerOf,
  managerOf,
  routeOf,
  routesOf,
  tableOf,
} from '../testing/tables.ts';
import type { Host } from './host.ts';

const httpProbe = {
  kind: 'http' as const,
  method: 'GET',
  host: '',
  path: '/healthz',
  http2: false,
  send: null,
  receive: [],
  maxBodyBytes: 1024,
  add: [],
  remove: new Set<string>(),
  expected: [[200, 201]] as const,
  retriable: [[500, 501]] as const,
  service: null,
};

const checkOf = (overrides: Partial<HealthCheck> = {}): HealthCheck => ({
  timeoutMs: 2000,
  intervalMs: 5,
  initialJitterMs: 0,
  jitterMs: 0,
  jitterPercent: 0,
  unhealthyThreshold: 2,
  healthyThreshold: 3,
  idleIntervalMs: 5,
  idleHealthyIntervalMs: 5,
  unhealthyIntervalMs: 5,
  unhealthyEdgeIntervalMs: 5,
  healthyEdgeIntervalMs: 5,
  reusesConnection: true,
  alpn: [],
  probe: httpProbe,
  ...overrides,
});

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 4000) throw new Error('it never came to hold');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A proxy before one host that answers its checks with `status()`. */
async function watched(t: ExecutionContext, status: () => number, cluster: Partial<Cluster> = {}) {
  const checks: string[] = [];
  const origin = await originFor(t, ({ head }) => {
    if (!head.startsWith('GET /healthz')) return ok('hello', answers.extra);
    checks.push(head);
    return `HTTP/1.1 ${status()} X\r\ncontent-length: 0\r\n\r\n`;
  });
  const answers = { extra: '' };
  const config = clusterOf('a', [endpointOf(origin.port)], {
    healthCheck: checkOf(),
    panicThresholdPercent: 0,
    ...cluster,
  });
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [config]);
  const pool = proxy.runtime.pool('a')!;
  const [host] = [...pool.members()] as [Host];
  return { proxy, pool, host, config, checks, answers, origin, counters: pool.counters.healthCheck! };
}

test('a host fails by its threshold, recovers by the other, and is left out meanwhile', async (t) => {
  let status = 200;
  const { proxy, host, checks, counters } = await watched(t, () => status);
  t.is(host.check, 'passing', 'the first answer counts at once, and the cluster waited for it');
  t.regex(checks[0], /^GET \/healthz HTTP\/1\.1\r\n/);
  t.regex(checks[0], /^host: a$/im);
  t.regex(checks[0], /^user-agent: Envoy\/HC$/im);
  t.regex(await proxy.ask(t, get()), / 200 /);

  status = 500;
  await until(() => host.check === 'failing');
  t.true(counters.failure >= 2, 'once is not enough for a status that may be retried');
  t.regex(await proxy.ask(t, get()), / 503 [\s\S]*no healthy upstream$/);
  t.is(counters.healthy, 0);

  status = 200;
  const before = counters.success;
  await until(() => host.check === 'passing');
  t.true(counters.success - before >= 3);
  t.regex(await proxy.ask(t, get()), / 200 /);
});

test('a status that is neither expected nor to be retried fails at once', async (t) => {
  let status = 200;
  const { host, counters } = await watched(t, () => status, { healthCheck: checkOf({ unhealthyThreshold: 1000 }) });
  status = 503;
  await until(() => host.check === 'failing');
  t.is(counters.networkFailure, 0);
});

test('a host that discovery forgets stays while it passes, and goes when it fails', async (t) => {
  let status = 200;
  const { proxy, pool, host, config } = await watched(t, () => status);
  const without = { ...config, endpoints: [] };
  const table = httpTable([routeOf('/', forwardOf('a'))], [without]);
  await proxy.runtime.apply(table);
  t.deepEqual([...pool.members()], [host]);
  t.true(host.leaving);
  t.regex(await proxy.ask(t, get()), / 200 /);
  status = 503;
  await until(() => [...pool.members()].length === 0);
  t.true(host.removed);
});

test('a host is forgotten at once where health is not to be looked at', async (t) => {
  const { proxy, pool, config } = await watched(t, () => 200, { forgetsHealthyHosts: true });
  await proxy.runtime.apply(httpTable([routeOf('/', forwardOf('a'))], [{ ...config, endpoints: [] }]));
  t.deepEqual([...pool.members()], []);
});

test('a response that asks for it takes its host out until the next check', async (t) => {
  const { proxy, host, answers, counters } = await watched(t, () => 200, {
    healthCheck: checkOf({ intervalMs: 600_000, idleIntervalMs: 600_000, idleHealthyIntervalMs: 600_000 }),
  });
  answers.extra = 'x-envoy-immediate-health-check-fail: true\r\n';
  t.regex(await proxy.ask(t, get()), / 200 /);
  t.is(host.check, 'failing');
  t.true(host.checkExcluded);
  t.is(counters.passiveFailure, 1);
  t.regex(await proxy.ask(t, get()), / 503 /);
});

test('connections to a host that fails are closed where that is asked for', async (t) => {
  let status = 200;
  const { proxy, host } = await watched(t, () => status, { closesUnhealthy: true });
  t.regex(await proxy.ask(t, get()), / 200 /);
  t.is(host.connections, 1);
  status = 503;
  await until(() => host.check === 'failing' && host.connections === 0);
  t.pass();
});

test('checks end with their cluster', async (t) => {
  const { proxy, checks, host } = await watched(t, () => 200);
  await until(() => checks.length > 2);
  await proxy.runtime.apply(
    tableOf({ listeners: [listenerOf([chainOf({ http: managerOf() })])], routes: [routesOf('routes', hostOf([]))] }),
  );
  t.is(host.check, null);
});

test('gRPC: SERVING is well, anything else is not', async (t) => {
  let status = 1;
  const services: string[] = [];
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('data', (piece: Buffer) => services.push(`${headers[':path']} ${piece.subarray(7)}`));
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const probe = { kind: 'grpc' as const, service: 'shop', authority: '', fields: [] };
  const cluster = clusterOf('a', [endpointOf((server.address() as AddressInfo).port)], {
    healthCheck: checkOf({ probe }),
  });
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [cluster]);
  const [host] = [...proxy.runtime.pool('a')!.members()];
  t.is(host.check, 'passing');
  t.is(services[0], '/grpc.health.v1.Health/Check shop');
  status = 2;
  await until(() => host.check === 'failing');
  await proxy.runtime.close();
});

test('a cluster warms until every host was asked once', async (t) => {
  let release = () => {};
  const origin = await originFor(t, ({ socket }) => {
    release = () => socket.write('HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n');
    return null;
  });
  const cluster = clusterOf('a', [endpointOf(origin.port)], { healthCheck: checkOf({ timeoutMs: 5000 }) });
  let stands = false;
  const starting = createRuntime({
    table: httpTable([routeOf('/', forwardOf('a'))], [cluster]),
    secrets: noSecrets,
    telemetry: new Witness(),
  }).then((runtime) => {
    stands = true;
    t.teardown(() => runtime.close());
  });
  await until(() => origin.connections === 1);
  t.false(stands);
  await until(() => {
    release();
    return stands;
  });
  await starting;
});
