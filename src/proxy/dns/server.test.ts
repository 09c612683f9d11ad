import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { create } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { NameTableSchema } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import {
  type Answering,
  addressReply,
  askTcp,
  askUdp,
  FakeResolver,
  framed,
  messages,
  question,
  readReply,
  tellUdp,
} from '../testing/dns-peer.ts';
import { dnsText } from './counters.ts';
import { type DnsServer, type DnsServerOptions, startDnsServer } from './server.ts';

const place = { namespace: 'shop', domain: 'shop.svc.cluster.local', search: ['shop.svc.cluster.local'] };
const table = create(NameTableSchema, {
  table: {
    'reviews.shop.svc.cluster.local': { ips: ['10.0.0.1'], registry: 'Kubernetes' },
    'db.example.com': { ips: ['240.240.1.1', 'fd00::1'], registry: 'External' },
    'many.example.com': { ips: Array.from({ length: 200 }, (_, i) => `10.1.0.${i}`), registry: 'External' },
  },
});

async function start(t: ExecutionContext, options: Partial<DnsServerOptions> = {}): Promise<DnsServer> {
  const server = await startDnsServer({ hosts: ['127.0.0.1'], port: 0, place, resolvers: [], ...options });
  t.teardown(() => server.close());
  return server;
}

async function resolver(t: ExecutionContext, answer: Answering): Promise<FakeResolver> {
  const fake = await FakeResolver.start(answer);
  t.teardown(() => fake.close());
  return fake;
}

/** Resolves when the connection is over, in whatever way. */
const closed = (socket: Socket) =>
  new Promise<void>((resolve) => {
    socket.on('error', () => {}).on('close', () => resolve());
    socket.resume();
  });

const at = ({ port }: FakeResolver) => ({ host: '127.0.0.1', port });
const silence: Answering = () => null;
const nine: Answering = (query) => addressReply(query, [9, 9, 9, 9]);

test('before the names are there, nobody is answered and nobody asked', async (t) => {
  const fake = await resolver(t, nine);
  const server = await start(t, { resolvers: [at(fake)] });
  t.false(server.isReady);
  t.like(readReply(await askUdp(server.ports.udp, question({ name: 'db.example.com' }))), { code: 2, records: [] });
  t.is(fake.asked.length, 0);
  server.take(table);
  t.true(server.isReady);
  t.like(readReply(await askUdp(server.ports.udp, question({ name: 'db.example.com' }))), { code: 0 });
});

test("an ordinary client's questions", async (t) => {
  const fake = await resolver(t, nine);
  const server = await start(t, { resolvers: [at(fake)] });
  server.take(table);
  const client = new Resolver({ timeout: 5000, tries: 1 });
  client.setServers([`127.0.0.1:${server.ports.udp}`]);
  t.deepEqual(await client.resolve4('reviews.shop'), ['10.0.0.1']);
  t.deepEqual(await client.resolve4('REVIEWS.shop.svc.cluster.local', { ttl: true }), [
    { address: '10.0.0.1', ttl: 30 },
  ]);
  t.deepEqual(await client.resolve4('db.example.com.shop.svc.cluster.local'), ['240.240.1.1']);
  t.deepEqual(await client.resolve6('db.example.com'), ['fd00::1']);
  await t.throwsAsync(client.resolve6('reviews.shop'), { code: 'ENODATA' });
  t.is(fake.asked.length, 0);
  t.deepEqual(await client.resolve4('elsewhere.example.org'), ['9.9.9.9']);
  t.is(fake.asked.length, 1);
});

test('what is too long for UDP is said to be, and comes whole by TCP', async (t) => {
  const server = await start(t);
  server.take(table);
  const many = question({ name: 'many.example.com' });
  const short = readReply(await askUdp(server.ports.udp, many));
  t.true(short.truncated);
  t.true(short.records.length > 20 && short.records.length < 200);
  const more = readReply(await askUdp(server.ports.udp, question({ name: 'many.example.com', edns: 4000 })));
  t.like(more, { truncated: false, edns: true });
  t.is(more.records.length, 200);
  const [whole] = (await askTcp(server.ports.tcp, many)).map(readReply);
  t.is(whole.records.length, 200);
  t.is(server.counters.truncated, 1);
});

