import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { output } from './output.ts';
import { Transport } from './transport.ts';

/** A transport, and what arrives at its other end; `writes` counts what it gave to its socket. */
async function pair(t: ExecutionContext) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [peer] = (await once(server, 'connection')) as [Socket];
  if (socket.connecting) await once(socket, 'connect');
  let writes = 0;
  const { write } = socket;
  socket.write = ((...args: Parameters<typeof write>) => {
    writes++;
    return write.apply(socket, args);
  }) as typeof write;
  const transport = new Transport();
  transport.attach(socket);
  t.teardown(() => {
    socket.destroy();
    peer.destroy();
    server.close();
  });
  const chunks: Buffer[] = [];
  peer.on('data', (bytes: Buffer) => chunks.push(bytes));
  const ended = once(peer, 'end');
  return { transport, writes: () => writes, received: () => ended.then(() => Buffer.concat(chunks).toString()) };
}

const say = (transport: Transport, text: string) => transport.send(Buffer.from(text), 0, text.length);

test('what a turn says to each of several peers leaves in one write each, in its order', async (t) => {
  const [a, b] = [await pair(t), await pair(t)];
  output.turn(() => {
    for (let i = 0; i < 20; i++) {
      say(a.transport, `a${i} `);
      say(b.transport, `b${i} `);
    }
  });
  t.deepEqual([a.writes(), b.writes()], [1, 1]);
  a.transport.end();
  b.transport.end();
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  t.is(await a.received(), numbers.map((i) => `a${i} `).join(''));
  t.is(await b.received(), numbers.map((i) => `b${i} `).join(''));
});

test('more than is set aside leaves early, and nothing changes places', async (t) => {
  const [a, b] = [await pair(t), await pair(t)];
  const expected: string[] = [];
  output.turn(() => {
    for (let i = 0; i < 40; i++) {
      const piece = String.fromCharCode(97 + (i % 26)).repeat(i * 997);
      expected.push(piece);
      say(a.transport, piece);
      if (i % 3 === 0) say(b.transport, 'b');
      if (i === 20) a.transport.write(Buffer.from('!'));
      if (i === 20) expected.push('!');
    }
    // Ends within the turn, with bytes set aside.
    say(b.transport, 'end');
    a.transport.end();
  });
  b.transport.end();
  t.is(await a.received(), expected.join(''));
  t.is(await b.received(), `${'b'.repeat(14)}end`);
});

test('a connection that is dropped says no more', async (t) => {
  const [a, b] = [await pair(t), await pair(t)];
  output.turn(() => {
    say(a.transport, 'never');
    say(b.transport, 'b');
    a.transport.destroy();
  });
  b.transport.end();
  t.is(a.writes(), 0);
  t.is(await b.received(), 'b');
});

test('a connection of many streams gathers what several turns say, and sends it once the round is over', async (t) => {
  const a = await pair(t);
  a.transport.gathers = true;
  for (const word of ['one ', 'two ', 'three ']) output.turn(() => say(a.transport, word));
  t.is(a.writes(), 0);
  await new Promise((over) => setImmediate(over));
  t.is(a.writes(), 1);
  // What must leave at once takes along what waits, in its order; so does more than may wait.
  output.turn(() => say(a.transport, 'four '));
  a.transport.write(Buffer.from('five '));
  output.turn(() => say(a.transport, 'x'.repeat(40_000)));
  output.turn(() => say(a.transport, ' six'));
  a.transport.end();
  t.is(await a.received(), `one two three four five ${'x'.repeat(40_000)} six`);
});
