import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import test, { type ExecutionContext } from 'ava';
import { preface } from '../codec/http2-frames.ts';
import type { Cluster } from '../config/table.ts';
import { frame } from '../testing/http2-peer.ts';
import { ok } from '../testing/peers.ts';
import { get, originFor, rawOrigin, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../testing/tables.ts';

interface Answer {
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
  readonly trailers: Record<string, string | string[] | undefined>;
}

async function http2Origin(
  t: ExecutionContext,
  serve: (stream: ServerHttp2Stream, headers: Record<string, string | string[] | undefined>) => void,
): Promise<{ port: number; server: Http2Server; sessions: () => number }> {
  const server = createServer({ settings: { enableConnectProtocol: true } });
  let sessions = 0;
  const open = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions++;
    open.add(session);
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    serve(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const session of open) session.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, server, sessions: () => sessions };
}

async function client(t: ExecutionContext, proxy: TestProxy): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${proxy.runtime.portOf('listener')}`);
  session.on('error', () => {});
  t.teardown(() => session.destroy());
  await once(session, 'connect');
  return session;
}

async function ask(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  body: string | Buffer | null = null,
  trailers: Record<string, string> | null = null,
): Promise<Answer> {
  const stream = session.request({ ':authority': 'shop', ...headers }, { waitForTrailers: trailers !== null });
  if (trailers !== null) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  let received: Answer['trailers'] = {};
  stream.on('trailers', (given) => {
    received = given as Answer['trailers'];
  });
  stream.end(body ?? undefined);
  const [head] = (await once(stream, 'response')) as [Answer['headers']];
  let text = '';
  stream.setEncoding('latin1');
  for await (const piece of stream) text += piece;
  return { headers: head, body: text, trailers: received };
}

function clusterAt(port: number, http: Cluster['http']): Cluster {
  return clusterOf('origin', [endpointOf(port)], { http });
}

const everything = [routeOf('/', forwardOf('origin'))];

test('an HTTP/2 request reaches an HTTP/2 host, with body and trailers both ways', async (t) => {
  const origin = await http2Origin(t, (stream, headers) => {
    let body = '';
    let came: unknown = null;
    stream.on('trailers', (given) => {
      came = given['x-checksum'];
    });
    stream.on('data', (piece) => {
      body += piece;
    });
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-came': String(came) }));
      stream.end(`${headers[':method']} ${headers[':path']} ${headers[':authority']} ${headers['x-a']} ${body}`);
    });
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const session = await client(t, proxy);
  const answer = await ask(session, { ':method': 'POST', ':path': '/a?b', 'x-a': 'one', te: 'trailers' }, 'hello', {
    'x-checksum': 'abc',
  });
  t.is(answer.headers[':status'], 200 as never);
  t.is(answer.body, 'POST /a?b shop one hello');
  t.is(answer.trailers['grpc-status'], '0');
  t.is(answer.trailers['x-came'], 'abc');
});

test('many requests share one upstream connection', async (t) => {
  const origin = await http2Origin(t, (stream, headers) => {
    stream.respond({ ':status': 200 });
    stream.end(String(headers[':path']));
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const session = await client(t, proxy);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(session, { ':path': `/${i}` })));
  t.deepEqual(
    answers.map(({ body }) => body),
    Array.from({ length: 50 }, (_, i) => `/${i}`),
  );
  t.is(origin.sessions(), 1);
});

test('an HTTP/2 request goes to a host of HTTP/1, and back', async (t) => {
  const origin = await originFor(t, ({ head, body }) => ok(`${head}\n${body}`, 'x-up: 1\r\n'));
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http1')]);
  const session = await client(t, proxy);
  const answer = await ask(session, { ':method': 'POST', ':path': '/x', cookie: 'a=b' }, 'hello');
  t.regex(answer.body, /^POST \/x HTTP\/1\.1\r\n/);
  t.regex(answer.body, /\r\nhost: shop/);
  t.regex(answer.body, /\r\ntransfer-encoding: chunked/);
  t.regex(answer.body, /\nhello$/);
  t.is(answer.headers['x-up'], '1');
});

test('a request of HTTP/1 goes to an HTTP/2 host, and back', async (t) => {
  const origin = await http2Origin(t, (stream, headers) => {
    let body = '';
    stream.on('data', (piece) => {
      body += piece;
    });
    stream.on('end', () => {
      stream.respond({ ':status': 201, 'x-auth': String(headers[':authority']) });
      stream.end(`${headers[':method']}:${headers.connection}:${headers.host}:${body}`);
    });
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const request =
    'POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
  const answer = await proxy.ask(t, request);
  t.regex(answer, /^HTTP\/1\.1 201 Created\r\n/);
  t.regex(answer, /\r\nx-auth: shop\r\n/);
  t.regex(answer, /POST:undefined:undefined:hello/);
});

test('a large body goes through small windows both ways, whole', async (t) => {
  const origin = await http2Origin(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const session = await client(t, proxy);
  const body = Buffer.alloc(5_000_000);
  for (let i = 0; i < body.length; i++) body[i] = (i * 7 + (i >> 8)) & 255;
  const answer = await ask(session, { ':method': 'POST', ':path': '/' }, body);
  t.true(Buffer.from(answer.body, 'latin1').equals(body));
});

test('a caller that resets its stream ends the request at the host', async (t) => {
  const seen = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const origin = await http2Origin(t, (stream) => {
    seen.resolve();
    stream.on('close', () => gone.resolve());
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const session = await client(t, proxy);
  const stream = session.request({ ':authority': 'shop', ':path': '/' });
  stream.on('error', () => {});
  await seen.promise;
  stream.close(8);
  await gone.promise;
  await proxy.witness.until(({ finished }) => finished.length === 1);
  t.is(proxy.witness.finished[0].flags, 'DC');
});

test('a stream that the host resets is a failure of the upstream', async (t) => {
  const origin = await http2Origin(t, (stream) => stream.close(2));
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const session = await client(t, proxy);
  const answer = await ask(session, { ':path': '/' });
  t.is(answer.headers[':status'], 503 as never);
  t.regex(answer.body, /reset reason: remote reset/);
  await proxy.witness.until(({ finished }) => finished.length === 1);
  t.is(proxy.witness.finished[0].flags, 'UR');
});

test('the answer to a refused gRPC call is told in gRPC terms', async (t) => {
  const proxy = await TestProxy.http(t, everything, [clusterOf('origin', [], { http: 'http2' })]);
  const session = await client(t, proxy);
  const answer = await ask(session, { ':method': 'POST', ':path': '/s/m', 'content-type': 'application/grpc' });
  t.is(answer.headers[':status'], 200 as never);
  t.is(answer.headers['grpc-status'], '14');
});

test('a websocket of HTTP/1 becomes an extended CONNECT and its bytes go both ways', async (t) => {
  const origin = await http2Origin(t, (stream, headers) => {
    if (headers[':protocol'] !== 'websocket') return stream.close(1);
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const caller = await proxy.caller(t);
  caller.send('GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await caller.until(() => caller.received.includes('\r\n\r\n'));
  t.regex(caller.received, /^HTTP\/1\.1 101 /);
  caller.send('ping');
  await caller.until(() => caller.received.endsWith('ping'));
  t.pass();
});

test('HEAD and 204 have no body, whatever they say of its length', async (t) => {
  const origin = await originFor(t, ({ head }) =>
    head.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n' : 'HTTP/1.1 204 No Content\r\n\r\n',
  );
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http1')]);
  const session = await client(t, proxy);
  const head = await ask(session, { ':method': 'HEAD', ':path': '/' });
  t.is(head.headers['content-length'], '10');
  t.is(head.body, '');
  t.is((await ask(session, { ':path': '/' })).headers[':status'], 204 as never);
});

test('a request of HTTP/1 beside those of HTTP/2 on the same listener', async (t) => {
  const origin = await originFor(t, () => ok('hi'));
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'useDownstream')]);
  t.regex(await proxy.ask(t, get('/')), /^HTTP\/1\.1 200 OK/);
});

test('a host that has answered is sent no reset', async (t) => {
  const received: number[] = [];
  const origin = await rawOrigin(t, (socket) => {
    let kept = Buffer.alloc(0);
    socket.write(frame(4, 0, 0));
    socket.on('data', (bytes: Buffer) => {
      kept = Buffer.concat([kept, bytes]);
      if (kept.indexOf(preface) === 0) kept = kept.subarray(preface.length);
      while (kept.length >= 9 && kept.length >= 9 + kept.readUIntBE(0, 3)) {
        received.push(kept[3]);
        if (kept[3] === 1) socket.write(frame(1, 5, kept.readUInt32BE(5), Buffer.from([0x88])));
        kept = kept.subarray(9 + kept.readUIntBE(0, 3));
      }
    });
  });
  const proxy = await TestProxy.http(t, everything, [clusterAt(origin.port, 'http2')]);
  const session = await client(t, proxy);
  for (let i = 0; i < 20; i++) t.is((await ask(session, { ':path': '/' })).headers[':status'], 200 as never);
  t.is(received.filter((type) => type === 1).length, 20);
  t.false(received.includes(3));
});
