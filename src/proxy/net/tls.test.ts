import { once } from 'node:events';
import { connect as connectHttp2, createServer, type ServerHttp2Stream } from 'node:http2';
import { connect, createSecureContext } from 'node:tls';
import test from 'ava';
import type { DownstreamTls, Table, UpstreamTls } from '../config/table.ts';
import { createRuntime } from '../runtime.ts';
import { secretsOf, TestAuthority } from '../testing/certificates.ts';
import { Caller, httpOrigin, Origin, ok, Witness } from '../testing/peers.ts';
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
  tcpOf,
  tlsDefaults,
} from '../testing/tables.ts';

const clientUri = 'spiffe://cluster.local/ns/default/sa/client';
const serverUri = 'spiffe://cluster.local/ns/default/sa/server';

const downstreamTls: DownstreamTls = {
  ...tlsDefaults,
  certificates: ['default'],
  trust: 'ROOTCA',
  requireClientCertificate: true,
  scansAll: false,
  alpn: ['h2', 'http/1.1'],
};

const upstreamTls = (name = serverUri): UpstreamTls => ({
  ...tlsDefaults,
  certificate: 'default',
  trust: 'ROOTCA',
  sni: 'outbound_.80_._.server.default.svc.cluster.local',
  autoSni: false,
  autoSan: false,
  alpn: ['istio-peer-exchange', 'istio'],
  subjectAltNames: [{ type: 'any', test: (value) => value === name, text: `exact "${name}"` }],
});

/** An inbound sidecar under PERMISSIVE rules, as the control plane writes it: mesh TLS for HTTP and TCP, and plain text. */
function inbound(port: number, strict = false): Table {
  const http = managerOf({ forwardClientCert: 'appendForward', serverHeader: 'passThrough' });
  const match = chainOf({}).match;
  return tableOf({
    listeners: [
      listenerOf(
        [
          chainOf({
            name: 'mesh-http',
            match: {
              ...match,
              transportProtocol: 'tls',
              applicationProtocols: ['istio-http/1.0', 'istio-http/1.1', 'istio-h2'],
            },
            tls: downstreamTls,
            http,
          }),
          chainOf({
            name: 'mesh-tcp',
            match: { ...match, transportProtocol: 'tls', applicationProtocols: ['istio-peer-exchange', 'istio'] },
            tls: downstreamTls,
            tcp: tcpOf('app'),
          }),
          ...(strict
            ? []
            : [chainOf({ name: 'plain-http', match: { ...match, transportProtocol: 'raw_buffer' }, http })]),
        ],
        { inspect: { originalDst: false, tls: true, http: true } },
      ),
    ],
    clusters: [clusterOf('app', [endpointOf(port)], { http: 'useDownstream' })],
    routes: [routesOf('routes', hostOf([routeOf('/', forwardOf('app'))]))],
  });
}

async function mesh(strict = false, required = serverUri) {
  const authority = await TestAuthority.make();
  const heads: string[] = [];
  const app = await httpOrigin(({ head }) => {
    heads.push(head);
    return ok('hello');
  }).start();
  const serverWitness = new Witness();
  const server = await createRuntime({
    table: inbound(app.port, strict),
    secrets: await secretsOf(authority, serverUri),
    telemetry: serverWitness,
  });
  const clientWitness = new Witness();
  const port = server.portOf('listener');
  const client = await createRuntime({
    table: httpTable(
      [routeOf('/', forwardOf('server'))],
      [clusterOf('server', [endpointOf(port)], { tls: upstreamTls(required), http: 'useDownstream' })],
    ),
    secrets: await secretsOf(authority, clientUri),
    telemetry: clientWitness,
  });
  return {
    authority,
    heads,
    app,
    server,
    client,
    serverWitness,
    clientWitness,
    port,
    async stop() {
      await client.close();
      await server.close();
      app.stop();
    },
  };
}

const get = 'GET / HTTP/1.1\r\nHost: server\r\n\r\n';

test('two sidecars speak mutual TLS and the server learns who called', async (t) => {
  const m = await mesh();
  const caller = await Caller.to(m.client.portOf('listener'));
  t.regex(await caller.send(get).responses(), /^HTTP\/1\.1 200 OK[\s\S]*hello$/);
  t.regex(await caller.send(get).responses(), /^HTTP\/1\.1 200 OK[\s\S]*hello$/);
  t.regex(
    m.heads[0],
    new RegExp(`x-forwarded-client-cert: By=${serverUri};Hash=[0-9a-f]{64};Subject="";URI=${clientUri}`),
  );
  t.is(m.serverWitness.finished.length, 2);
  t.is(m.server.stats.accepted, 1);
  caller.stop();
  await m.stop();
});