test('other questions go to a resolver, by the protocol they came by, under a number of their own', async (t) => {
  const fake = await resolver(t, (query, protocol) =>
    addressReply(query, protocol === 'udp' ? [1, 1, 1, 1] : [2, 2, 2, 2]),
  );
  const server = await start(t, { resolvers: [at(fake)] });
  server.take(table);
  const mail = question({ id: 1, name: 'db.example.com', type: 15 });
  const udp = await askUdp(server.ports.udp, question({ id: 4321, name: 'a.org', edns: 1232 }));
  t.like(readReply(udp), { id: 4321, records: ['a.org A 1.1.1.1'] });
  t.like(readReply(await askUdp(server.ports.udp, mail)), { id: 1, question: 'db.example.com' });
  const tcp = await askTcp(server.ports.tcp, question({ id: 5, name: 'b.org' }), question({ id: 6, name: 'c.org' }));
  t.deepEqual(
    tcp
      .map(readReply)
      .map(({ id, records }) => [id, ...records])
      .sort(),
    [
      [5, 'b.org A 2.2.2.2'],
      [6, 'c.org A 2.2.2.2'],
    ],
  );
  t.deepEqual(
    fake.asked.map(({ protocol, bytes }) => [protocol, bytes.subarray(2).toString('hex')]).slice(0, 2),
    [question({ name: 'a.org', edns: 1232 }), mail].map((bytes) => ['udp', bytes.subarray(2).toString('hex')]),
  );
  t.is(server.outstanding, 0);
  t.is(server.counters.forwarded, 4);
});

test('a reply that is larger than the client takes is cut to a word of it', async (t) => {
  const fake = await resolver(t, (query) => addressReply(query, [1, 1, 1, 1], Buffer.alloc(1000)));
  const server = await start(t, { resolvers: [at(fake)] });
  server.take(table);
  const reply = await askUdp(server.ports.udp, question({ id: 8, name: 'a.org' }));
  t.like(readReply(reply), { id: 8, truncated: true, records: [] });
});

function withAnotherNumber(query: Buffer): Buffer {
  const reply = addressReply(query, [6, 6, 6, 6]);
  reply.writeUInt16BE(reply.readUInt16BE(0) ^ 1, 0);
  return reply;
}

test('a reply under another number is no reply', async (t) => {
  const liar = await resolver(t, (query, protocol) =>
    protocol === 'udp' ? [withAnotherNumber(query), addressReply(query, [9, 9, 9, 9])] : withAnotherNumber(query),
  );
  const server = await start(t, { resolvers: [at(liar)], attemptMs: 60_000 });
  server.take(table);
  t.like(readReply(await askUdp(server.ports.udp, question({ name: 'a.org' }))), { records: ['a.org A 9.9.9.9'] });
  // By TCP it can only be the resolver's own fault.
  t.like(readReply((await askTcp(server.ports.tcp, question({ name: 'a.org' })))[0]), { code: 2 });
  const flood = await resolver(t, (query) => Array.from({ length: 40 }, () => withAnotherNumber(query)));
  const second = await start(t, { resolvers: [at(flood)], attemptMs: 60_000 });
  second.take(table);
  t.like(readReply(await askUdp(second.ports.udp, question({ name: 'a.org' }))), { code: 2 });
});

test('a resolver that is gone, or silent, gives way to the next', async (t) => {
  const good = await resolver(t, nine);
  // A port at which nobody listens any more.
  const gone = await FakeResolver.start(silence);
  const dead = at(gone);
  gone.close();
  const quiet = await resolver(t, silence);
  for (const [other, attemptMs] of [
    [dead, 60_000],
    [at(quiet), 1000],
  ] as const) {
    const server = await start(t, { resolvers: [other, at(good)], attemptMs });
    server.take(table);
    const asked = Array.from({ length: 10 }, (_, i) => question({ name: `a${i}.org` }));
    const replies = [
      ...asked.map((bytes) => askUdp(server.ports.udp, bytes)),
      ...asked.map((bytes) => askTcp(server.ports.tcp, bytes).then(([reply]) => reply)),
    ];
    for (const reply of await Promise.all(replies)) t.regex(readReply(reply).records[0], /^a\d\.org A 9\.9\.9\.9$/);
  }
  // Both were first in their turn.
  t.true(quiet.asked.length > 0);
});

/** Answers when `open` was called. */
function gated(): { answer: Answering; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { answer: (query, protocol) => promise.then(() => nine(query, protocol)), open: resolve };
}

test('without an answer in time there is a failure', async (t) => {
  const fake = await resolver(t, silence);
  const server = await start(t, { resolvers: [at(fake)], attemptMs: 20 });
  server.take(table);
  t.like(readReply(await askUdp(server.ports.udp, question({ name: 'a.org' }))), { code: 2, question: 'a.org' });
  t.like(readReply((await askTcp(server.ports.tcp, question({ name: 'a.org' })))[0]), { code: 2, question: 'a.org' });
  t.is(server.counters.failed, 2);
  t.is(server.outstanding, 0);
});

