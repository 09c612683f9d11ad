import test from 'ava';
import fc from 'fast-check';
import { encodedName, question, readReply } from '../testing/dns-peer.ts';
import {
  answerTo,
  failureTo,
  formatErrorTo,
  isName,
  isReplyTo,
  maxQueryBytes,
  type Query,
  readQuery,
  replyLimit,
  truncatedTo,
} from './message.ts';

function queryOf(bytes: Buffer): Query {
  const incoming = readQuery(bytes);
  if (incoming.kind !== 'query') throw new Error(incoming.kind);
  return incoming.query;
}

const flag = (bytes: Buffer, at: number, value: number) => {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
};

test('a question for an address', (t) => {
  t.like(queryOf(question({ name: 'Reviews.SHOP.svc' })), { name: 'reviews.shop.svc', family: 4, udpBytes: null });
  t.like(queryOf(question({ name: 'a.b', type: 28, edns: 1232 })), {
    family: 6,
    udpBytes: 1232,
    wantsSignatures: true,
  });
  t.is(queryOf(question({ name: '' })).name, '');
});

test('what the table cannot answer has no name', (t) => {
  t.is(queryOf(question({ name: 'a.b', type: 15 })).name, null);
  t.is(queryOf(flag(question({ name: 'a.b' }), question({ name: 'a.b' }).length - 1, 3)).name, null, 'class CHAOS');
  t.is(queryOf(flag(question({ name: 'a' }), 2, 5 << 3)).questionEnd, 12, 'an update');
  const version1 = question({ name: 'a.b', edns: 512 });
  t.is(queryOf(flag(version1, version1.length - 5, 1)).name, null, 'EDNS 1');
  const dotted = Buffer.concat([question({ name: '' }).subarray(0, 12), Buffer.of(3, 97, 46, 98, 0, 0, 1, 0, 1)]);
  t.is(queryOf(dotted).name, null, 'a dot within a label');
});

test('what is no query stays without an answer, what is malformed is told so', (t) => {
  const good = question({ name: 'a.b', edns: 512 });
  t.is(readQuery(good.subarray(0, 11)).kind, 'ignored');
  t.is(readQuery(flag(good, 2, 0x81)).kind, 'ignored', 'a reply');
  t.is(readQuery(flag(good, 5, 0)).kind, 'malformed', 'no question');
  t.is(readQuery(flag(good, 5, 2)).kind, 'malformed', 'two questions');
  t.is(readQuery(flag(good, 12, 0xc0)).kind, 'malformed', 'a compressed name');
  t.is(readQuery(flag(good, 11, 2)).kind, 'malformed', 'a record that is not there');
  t.is(readQuery(good.subarray(0, good.length - 1)).kind, 'malformed', 'cut off');
  t.is(readQuery(Buffer.concat([flag(good, 11, 2), good.subarray(-11)])).kind, 'malformed', 'EDNS twice');
  t.is(readQuery(Buffer.concat([good, Buffer.alloc(maxQueryBytes)])).kind, 'malformed', 'too long');
  const long = Array.from({ length: 4 }, () => 'x'.repeat(62)).join('.');
  t.is(queryOf(question({ name: `${long}.z` })).name, `${long}.z`, '255 bytes');
  t.is(readQuery(question({ name: `${long}.zz` })).kind, 'malformed', '256 bytes');
});

test('no bytes are too strange to read, and every answer to them can be read', (t) => {
  const near = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 255 }), fc.boolean()).map(([at, value, edns]) => {
    const bytes = question({ name: 'a.example.com', edns: edns ? 1232 : undefined });
    bytes[at % bytes.length] = value;
    return bytes;
  });
  const any = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(near, any), fc.uint8Array({ maxLength: 600 }), (bytes, other) => {
      const incoming = readQuery(bytes);
      if (incoming.kind === 'malformed') readReply(formatErrorTo(bytes));
      if (incoming.kind !== 'query') return;
      const { query } = incoming;
      for (const reply of [failureTo(bytes, query, 2), truncatedTo(bytes, query)]) {
        readReply(reply);
        t.true(isReplyTo(reply, bytes, query) || query.questionEnd === 12);
      }
      isReplyTo(Buffer.from(other), bytes, query);
      isReplyTo(bytes, bytes, query);
    }),
    { numRuns: 2000 },
  );
});

const addresses = (count: number) => Array.from({ length: count }, (_, i) => Buffer.of(10, 0, i >> 8, i & 255));

test('an answer has every address, and its alias first', (t) => {
  const bytes = question({ id: 99, name: 'Www.Example.com.shop.svc.cluster.local' });
  const query = queryOf(bytes);
  const reply = answerTo(bytes, query, { alias: 'www.example.com', addresses: addresses(2), ttlSeconds: 30 }, 512);
  t.deepEqual(readReply(reply), {
    id: 99,
    code: 0,
    authoritative: true,
    truncated: false,
    question: 'Www.Example.com.shop.svc.cluster.local',
    records: [
      'Www.Example.com.shop.svc.cluster.local CNAME www.example.com',
      'www.example.com A 10.0.0.0',
      'www.example.com A 10.0.0.1',
    ],
    edns: false,
  });
  const none = readReply(answerTo(bytes, query, { alias: 'x', addresses: [], ttlSeconds: 30 }, 512));
  t.like(none, { code: 0, records: [] });
});

test('an answer never passes its limit; what is left out is said to be', (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 400 }), fc.option(fc.nat({ max: 65_535 })), fc.boolean(), (count, edns, hasAlias) => {
      const bytes = question({ name: 'a.example.com', edns: edns ?? undefined });
      const query = queryOf(bytes);
      const limit = replyLimit(query, 'udp');
      t.true(limit >= 512 && limit <= 4096);
      const alias = hasAlias ? 'example.com' : null;
      const reply = answerTo(bytes, query, { alias, addresses: addresses(count), ttlSeconds: 30 }, limit);
      t.true(reply.length <= limit);
      const read = readReply(reply);
      const expected = count + (hasAlias && count > 0 ? 1 : 0);
      t.is(read.truncated, read.records.length < expected);
      t.is(read.edns, edns !== null);
    }),
  );
  t.is(replyLimit(queryOf(question({ name: 'a' })), 'tcp'), 65_535);
});

test('a reply is one to its own question alone', (t) => {
  const bytes = question({ id: 5, name: 'a.b' });
  const query = queryOf(bytes);
  const reply = failureTo(bytes, query, 3);
  t.true(isReplyTo(reply, bytes, query));
  t.true(isReplyTo(failureTo(question({ id: 5, name: 'A.B' }), query, 3), bytes, query));
  t.false(isReplyTo(bytes, bytes, query));
  t.false(isReplyTo(failureTo(question({ id: 6, name: 'a.b' }), query, 3), bytes, query));
  t.false(isReplyTo(failureTo(question({ id: 5, name: 'a.c' }), query, 3), bytes, query));
  t.false(isReplyTo(failureTo(question({ id: 5, name: 'a.b', type: 28 }), query, 3), bytes, query));
  t.true(isReplyTo(formatErrorTo(bytes), bytes, query), 'a server that could not read the question');
  t.false(isReplyTo(flag(formatErrorTo(bytes), 3, 0), bytes, query));
});

test('names that cannot be asked for are none', (t) => {
  t.true(isName('a.example.com'));
  for (const name of ['', 'a..b', '.a', 'a.', 'x'.repeat(64), `${'x.'.repeat(130)}y`]) t.false(isName(name), name);
  t.is(encodedName('a.b').length, 5);
});