test('a second handshake with the same server resumes the first session', async (t) => {
  const m = await mesh();
  const { chain, key } = await m.authority.issue(clientUri);
  const context = createSecureContext({ cert: chain, key, ca: m.authority.roots });
  const dial = (session?: Buffer) =>
    connect({
      port: m.port,
      host: '127.0.0.1',
      secureContext: context,
      session,
      ALPNProtocols: ['istio-http/1.1'],
      checkServerIdentity: () => undefined,
    });
  const first = dial();
  const session: Promise<Buffer[]> = once(first, 'session') as never;
  first.write(get);
  const [ticket] = await session;
  await once(first, 'data');
  first.destroy();
  const second = dial(ticket);
  second.write(get);
  const [bytes] = await once(second, 'data');
  t.true(second.isSessionReused());
  t.regex(String(bytes), /^HTTP\/1\.1 200 OK/);
  t.regex(m.heads[1], new RegExp(`URI=${clientUri}`));
  second.destroy();
  await m.stop();
});

test('a caller without a certificate, or with a foreign one, is refused; plain text passes only under PERMISSIVE', async (t) => {
  const m = await mesh();
  const stranger = await TestAuthority.make();
  const foreign = await stranger.issue(clientUri);
  for (const identity of [{}, { cert: foreign.chain, key: foreign.key }]) {
    const socket = connect({
      port: m.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['istio-http/1.1'],
      ...identity,
    });
    socket.on('error', () => {});
    socket.write(get);
    let received = '';
    socket.on('data', (bytes) => {
      received += bytes;
    });
    await new Promise((closed) => socket.once('close', closed));
    t.is(received, '');
  }
  t.is(m.server.stats.tlsFailed, 2);
  const plain = await Caller.to(m.port);
  t.regex(await plain.send(get).responses(), /^HTTP\/1\.1 200 OK/);
  plain.stop();
  t.is(m.heads.length, 1);
  await m.stop();

  const strict = await mesh(true);
  const refused = await Caller.to(strict.port);
  t.is(await refused.send(get).finished(), '');
  t.is(strict.server.stats.noFilterChain, 1);
  await strict.stop();
});

test('a server with the wrong name is not spoken to', async (t) => {
  const m = await mesh(false, 'spiffe://cluster.local/ns/default/sa/other');
  const caller = await Caller.to(m.client.portOf('listener'));
  t.regex(await caller.send(get).responses(), /^HTTP\/1\.1 503 [\s\S]*reset reason: remote connection failure$/);
  t.is(m.clientWitness.finished[0].flags, 'UF');
  t.regex(m.clientWitness.finished[0].upstreamFailure, /holds none of the required names/);
  t.is(m.heads.length, 0);
  caller.stop();
  await m.stop();
});

test('TCP goes through mutual TLS both ways, and either side may end first', async (t) => {
  const m = await mesh();
  const echo = await new Origin((socket) => {
    socket.on('data', (bytes) => socket.write(bytes));
    socket.on('end', () => socket.end('bye'));
  }).start();
  const table = inbound(echo.port);
  await m.server.apply(table);
  await m.client.apply(
    tableOf({
      listeners: [listenerOf([chainOf({ tcp: tcpOf('server') })])],
      clusters: [clusterOf('server', [endpointOf(m.port)], { tls: upstreamTls(), hash: 'tcp' })],
    }),
  );
  const caller = await Caller.to(m.client.portOf('listener'));
  const text = 'x'.repeat(300_000);
  caller.send(text);
  await caller.until(() => caller.received.length === text.length);
  caller.socket.end();
  t.is((await caller.finished()).slice(text.length), 'bye');
  await m.clientWitness.until((witness) => witness.ended.length === 1);
  await m.serverWitness.until((witness) => witness.ended.length === 1);
  const [session] = m.serverWitness.ended;
  t.is(session.connection.peer?.principal, clientUri);
  t.is(session.receivedBytes, 300_000);
  t.is(session.sentBytes, 300_003);
  t.is(m.clientWitness.ended[0].flags, '');
  echo.stop();
  await m.stop();
});

test('HTTP/2 passes through two sidecars', async (t) => {
  const m = await mesh();
  const app = createServer();
  app.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.respond({ ':status': 200, 'x-path': headers[':path'] });
    stream.end('over h2');
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  await m.server.apply(inbound((app.address() as { port: number }).port));
  const client = connectHttp2(`http://127.0.0.1:${m.client.portOf('listener')}`);
  for (const path of ['/a', '/b']) {
    const stream = client.request({ ':path': path });
    const [headers] = await once(stream, 'response');
    t.is(headers['x-path'], path);
    let body = '';
    for await (const bytes of stream) body += bytes;
    t.is(body, 'over h2');
  }
  client.close();
  await m.serverWitness.until(({ finished }) => finished.length === 2);
  t.deepEqual(
    m.serverWitness.finished.map(({ path, status, alpn }) => ({ path, status, alpn })),
    ['/a', '/b'].map((path) => ({ path, status: 200, alpn: 'h2' })),
  );
  app.close();
  await m.stop();
});