test('no more questions wait for a resolver than may; what the table knows is answered meanwhile', async (t) => {
  const { answer, open } = gated();
  const fake = await resolver(t, answer);
  const server = await start(t, { resolvers: [at(fake)], maxOutstanding: 2, attemptMs: 60_000 });
  server.take(table);
  const waiting = ['a.org', 'b.org'].map((name) => askUdp(server.ports.udp, question({ name })));
  await fake.heard(2);
  t.is(server.outstanding, 2);
  t.like(readReply(await askUdp(server.ports.udp, question({ name: 'c.org' }))), { code: 2 });
  t.like(readReply((await askTcp(server.ports.tcp, question({ name: 'd.org' })))[0]), { code: 2 });
  t.is(server.counters.busy, 2);
  t.like(readReply(await askUdp(server.ports.udp, question({ name: 'reviews' }))), { records: ['reviews A 10.0.0.1'] });
  open();
  for (const reply of await Promise.all(waiting)) t.like(readReply(reply), { code: 0 });
  t.is(fake.asked.length, 2);
  t.is(server.outstanding, 0);
});

test('one connection has so many questions under way; the next are read when these are answered', async (t) => {
  const { answer, open } = gated();
  const fake = await resolver(t, answer);
  const server = await start(t, { resolvers: [at(fake)], maxPipelined: 3, attemptMs: 60_000 });
  server.take(table);
  const queries = Array.from({ length: 9 }, (_, id) => question({ id, name: `a${id}.org` }));
  const replies = askTcp(server.ports.tcp, ...queries);
  await fake.heard(3);
  t.is(server.outstanding, 3);
  t.is(server.counters.requests, 3);
  open();
  t.deepEqual((await replies).map((reply) => readReply(reply).id).sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test('what is under way when it closes is abandoned', async (t) => {
  const fake = await resolver(t, silence);
  const server = await start(t, { resolvers: [at(fake), at(fake)], attemptMs: 60_000 });
  server.take(table);
  await tellUdp(server.ports.udp, question({ name: 'a.org' }));
  const stream = connect({ port: server.ports.tcp, host: '127.0.0.1' });
  stream.write(framed(question({ name: 'b.org' })));
  await fake.heard(2);
  server.close();
  await closed(stream);
  t.is(server.outstanding, 0);
});

test('a connection that says nothing, or more than a question, is closed', async (t) => {
  const server = await start(t, { idleMs: 30, maxConnections: 1 });
  server.take(table);
  const silent = connect({ port: server.ports.tcp, host: '127.0.0.1' });
  const silentEnd = closed(silent);
  await once(silent, 'connect');
  silent.write(Buffer.of(0, 20, 1));
  await closed(connect({ port: server.ports.tcp, host: '127.0.0.1' }));
  await silentEnd;
  const long = connect({ port: server.ports.tcp, host: '127.0.0.1' });
  long.write(framed(Buffer.alloc(5000)));
  await closed(long);
  t.is(server.counters.closed, 3);
});

test('a client that reads nothing is dropped', async (t) => {
  const server = await start(t, { maxQueuedBytes: 20_000 });
  server.take(table);
  const socket = connect({ port: server.ports.tcp, host: '127.0.0.1' });
  const queries = Buffer.concat(Array.from({ length: 16 }, () => framed(question({ name: 'many.example.com' }))));
  const dropped = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
  const push = () => {
    while (!socket.destroyed && socket.write(queries));
  };
  socket.on('drain', push);
  push();
  await dropped;
  t.is(server.counters.closed, 1);
});

test('whatever comes by UDP or TCP, the next question is answered', async (t) => {
  const server = await start(t);
  server.take(table);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }), async (noise) => {
      const bytes = noise.map((each) => Buffer.from(each));
      const stream = connect({ port: server.ports.tcp, host: '127.0.0.1', allowHalfOpen: true });
      stream.end(Buffer.concat(bytes));
      const ended = closed(stream);
      for (const each of bytes) await tellUdp(server.ports.udp, each);
      const reply = await askUdp(server.ports.udp, question({ name: 'reviews' }));
      t.like(readReply(reply), { records: ['reviews A 10.0.0.1'] });
      await ended;
    }),
    { numRuns: 30 },
  );
});

test('pieces of a question make a question', async (t) => {
  const server = await start(t);
  server.take(table);
  const socket = connect({ port: server.ports.tcp, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  for (const byte of framed(question({ name: 'reviews' })))
    await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
  for await (const reply of messages(socket)) {
    t.like(readReply(reply), { records: ['reviews A 10.0.0.1'] });
    break;
  }
});

test('a port that is taken is said to be', async (t) => {
  const { ports } = await start(t);
  await t.throwsAsync(startDnsServer({ hosts: ['127.0.0.1'], port: ports.udp, place, resolvers: [] }), {
    message: /^DNS: .*EADDRINUSE.*127\.0\.0\.1/,
  });
});

test('what is counted can be read', async (t) => {
  const server = await start(t);
  server.take(table);
  await askUdp(server.ports.udp, question({ name: 'reviews' }));
  t.regex(dnsText(server.counters), /# TYPE dns_requests_total counter\ndns_requests_total 1\n/);
});
