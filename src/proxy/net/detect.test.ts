import { connect } from 'node:tls';
import test from 'ava';
import fc from 'fast-check';
import { Origin } from '../testing/peers.ts';
import { detect, http2Preface } from './detect.ts';

/** The first bytes that a real TLS client sends. */
async function clientHello(servername: string, alpn: string[]): Promise<Buffer> {
  let taken: (bytes: Buffer) => void = () => {};
  const origin = await new Origin((socket) => socket.once('data', (bytes: Buffer) => taken(bytes))).start();
  const hello = await new Promise<Buffer>((resolve) => {
    taken = resolve;
    connect({ port: origin.port, host: '127.0.0.1', servername, ALPNProtocols: alpn }).on('error', () => {});
  });
  origin.stop();
  return hello;
}

test('a ClientHello tells server name and protocols, once it is whole', async (t) => {
  const hello = await clientHello('outbound_.80_._.a.b', ['istio-http/1.1', 'istio', 'h2']);
  t.deepEqual(detect(hello, hello.length, true, true), {
    kind: 'tls',
    hello: { sni: 'outbound_.80_._.a.b', alpn: ['istio-http/1.1', 'istio', 'h2'] },
  });
  for (let length = 1; length < hello.length; length++) t.is(detect(hello, length, true, true).kind, 'undecided');
  t.is(detect(hello, hello.length, false, true).kind, 'unknown');
});

test('a ClientHello may come in several records', async (t) => {
  const hello = await clientHello('a.b', ['h2']);
  const message = hello.subarray(5);
  const record = (bytes: Buffer) =>
    Buffer.concat([Buffer.from([22, 3, 1, bytes.length >> 8, bytes.length & 255]), bytes]);
  const split = Buffer.concat([
    record(message.subarray(0, 3)),
    record(message.subarray(3, 50)),
    record(message.subarray(50)),
  ]);
  t.like(detect(split, split.length, true, true), { kind: 'tls', hello: { sni: 'a.b', alpn: ['h2'] } });
});

test('damaged bytes of a ClientHello never throw', async (t) => {
  const hello = await clientHello('a.b', ['h2']);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: hello.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 12 }),
      (changes) => {
        const damaged = Buffer.from(hello);
        for (const [at, byte] of changes) damaged[at] = byte;
        detect(damaged, damaged.length, true, true);
      },
    ),
    { numRuns: 3000 },
  );
  t.pass();
});

test('HTTP is told by its first line, other protocols as early as can be', (t) => {
  const kind = (text: string) => {
    const found = detect(Buffer.from(text, 'latin1'), text.length, true, true);
    return found.kind === 'http1' ? found.version : found.kind;
  };
  t.is(kind('GET / HTTP/1.1\r\n'), 'http/1.1');
  t.is(kind('POST /x HTTP/1.0\r\nHost'), 'http/1.0');
  t.is(kind('GET / HT'), 'undecided');
  t.is(kind('PRI * HTTP/2.0\r\n'), 'undecided');
  t.is(kind(String(http2Preface)), 'http2');
  t.is(kind('\0\0\0\x05hello'), 'unknown');
  t.is(kind('*3\r\n$3\r\nSET\r\n'), 'unknown');
  t.is(kind('EHLO mail\r\n'), 'unknown');
  t.is(kind('GET / nothing\r\n'), 'unknown');
  t.is(kind('\x16\x03\x01\x00\x00'), 'unknown');
});
