import test from 'ava';
import fc from 'fast-check';
import { TestAuthority } from '../testing/certificates.ts';
import { type ServerHandshake, TlsConnection, type TlsSession } from './connection.ts';
import { TlsContext } from './context.ts';
import { openssl } from './library.ts';

const authority = await TestAuthority.make();
const stranger = await TestAuthority.make();
const limits = { revoked: null, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', parameters: null } as const;
const contextOf = async (from: TestAuthority, name: string) =>
  new TlsContext({ ...limits, certificates: [await from.issue(name)], roots: authority.roots });
const server = await contextOf(authority, 'spiffe://cluster.local/ns/a/sa/server');
const client = await contextOf(authority, 'spiffe://cluster.local/ns/a/sa/client');
const olderClient = new TlsContext({
  ...limits,
  maxVersion: 'TLSv1.2',
  certificates: [await authority.issue('spiffe://cluster.local/ns/a/sa/older')],
  roots: authority.roots,
});
const foreign = await contextOf(stranger, 'spiffe://cluster.local/ns/a/sa/client');

/** One end, with what has been sent to it and what it has understood. */
class End {
  readonly tls: TlsConnection;
  arrived: Buffer[] = [];
  text = '';

  constructor(tls: TlsConnection) {
    this.tls = tls;
  }

  /** Takes in `bytes` as one read of a socket; what it wants to say goes to `other`. */
  take(bytes: Buffer, other: End): void {
    const { tls } = this;
    tls.feed(bytes, bytes.length);
    try {
      const length = tls.established || tls.handshake() ? tls.read() : 0;
      this.text += TlsConnection.plain.toString('latin1', 0, length);
    } finally {
      this.flush(other);
    }
  }

  flush(other: End): void {
    for (let length = this.tls.takeSealed(); length > 0; length = this.tls.takeSealed())
      other.arrived.push(Buffer.from(TlsConnection.sealed.subarray(0, length)));
  }

  say(text: string, other: End): void {
    this.tls.write(Buffer.from(text, 'latin1'), text.length);
    this.flush(other);
  }
}

const strict = { verification: 'enforced', requiresCertificate: true, alpn: 'h2' } as const;

function pair(
  from = client,
  session: TlsSession | null = null,
  onSession: (session: TlsSession) => void = () => {},
  asks: ServerHandshake = strict,
  to = server,
) {
  const caller = new End(
    TlsConnection.client(from, { verification: 'enforced', serverName: 'shop', alpn: ['h2'], session, onSession }),
  );
  const called = new End(TlsConnection.server(to, asks));
  caller.tls.handshake();
  caller.flush(called);
  return { caller, called };
}

/** Moves what has been sent, in pieces of at most `piece` bytes, until nothing is left. */
function move({ caller, called }: { caller: End; called: End }, piece: () => number = () => 65_536): void {
  while (caller.arrived.length + called.arrived.length > 0)
    for (const [to, from] of [
      [called, caller],
      [caller, called],
    ]) {
      const bytes = to.arrived.shift();
      if (bytes === undefined) continue;
      const end = Math.min(bytes.length, piece());
      if (end < bytes.length) to.arrived.unshift(bytes.subarray(end));
      to.take(bytes.subarray(0, end), from);
    }
}

test('however the bytes are split, and whoever speaks meanwhile, each hears what was said to it', (t) => {
  const text = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
  const speech = fc.record({
    connection: fc.nat(2),
    toServer: fc.boolean(),
    text: fc
      .oneof(
        text,
        fc.nat(60_000).map((length) => 'x'.repeat(length + 1)),
      )
      .filter(({ length }) => length > 0),
  });
  const property = fc.property(
    fc.array(speech, { maxLength: 12 }),
    fc.infiniteStream(fc.integer({ min: 1, max: 20_000 })),
    (speeches, pieces) => {
      const pairs = [pair(), pair(), pair()];
      const piece = () => pieces.next().value as number;
      for (const each of pairs) move(each, piece);
      const said = pairs.map(() => ({ called: '', caller: '' }));
      for (const { connection, toServer, text: words } of speeches) {
        const { caller, called } = pairs[connection];
        if (toServer) caller.say(words, called);
        else called.say(words, caller);
        said[connection][toServer ? 'called' : 'caller'] += words;
      }
      // A little of each in turn.
      for (let left = true; left; ) {
        left = false;
        for (const { caller, called } of pairs)
          for (const [to, from] of [
            [called, caller],
            [caller, called],
          ]) {
            const bytes = to.arrived.shift();
            if (bytes === undefined) continue;
            left = true;
            const end = Math.min(bytes.length, piece());
            if (end < bytes.length) to.arrived.unshift(bytes.subarray(end));
            to.take(bytes.subarray(0, end), from);
          }
      }
      for (const [i, { caller, called }] of pairs.entries()) {
        if (caller.text !== said[i].caller || called.text !== said[i].called) return false;
        caller.tls.free();
        called.tls.free();
      }
      return true;
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns: 60 }));
});

