/** Requests that a host never took: they go on to another, whatever their method. */
import { connect as connectTls } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import type { Cluster, DownstreamTls, UpstreamTls } from '../config/table.ts';
import { createRuntime, type Runtime } from '../runtime.ts';
import { secretsOf, TestAuthority } from '../testing/certificates.ts';
import { DeafOrigin } from '../testing/deaf-origin.ts';
import { Caller, ok, Witness } from '../testing/peers.ts';
import { deadPort, originFor, rawOrigin, TestProxy } from '../testing/proxy.ts';
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
  thresholdsOf,
  tlsDefaults,
} from '../testing/tables.ts';

const serverUri = 'spiffe://cluster.local/ns/default/sa/server';
const clientUri = 'spiffe://cluster.local/ns/default/sa/client';

const downstreamTls: DownstreamTls = {
  ...tlsDefaults,
  certificates: ['default'],
  trust: 'ROOTCA',
  requireClientCertificate: true,
  scansAll: false,
  alpn: ['h2', 'http/1.1'],
};

const upstreamTls: UpstreamTls = {
  ...tlsDefaults,
  certificate: 'default',
  trust: 'ROOTCA',
  sni: 'outbound_.80_._.server.default.svc.cluster.local',
  autoSni: false,
  autoSan: false,
  alpn: ['istio-peer-exchange', 'istio'],
  subjectAltNames: [{ type: 'any', test: (value) => value === serverUri, text: `exact "${serverUri}"` }],
};

const routes = [routeOf('/', forwardOf('a'))];
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc';

async function happened(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setImmediate(resolve));
}

const authority = TestAuthority.make();

/** The sidecar of one pod of the service, in front of its application. */
async function sidecar(t: ExecutionContext, applicationPort: number): Promise<{ port: number; witness: Witness }> {
  const witness = new Witness();
  const runtime = await createRuntime({
    table: tableOf({
      listeners: [
        listenerOf([chainOf({ tls: downstreamTls, http: managerOf({ serverHeader: 'passThrough' }) })], {
          inspect: { originalDst: false, tls: true, http: true },
        }),
      ],
      clusters: [clusterOf('a', [endpointOf(applicationPort)])],
      routes: [routesOf('routes', hostOf(routes))],
    }),
    secrets: await secretsOf(await authority, serverUri),
    telemetry: witness,
  });
  t.teardown(() => runtime.close());
  return { port: runtime.portOf('listener'), witness };
}

/** The caller's sidecar. Endpoints labelled `tls` are dialled by mutual TLS, others in plain text. */
class CallerSide {
  readonly runtime: Runtime;
  readonly witness: Witness;
  readonly caller: Caller;

  constructor(runtime: Runtime, witness: Witness, caller: Caller) {
    this.runtime = runtime;
    this.witness = witness;
    this.caller = caller;
  }

  static async of(t: ExecutionContext, cluster: Cluster): Promise<CallerSide> {
    const witness = new Witness();
    const runtime = await createRuntime({
      table: httpTable(routes, [cluster]),
      secrets: await secretsOf(await authority, clientUri),
      telemetry: witness,
    });
    t.teardown(() => runtime.close());
    const caller = await Caller.to(runtime.portOf('listener'));
    t.teardown(() => caller.stop());
    return new CallerSide(runtime, witness, caller);
  }

  get stats() {
    return this.runtime.pool('a')!.stats;
  }
}

function meshCluster(...endpoints: Array<ReturnType<typeof endpointOf>>): Cluster {
  return clusterOf('a', endpoints, {
    connectTimeoutMs: 60_000,
    transports: [{ name: 'tls', match: { tls: 'yes' }, tls: upstreamTls, proxyProtocol: 0 }],
  });
}

const meshed = (port: number) => endpointOf(port, { transportMatch: { tls: 'yes' } });

