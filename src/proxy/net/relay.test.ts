import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import test from 'ava';
import type { Cluster, FilterChain, TcpProxy } from '../config/table.ts';
import { rawOrigin, TestProxy } from '../testing/proxy.ts';
import { chainOf, clusterOf, endpointOf, listenerOf, tableOf, tcpOf } from '../testing/tables.ts';

const tcpTable = (cluster: Cluster, overrides: Partial<TcpProxy> = {}, chain: Partial<FilterChain> = {}) =>
  tableOf({ listeners: [listenerOf([chainOf({ tcp: tcpOf('a', overrides), ...chain })])], clusters: [cluster] });

/** Numbered bytes, so that a piece that is lost, doubled or moved shows. */
function pattern(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) buffer.writeUInt32LE(i, i);
  return buffer;
}

function digestOf(socket: Socket, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  let seen = 0;
  return new Promise((resolve, reject) => {
    socket.on('data', (piece: Buffer) => {
      hash.update(piece);
      seen += piece.length;
      if (seen >= bytes) resolve(`${seen} ${hash.digest('hex')}`);
    });
    socket.on('close', () => reject(new Error(`closed after ${seen} of ${bytes} bytes`)));
  });
}

test('bulk goes both ways at once, whole and in order, past readers that stop now and then', async (t) => {
  const bytes = 24_000_000;
  const sent = pattern(bytes);
  const expected = `${bytes} ${createHash('sha256').update(sent).digest('hex')}`;
  const atOrigin: Array<Promise<string>> = [];
  const halting = (socket: Socket) => {
    const timer = setInterval(() => {
      socket.pause();
      setTimeout(() => socket.resume(), 3);
    }, 8);
    socket.once('close', () => clearInterval(timer));
  };
  const origin = await rawOrigin(t, (socket) => {
    atOrigin.push(digestOf(socket, bytes));
    halting(socket);
    socket.write(sent);
  });
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)])));
  const caller = await proxy.caller(t);
  caller.socket.removeAllListeners('data');
  const atCaller = digestOf(caller.socket, bytes);
  halting(caller.socket);
  caller.socket.write(sent);
  t.is(await atCaller, expected);
  t.is(await atOrigin[0], expected);
});

test('an end passes through while the other direction goes on', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes;
    });
    socket.on('end', () => {
      socket.write(`got ${text}`);
      setTimeout(() => socket.end(', late'), 30);
    });
  });
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)])));
  const caller = await proxy.caller(t);
  caller.send('all of it');
  caller.socket.end();
  t.is(await caller.finished(), 'got all of it, late');
  await proxy.witness.until((witness) => witness.ended.length === 1);
  t.like(proxy.witness.ended[0], { receivedBytes: 9, sentBytes: 19, flags: '' });
  t.is(proxy.witness.opened.length, 1);
});

test('the server may speak first', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.write('220 ready\r\n'));
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)])));
  const caller = await proxy.caller(t);
  await caller.until(() => caller.received === '220 ready\r\n');
  t.pass();
});

test('a reset on one side is a reset on the other', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)])));
  const caller = await proxy.caller(t);
  let code = '';
  caller.socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? '';
  });
  caller.send('x');
  while (!caller.closed) await new Promise((resolve) => setImmediate(resolve));
  t.is(code, 'ECONNRESET');
});

test('what cannot be connected is told with its reason', async (t) => {
  const origin = await rawOrigin(t, () => {});
  origin.stop();
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)])));
  const caller = await proxy.caller(t);
  caller.send('x');
  await proxy.witness.until((witness) => witness.ended.length === 1);
  t.like(proxy.witness.ended[0], { flags: 'UF,URX', upstreamFailure: 'delayed connect error: Connection refused' });
  t.is(proxy.witness.opened.length, 0);
});

test('a silent connection ends after its idle time', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.on('end', () => socket.end()));
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)]), { idleTimeoutMs: 100 }));
  const caller = await proxy.caller(t);
  t.is(await caller.finished(), '');
  await proxy.witness.until((witness) => witness.ended.length === 1);
  t.pass();
});

test('a failed connect is tried again, as often as it may be', async (t) => {
  const origin = await rawOrigin(t, () => {});
  origin.stop();
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)]), { maxConnectAttempts: 3 }));
  const caller = await proxy.caller(t);
  t.is(await caller.finished(), '');
  await proxy.witness.until((witness) => witness.ended.length === 1);
  t.like(proxy.witness.ended[0], { flags: 'UF,URX', attempts: 3 });
});

test('a connection that reaches its longest life ends, and one that the origin breaks off is told', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const proxy = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)]), { maxDurationMs: 50 }));
  t.is(await (await proxy.caller(t)).finished(), '');
  await proxy.witness.until((witness) => witness.ended.length === 1);
  t.is(proxy.witness.ended[0].flags, 'DT');
  const patient = await TestProxy.of(t, tcpTable(clusterOf('a', [endpointOf(origin.port)])));
  (await patient.caller(t)).send('x');
  await patient.witness.until((witness) => witness.ended.length === 1);
  t.is(patient.witness.ended[0].flags, 'UR');
});

test('gates let so many through, and tell the log who was not', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.pipe(socket));
  const cluster = clusterOf('a', [endpointOf(origin.port)]);
  const pair = tcpTable(cluster, {}, { gates: [{ kind: 'connections', max: 1, delayMs: 0 }] });
  const one = await TestProxy.of(t, pair);
  const first = (await one.caller(t)).send('hi');
  await first.until(() => first.received === 'hi');
  t.is(await (await one.caller(t)).finished(), '');
  first.socket.destroy();
  await one.witness.until((witness) => witness.ended.length === 2);
  const next = (await one.caller(t)).send('hi');
  await next.until(() => next.received === 'hi');
  const rate = { kind: 'rate', maxTokens: 1, tokensPerFill: 1, fillMs: 3_600_000 } as const;
  const few = await TestProxy.of(t, tcpTable(cluster, {}, { gates: [rate] }));
  const passed = (await few.caller(t)).send('hi');
  await passed.until(() => passed.received === 'hi');
  t.is(await (await few.caller(t)).finished(), '');
  await few.witness.until((witness) => witness.ended.length === 1);
  t.is(few.witness.ended[0].flags, 'URX');
  t.is(few.runtime.stats.gateClosed, 1);
});

test('a fixed answer is written and the caller let go', async (t) => {
  const answering = chainOf({ answer: Buffer.from('go away') });
  const proxy = await TestProxy.of(t, tableOf({ listeners: [listenerOf([answering])] }));
  t.is(await (await proxy.caller(t)).finished(), 'go away');
});