test('bytes that are no TLS end one connection, and leave nothing behind for another', (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 6, maxLength: 400 }), fc.boolean(), (bytes, late) => {
    const good = pair();
    const bad = pair();
    move(good);
    if (late) {
      move(bad);
      // A whole record, so that its fate is known now: of application data, sealed by nobody.
      const record = Buffer.concat([Buffer.of(23, 3, 3, bytes.length >> 8, bytes.length & 255), bytes]);
      t.throws(() => bad.called.take(record, bad.caller));
    } else {
      const junk = Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n'), bytes]);
      t.throws(() => new End(TlsConnection.server(server, open)).take(junk, bad.caller));
    }
    good.caller.say('still here', good.called);
    move(good);
    return good.called.text === 'still here';
  });
  t.notThrows(() => fc.assert(property, { numRuns: 100 }));
});

const open = { verification: 'none', requiresCertificate: false, alpn: null } as const;

test('both sides know what was agreed on, and who the other is', (t) => {
  const ends = pair();
  move(ends);
  for (const { tls } of [ends.caller, ends.called]) {
    t.is(tls.alpn, 'h2');
    t.is(tls.version, 'TLSv1.3');
    t.is(tls.cipher, 'TLS_AES_128_GCM_SHA256');
    t.is(tls.verifyError, null);
  }
  t.deepEqual(ends.called.tls.peerCertificate, ends.caller.tls.ownCertificate);
  t.deepEqual(ends.caller.tls.peerCertificate, ends.called.tls.ownCertificate);
  ends.caller.tls.end();
  ends.caller.flush(ends.called);
  move(ends);
  t.true(ends.called.tls.ended);
  ends.called.say('the other way stays open', ends.caller);
  move(ends);
  t.is(ends.caller.text, 'the other way stays open');
});

test('a session is resumed once, after its connection is gone too, and brings the next', (t) => {
  const sessions: TlsSession[] = [];
  const keep = (session: TlsSession) => sessions.push(session);
  const resumes = (session: TlsSession | null) => {
    const ends = pair(client, session, keep);
    move(ends);
    const { resumed } = ends.called.tls;
    t.is(ends.caller.tls.resumed, resumed);
    t.deepEqual(ends.called.tls.peerCertificate, ends.caller.tls.ownCertificate);
    ends.caller.tls.free();
    ends.called.tls.free();
    return resumed;
  };
  t.false(resumes(null));
  t.true(resumes(sessions[0]));
  t.true(resumes(sessions[1]));
  t.false(resumes(sessions[1]));
  t.is(sessions.length, 4);
});

test('a session that the server declines leaves its certificate to nobody else', async (t) => {
  const sessions: TlsSession[] = [];
  const first = pair(client, null, (session) => sessions.push(session));
  move(first);
  t.deepEqual(first.called.tls.peerCertificate, first.caller.tls.ownCertificate);
  // The session goes with SHA-256: it cannot be resumed under another digest, and a full handshake follows.
  const other = await contextOf(authority, 'spiffe://cluster.local/ns/a/sa/other');
  openssl.contextSuites(other.pointer, 'TLS_AES_256_GCM_SHA384');
  const second = pair(other, sessions[0], (session) => sessions.push(session));
  move(second);
  t.is(second.called.tls.cipher, 'TLS_AES_256_GCM_SHA384');
  t.false(second.called.tls.resumed);
  t.deepEqual(second.called.tls.peerCertificate, second.caller.tls.ownCertificate);
  const third = pair(other, sessions.at(-1), () => {});
  move(third);
  t.true(third.called.tls.resumed);
  t.deepEqual(third.called.tls.peerCertificate, third.caller.tls.ownCertificate);
});

test('whose key was forgotten is known by the same certificate when it comes again', (t) => {
  const sessions: TlsSession[] = [];
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const from = version === 'TLSv1.2' ? olderClient : client;
    const first = pair(from, null, (session) => sessions.push(session));
    move(first);
    t.is(first.called.tls.version, version);
    t.deepEqual(first.called.tls.peerCertificate, first.caller.tls.ownCertificate);
    first.called.tls.forgetPeerKey();
    const second = pair(from, sessions.at(-1));
    move(second);
    t.true(second.called.tls.resumed);
    t.deepEqual(second.called.tls.peerCertificate, second.caller.tls.ownCertificate);
  }
});