test('an endpoint that is removed while it is dialled gives the request up at once', async (t) => {
  const silent = await rawOrigin(t, () => {});
  const fresh = await originFor(t, ({ body }) => ok(`fresh ${body}`));
  const side = await CallerSide.of(t, meshCluster(meshed(silent.port)));
  side.caller.send(post);
  await happened(() => silent.sockets.size === 1);
  await side.runtime.apply(httpTable(routes, [meshCluster(endpointOf(fresh.port))]));
  t.regex(await side.caller.responses(), /^HTTP\/1\.1 200 OK[\s\S]*fresh abc$/);
  t.like(side.witness.finished[0], { attempts: 1, flags: '' });
  t.is(side.stats.redirected, 1);
});

test('when the last endpoint is removed while it is dialled there is no healthy upstream', async (t) => {
  const silent = await rawOrigin(t, () => {});
  const side = await CallerSide.of(t, meshCluster(meshed(silent.port)));
  side.caller.send(get);
  await happened(() => silent.sockets.size === 1);
  await side.runtime.apply(httpTable(routes, [meshCluster()]));
  t.regex(await side.caller.responses(), /^HTTP\/1\.1 503 [\s\S]*no healthy upstream$/);
});

test('a request that waits for its turn at an endpoint that is removed goes elsewhere', async (t) => {
  const circuit = thresholdsOf({ maxConnections: 1, maxPending: 8, maxRequests: 8, maxRetries: 3 });
  const silent = await rawOrigin(t, () => {});
  const fresh = await originFor(t, () => ok('fresh'));
  const cluster = (port: number) => clusterOf('a', [endpointOf(port)], { circuit });
  const proxy = await TestProxy.http(t, routes, [cluster(silent.port)]);
  const [first, second] = [await proxy.caller(t), await proxy.caller(t)];
  first.send(get);
  await happened(() => silent.sockets.size === 1);
  second.send(get);
  await happened(() => proxy.runtime.pool('a')!.stats.pending === 1);
  await proxy.runtime.apply(httpTable(routes, [cluster(fresh.port)]));
  for (const socket of silent.sockets) socket.destroy();
  t.regex(await second.responses(), /fresh$/);
});

test('an endpoint that answers nothing is not waited for alone', async (t) => {
  const deaf = await DeafOrigin.of(t);
  const working = await originFor(t, ({ body }) => ok(`working ${body}`));
  const side = await CallerSide.of(t, meshCluster(endpointOf(deaf.port), endpointOf(working.port)));
  for (let i = 0; i < 4; i++) t.regex(await side.caller.send(post).responses(), /working abc$/);
  t.true(side.witness.finished.every(({ attempts, flags }) => attempts === 1 && flags === ''));
  // Known to be silent, it is left out for a while.
  t.is(side.stats.hedged, 1);
});

test('an endpoint that comes while another answers nothing is dialled too', async (t) => {
  const deaf = await DeafOrigin.of(t);
  const working = await originFor(t, ({ body }) => ok(`working ${body}`));
  const side = await CallerSide.of(t, meshCluster(endpointOf(deaf.port)));
  side.caller.send(post);
  await happened(() => side.stats.connections === 1);
  await side.runtime.apply(httpTable(routes, [meshCluster(endpointOf(deaf.port), endpointOf(working.port))]));
  t.regex(await side.caller.responses(), /working abc$/);
  t.like(side.witness.finished[0], { attempts: 1, flags: '' });
});

test('of two connections the one that stands first is used, be it the earlier', async (t) => {
  const [one, two] = [await DeafOrigin.of(t), await DeafOrigin.of(t)];
  const side = await CallerSide.of(t, meshCluster(endpointOf(one.port)));
  side.caller.send(post);
  await happened(() => side.stats.connections === 1);
  await side.runtime.apply(httpTable(routes, [meshCluster(endpointOf(one.port), endpointOf(two.port))]));
  await happened(() => side.stats.hedged === 1);
  one.listen();
  t.regex(await side.caller.responses(), /late$/);
  t.like(side.witness.finished[0], { attempts: 1, flags: '', status: 200 });
  t.is(side.stats.connections, 2);
});

test('a busy endpoint is not made busier by further handshakes', async (t) => {
  const busy = await rawOrigin(t, () => {});
  const working = await originFor(t, () => ok('working'));
  const side = await CallerSide.of(t, meshCluster(meshed(busy.port)));
  side.caller.send(get);
  await happened(() => busy.sockets.size === 1);
  await side.runtime.apply(httpTable(routes, [meshCluster(meshed(busy.port), endpointOf(working.port))]));
  await new Promise((resolve) => setTimeout(resolve, 700));
  t.like(side.stats, { connections: 1, hedged: 0 });
});

