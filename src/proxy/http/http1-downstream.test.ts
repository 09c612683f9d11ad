import test from 'ava';
import { ok } from '../testing/peers.ts';
import { get, originFor, rawOrigin, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../testing/tables.ts';

const toA = [routeOf('/', forwardOf('a'))];

test('pipelined requests are answered in order, however they are cut', async (t) => {
  const origin = await originFor(t, ({ head }) => ok(head.split(' ')[1]));
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  const three = `${get('/1')}POST /2 HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${get('/3')}`;
  const bodies = (text: string) => [...text.matchAll(/\r\n\r\n(\/\d)/g)].map((match) => match[1]);
  t.deepEqual(bodies(await caller.send(three).responses(3)), ['/1', '/2', '/3']);
  for (const byte of three) {
    caller.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.deepEqual(bodies(await caller.responses(3)), ['/1', '/2', '/3']);
});

test('HEAD, 204 and 304 have no body, and the connection goes on', async (t) => {
  const origin = await originFor(t, ({ head }) => {
    if (head.startsWith('HEAD')) return 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n';
    if (head.includes('/204')) return 'HTTP/1.1 204 No Content\r\n\r\n';
    if (head.includes('/304')) return 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n';
    return ok('body');
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.send(`HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n${get('/204')}${get('/304')}${get('/')}`);
  await caller.until(() => caller.received.endsWith('body'));
  t.deepEqual(
    [...caller.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]),
    ['200', '204', '304', '200'],
  );
  t.is(origin.connections, 1);
});

test('chunked bodies pass both ways with their trailers', async (t) => {
  const bodies: string[] = [];
  const origin = await originFor(t, ({ body }) => {
    bodies.push(body);
    return 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n2\r\nef\r\n0\r\nx-sum: 6\r\n\r\n';
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.send('POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n');
  await caller.until(() => caller.received.endsWith('x-sum: 6\r\n\r\n'));
  t.deepEqual(bodies, ['hello!']);
  t.regex(caller.received, /transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\nx-sum: 6\r\n\r\n$/);
});

test('a body that ends with the connection reaches an HTTP/1.1 caller in chunks, an HTTP/1.0 caller as it is', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nsome bytes'));
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  t.regex(await proxy.ask(t, get()), /transfer-encoding: chunked\r\n\r\na\r\nsome bytes\r\n0\r\n\r\n$/);
  const old = await proxy.caller(t);
  t.regex(
    await old.send('GET / HTTP/1.0\r\n\r\n').finished(),
    /^HTTP\/1\.1 200 OK\r\n(?![\s\S]*chunked)[\s\S]*connection: close\r\n\r\nsome bytes$/,
  );
});

test('Expect: 100-continue is answered by the proxy', async (t) => {
  const origin = await originFor(t, ({ head, body }) => ok(`${/expect/i.test(head)}${body}`));
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.send('POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
  await caller.until(() => caller.received === 'HTTP/1.1 100 Continue\r\n\r\n');
  caller.received = '';
  t.regex(await caller.send('ab').responses(), /falseab$/);
});

test('a WebSocket upgrade becomes a tunnel both ways', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', (head) => {
      t.regex(String(head), /connection: upgrade\r\nupgrade: websocket/i);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nready');
      socket.on('data', (bytes) => socket.write(`<${bytes}>`));
    });
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.send(get('/', 'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n'));
  await caller.until(() => caller.received.endsWith('ready'));
  t.regex(
    caller.received,
    /^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*connection: upgrade\r\nupgrade: websocket\r\n\r\nready$/,
  );
  caller.send('ping');
  await caller.until(() => caller.received.endsWith('<ping>'));
  caller.socket.end();
  await proxy.witness.until((witness) => witness.finished.length === 1);
  t.is(proxy.witness.finished[0].status, 101);
  t.is(
    await proxy.ask(t, get('/', 'Connection: upgrade\r\nUpgrade: other\r\n')).then((text) => text.slice(0, 12)),
    'HTTP/1.1 403',
  );
});

const hostile: Array<[name: string, request: string, status: number]> = [
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  [
    'length and chunks',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc', 400],
  ['a list of lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc', 400],
  ['a signed length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc', 400],
  ['another coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
  ['a coding with a tab', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n', 400],
  ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
  ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400],
  ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['a bare CR in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n', 400],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400],
  ['no name', 'GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n', 400],
  ['another protocol', 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', 400],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['an authority with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['user information', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['too many fields', `GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(101)}\r\n`, 431],
  ['a head too large', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(62_000)}\r\n\r\n`, 431],
  ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 404],
];

for (const [name, request, status] of hostile) {
  test(`refused: ${name}`, async (t) => {
    const origin = await originFor(t, () => ok('reached'));
    const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
    for (const split of [false, true]) {
      const caller = await proxy.caller(t);
      if (split) {
        caller.send(request.slice(0, 10));
        await new Promise((resolve) => setImmediate(resolve));
        caller.send(request.slice(10));
      } else caller.send(request);
      const answer = name === 'CONNECT' ? await caller.responses() : await caller.finished();
      t.regex(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      if (name !== 'CONNECT') t.regex(answer, /connection: close/);
    }
    t.is(origin.connections, 0);
    t.is(proxy.witness.finished.length, 2);
  });
}

test('a chunk that is none ends the connection, before and after the head was passed on', async (t) => {
  const origin = await originFor(t, () => ok('reached'));
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const body of [
    '3\r\nabcX',
    'g\r\n',
    '-1\r\n',
    '1 \r\na\r\n',
    '0x1\r\na\r\n',
    'ffffffffffffff\r\n',
    '1\na\n',
    '0\r\nContent-Length: 3\r\n\r\n',
  ]) {
    const caller = await proxy.caller(t);
    t.regex(await caller.send(head + body).finished(), /^HTTP\/1\.1 400 Bad Request[\s\S]*connection: close/, body);
  }
  t.true(proxy.witness.finished.every(({ flags, details }) => flags === 'DPE' && details === 'http1.codec_error'));
});

test('an answer of the proxy before the end of the request ends the connection', async (t) => {
  const proxy = await TestProxy.http(t, [routeOf('/', null, { direct: { status: 200, body: Buffer.from('hi') } })], []);
  const small = await proxy.caller(t);
  t.regex(
    await small.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab').finished(),
    /connection: close\r\n\r\nhi$/,
  );
  const large = await proxy.caller(t);
  t.regex(
    await large.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\nab').finished(),
    /connection: close\r\n\r\nhi$/,
  );
});

test('a caller that leaves takes its upstream request with it', async (t) => {
  let reached = 0;
  const origin = await rawOrigin(t, (socket) => {
    socket.on('data', () => {
      reached++;
    });
    socket.on('end', () => socket.end());
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.send(get());
  while (reached === 0) await new Promise((resolve) => setImmediate(resolve));
  caller.stop();
  await proxy.witness.until((witness) => witness.finished.length === 1);
  t.like(proxy.witness.finished[0], { status: 0, flags: 'DC', details: 'downstream_remote_disconnect' });
  while (origin.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  t.pass();
});

test('a slow reader holds the upstream back, and gets every byte', async (t) => {
  const total = 32_000_000;
  const origin = await originFor(t, () =>
    Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`), Buffer.alloc(total, 'z')]),
  );
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.socket.pause();
  caller.send(get());
  // A busy machine takes its time to bring the request that far.
  const held = () => [...origin.sockets][0]?.writableLength ?? 0;
  const untilMs = Date.now() + 10_000;
  while (held() === 0 && Date.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 20));
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.true(held() > 0);
  caller.socket.resume();
  const answer = await caller.responses();
  t.is(answer.length - answer.indexOf('\r\n\r\n') - 4, total);
});

