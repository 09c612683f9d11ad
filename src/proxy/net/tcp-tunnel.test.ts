import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Cluster, TcpTunnel } from '../config/table.ts';
import { TestProxy } from '../testing/proxy.ts';
import { chainOf, clusterOf, endpointOf, listenerOf, tableOf, tcpOf } from '../testing/tables.ts';

const settings: TcpTunnel = {
  hostname: () => 'db.example.com:5432',
  method: 'CONNECT',
  path: '/',
  headers: null,
};

async function listening(t: ExecutionContext, server: Server | Http2Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Tells what it was asked for, then sends everything back; refuses what is for `refused.example.com:1`. */
function proxyServer(): Server {
  const server = createServer((request, response) => {
    response.write(`${request.method} ${request.url} ${request.headers['x-from'] ?? ''}|`);
    request.pipe(response);
  });
  server.on('connect', (request, socket, head) => {
    const refused = request.url === 'refused.example.com:1';
    socket.write(`HTTP/1.1 ${refused ? 403 : 200} it\r\n${refused ? 'content-length: 0\r\n' : ''}\r\n`);
    if (refused) return;
    socket.write(`${request.url} ${request.headers.host} ${request.headers['x-from'] ?? ''}|`);
    socket.write(head);
    socket.pipe(socket);
  });
  return server;
}

const through = (
  t: ExecutionContext,
  port: number,
  tunnel: Partial<TcpTunnel>,
  cluster: Partial<Cluster> = {},
  attempts = 1,
) =>
  TestProxy.of(
    t,
    tableOf({
      listeners: [
        listenerOf([
          chainOf({ tcp: tcpOf('app', { tunnel: { ...settings, ...tunnel }, maxConnectAttempts: attempts }) }),
        ]),
      ],
      clusters: [clusterOf('app', [endpointOf(port)], cluster)],
    }),
  );

const headers: TcpTunnel['headers'] = {
  add: [{ name: 'x-from', value: 'lateen', action: 'append', keepEmpty: false }],
  remove: [],
};

test('bytes go both ways inside of a CONNECT, and either side may end', async (t) => {
  const port = await listening(t, proxyServer());
  const proxy = await through(t, port, { headers });
  const caller = await proxy.caller(t);
  caller.send('hello');
  await caller.until(() => caller.received.endsWith('|hello'));
  t.is(caller.received, 'db.example.com:5432 db.example.com:5432 lateen|hello');
  caller.send('x'.repeat(300_000));
  await caller.until(() => caller.received.length >= 300_000 + 51);
  caller.socket.end();
  await caller.finished();
  await proxy.witness.until(({ ended }) => ended.length === 1);
  t.like(proxy.witness.ended[0], { flags: '', receivedBytes: 300_005 });
});

test('the same inside of a POST', async (t) => {
  const port = await listening(t, proxyServer());
  const proxy = await through(t, port, { method: 'POST', path: '/tunnel', headers });
  const caller = await proxy.caller(t);
  caller.send('hello');
  await caller.until(() => caller.received.endsWith('|hello'));
  t.is(caller.received, 'POST /tunnel lateen|hello');
  caller.socket.end();
  t.is(await caller.finished(), 'POST /tunnel lateen|hello');
});

test('the same over HTTP/2, several on one connection', async (t) => {
  let sessions = 0;
  const server = createHttp2Server();
  server.on('session', () => sessions++);
  server.on('stream', (stream: ServerHttp2Stream, head) => {
    stream.respond({ ':status': 200 });
    stream.write(`${head[':method']} ${head[':authority']}|`);
    stream.pipe(stream);
  });
  const port = await listening(t, server);
  const proxy = await through(t, port, {}, { http: 'http2' });
  const callers = [await proxy.caller(t), await proxy.caller(t)];
  for (const caller of callers) {
    caller.send('hello');
    await caller.until(() => caller.received.endsWith('|hello'));
    t.is(caller.received, 'CONNECT db.example.com:5432|hello');
  }
  t.is(sessions, 1);
  for (const caller of callers) {
    caller.socket.end();
    await caller.finished();
  }
});

test('a tunnel that is refused, or whose proxy is not there, is tried again as often as told, and then lets the caller go', async (t) => {
  const port = await listening(t, proxyServer());
  for (const [to, reason] of [
    [port, 'the tunnel was answered with 403'],
    [1, 'delayed connect error: Connection refused'],
  ] as const) {
    const proxy = await through(t, to, { hostname: () => 'refused.example.com:1' }, {}, 2);
    const caller = await proxy.caller(t);
    t.is(await caller.send('hello').finished(), '');
    await proxy.witness.until(({ ended }) => ended.length === 1);
    t.like(proxy.witness.ended[0], { flags: 'UF,URX', upstreamFailure: reason, attempts: 2 });
  }
});

test('a caller that goes while the tunnel is being made leaves nothing behind', async (t) => {
  const server = createServer();
  const asked = new Promise<void>((resolve) => server.on('connect', () => resolve()));
  const port = await listening(t, server);
  const proxy = await through(t, port, {});
  const caller = await proxy.caller(t);
  caller.send('hello');
  await asked;
  caller.socket.resetAndDestroy();
  await proxy.witness.until(({ ended }) => ended.length === 1);
  t.is(proxy.runtime.pool('app')?.activeRequests, 0);
});