test('what one endpoint refuses another is asked, and the first is left alone for a while', async (t) => {
  const working = await originFor(t, ({ body }) => ok(`working ${body}`));
  const proxy = await TestProxy.http(t, routes, [
    clusterOf('a', [endpointOf(await deadPort(t)), endpointOf(await deadPort(t)), endpointOf(working.port)]),
  ]);
  const caller = await proxy.caller(t);
  for (let i = 0; i < 8; i++) t.regex(await caller.send(post).responses(), /working abc$/);
  const refused = proxy.witness.finished.reduce((sum, { attempts }) => sum + attempts - 1, 0);
  t.true(refused >= 1 && refused <= 2, String(refused));
  t.is(proxy.runtime.pool('a')!.stats.redirected, refused);
});

test('when all refuse, the end comes soon', async (t) => {
  const proxy = await TestProxy.http(t, routes, [
    clusterOf('a', [endpointOf(await deadPort(t)), endpointOf(await deadPort(t))]),
  ]);
  t.regex(
    await (await proxy.caller(t)).send(get).responses(),
    /^HTTP\/1\.1 503 [\s\S]*retried and the latest reset reason: remote connection failure$/,
  );
  t.like(proxy.witness.finished[0], { flags: 'UF', attempts: 9 });
});

test('a sidecar whose application is gone says so, and the request goes to another pod', async (t) => {
  const working = await originFor(t, ({ body }) => ok(`working ${body}`));
  const [leaving, staying] = [await sidecar(t, await deadPort(t)), await sidecar(t, working.port)];
  const side = await CallerSide.of(t, meshCluster(meshed(leaving.port), meshed(staying.port)));
  for (let i = 0; i < 4; i++) {
    const answer = await side.caller.send(post).responses();
    t.regex(answer, /^HTTP\/1\.1 200 OK[\s\S]*working abc$/);
    t.notRegex(answer, /lateen/);
  }
  t.is(leaving.witness.finished.length, 1);
  t.like(leaving.witness.finished[0], { status: 503, flags: 'UF' });
  t.is(side.stats.redirected, 1);
});

test('where there is no other pod the answer is passed on, without the hint', async (t) => {
  const leaving = await sidecar(t, await deadPort(t));
  const side = await CallerSide.of(t, meshCluster(meshed(leaving.port)));
  const answer = await side.caller.send(post).responses();
  t.regex(answer, /^HTTP\/1\.1 503 [\s\S]*reset reason: remote connection failure$/);
  t.notRegex(answer, /lateen/);
  t.like(side.witness.finished[0], { attempts: 1, details: 'via_upstream' });
});

test('an application cannot give the hint itself', async (t) => {
  let asked = 0;
  const lying = await originFor(t, () => {
    asked++;
    return 'HTTP/1.1 503 Service Unavailable\r\nx-lateen-undelivered: 1\r\ncontent-length: 0\r\n\r\n';
  });
  const [one, two] = [await sidecar(t, lying.port), await sidecar(t, lying.port)];
  const side = await CallerSide.of(t, meshCluster(meshed(one.port), meshed(two.port), endpointOf(lying.port)));
  for (let i = 0; i < 3; i++) t.notRegex(await side.caller.send(post).responses(), /lateen/);
  t.is(asked, 3);
});

test('a peer that does not know the hint is not given it', async (t) => {
  const leaving = await sidecar(t, await deadPort(t));
  const { chain, key } = await (await authority).issue(clientUri);
  const socket = connectTls({
    port: leaving.port,
    host: '127.0.0.1',
    cert: chain,
    key,
    ca: (await authority).roots,
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['istio-http/1.1', 'http/1.1'],
  });
  const caller = new Caller(socket);
  t.teardown(() => caller.stop());
  const answer = await caller.send(get).responses();
  t.regex(answer, /^HTTP\/1\.1 503 /);
  t.notRegex(answer, /lateen/);
});