test('a thousand sessions are kept, those used last', async (t) => {
  const context = await contextOf(authority, 'spiffe://cluster.local/ns/a/sa/busy');
  const offered: TlsSession[] = [];
  const meet = (session: TlsSession | null) => {
    const ends = pair(client, session, (given) => offered.push(given), strict, context);
    move(ends);
    const { resumed } = ends.called.tls;
    ends.caller.tls.free();
    ends.called.tls.free();
    return resumed;
  };
  for (let i = 0; i < 1002; i++) meet(null);
  t.is(context.sessions!.size, 1000);
  t.false(meet(offered[0]));
  t.true(meet(offered[1001]));
  context.free();
  t.is(context.sessions!.size, 0);
});

test('a session from where less was asked for does not pass where more is', (t) => {
  const none = new TlsContext({ ...limits, certificates: [], roots: authority.roots });
  const lax = { verification: 'told', requiresCertificate: false, alpn: 'h2' } as const;
  for (const [from, refusal] of [
    [foreign, /certificate signature failure/],
    [none, /it has shown none/],
  ] as const) {
    const sessions: TlsSession[] = [];
    const first = pair(from, null, (session) => sessions.push(session), lax);
    move(first);
    t.true(first.called.tls.established);
    first.caller.tls.free();
    first.called.tls.free();
    const again = pair(from, sessions[0]);
    t.throws(() => move(again), { message: refusal });
    t.regex(again.called.tls.refusal!, refusal);
    t.false(again.called.tls.established);
  }
});

test('a certificate that was found good is good until it expires, and so are its sessions', async (t) => {
  let sessions: TlsSession[];
  let first: ReturnType<typeof pair>;
  let context: TlsContext;
  let end: number;
  for (let seconds = 2; ; seconds *= 2) {
    end = Date.now() + seconds * 1000;
    const leaf = await authority.issue('spiffe://cluster.local/ns/a/sa/client', 'ecdsa', seconds * 1000);
    context = new TlsContext({ ...limits, certificates: [leaf], roots: authority.roots });
    const given: TlsSession[] = [];
    first = pair(context, null, (session) => given.push(session));
    move(first);
    sessions = given;
    // A busy machine may have taken longer than that.
    if (first.called.tls.established) break;
  }
  const second = pair(context, sessions[0], (session) => sessions.push(session));
  move(second);
  t.true(second.called.tls.resumed);
  t.deepEqual(second.called.tls.peerCertificate, first.called.tls.peerCertificate);
  // Certificates count in whole seconds.
  while (Date.now() < end + 1000) await new Promise((resolve) => setTimeout(resolve, end + 1001 - Date.now()));
  for (const session of [null, sessions[1]]) {
    const late = pair(context, session);
    t.throws(() => move(late), { message: /certificate has expired/ });
  }
});

test('a context that was given up lets its connections be', async (t) => {
  const { chain, key } = await authority.issue('spiffe://cluster.local/ns/a/sa/client');
  const short = new TlsContext({ ...limits, certificates: [{ chain, key }], roots: authority.roots });
  const ends = pair(short);
  short.free();
  short.free();
  move(ends);
  ends.caller.say('after it', ends.called);
  move(ends);
  t.is(ends.called.text, 'after it');
});

test('a client whose certificate comes from elsewhere is told so', (t) => {
  const ends = pair(foreign);
  const error = t.throws(() => move(ends));
  t.regex(error!.message, /certificate signature failure/);
  t.is(ends.called.tls.refusal, error!.message);
  t.regex(t.throws(() => move(ends))!.message, /alert/);
});

test('material that cannot be used is refused with the reason', async (t) => {
  const { chain, key } = await authority.issue('spiffe://cluster.local/ns/a/sa/server');
  const other = await authority.issue('spiffe://cluster.local/ns/a/sa/other');
  const make = (certificate: { chain: Buffer; key: Buffer }, roots: Buffer | null = null) =>
    t.throws(() => new TlsContext({ ...limits, certificates: [certificate], roots })).message;
  t.regex(make({ chain: Buffer.from('nothing'), key }), /holds no certificate/);
  t.regex(make({ chain, key: other.key }), /key values mismatch/);
  t.regex(make({ chain, key }, Buffer.alloc(0)), /holds no certificate/);
});