test('a slow upstream holds the caller back, and gets every byte', async (t) => {
  let received = 0;
  const total = 8_000_000;
  const origin = await rawOrigin(t, (socket) => {
    socket.pause();
    setTimeout(() => socket.resume(), 200);
    socket.on('data', (bytes) => {
      received += bytes.length;
      if (bytes.toString('latin1').endsWith('END')) socket.write(ok('done'));
    });
  });
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  caller.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`);
  caller.send(`${'z'.repeat(total - 3)}END`);
  t.regex(await caller.responses(), /done$/);
  t.true(received > total);
  t.is(proxy.witness.finished[0].requestBytes, total);
});

test('a connection takes no more requests than it may, nor for longer', async (t) => {
  const origin = await originFor(t, ({ head }) => ok(head.split(' ')[1]));
  const clusters = [clusterOf('a', [endpointOf(origin.port)])];
  const counted = await TestProxy.http(t, toA, clusters, { maxRequestsPerConnection: 2 });
  const caller = await counted.caller(t);
  const answers = (await caller.send(get('/1') + get('/2') + get('/3')).finished()).split(/(?=HTTP\/1\.1 )/);
  t.deepEqual(
    answers.map((text) => [text.slice(-2), /connection: close/i.test(text)]),
    [
      ['/1', false],
      ['/2', true],
    ],
  );
  const timed = await TestProxy.http(t, toA, clusters, { maxConnectionMs: 30 });
  const lasting = await timed.caller(t);
  const start = Date.now();
  while (Date.now() - start <= 60) await new Promise((resolve) => setTimeout(resolve, 10));
  t.regex(await lasting.send(get('/late')).finished(), /connection: close/i);
});
