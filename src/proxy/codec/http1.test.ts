import test from 'ava';
import fc from 'fast-check';
import { BodyReader } from './body.ts';
import { needMore, refusal } from './head.ts';
import { HeadReader } from './head-reader.ts';
import { HeaderBlock } from './header-block.ts';
import { internName } from './header-names.ts';

const limits = { maxBytes: 4096, maxFields: 20 };

/** Cuts bytes at the given places, taken modulo the length. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const to of [...at, bytes.length]) {
    pieces.push(bytes.subarray(from, to));
    from = to;
  }
  return pieces;
}

/** What a reader makes of pieces: the head in words, and how many bytes it took; or the refusal. */
function readHead(pieces: readonly Buffer[], request: boolean): unknown {
  const reader = new HeadReader(request);
  const block = new HeaderBlock();
  let taken = 0;
  for (const piece of pieces) {
    if (piece.length === 0) continue;
    // A copy, as the read buffer is used again between two reads.
    const bytes = Buffer.from(piece);
    const outcome = reader.read(block, bytes, 0, bytes.length, limits);
    bytes.fill(0);
    if (outcome === needMore) {
      taken += piece.length;
      continue;
    }
    if (outcome < 0) return { outcome, details: refusal.details };
    const fields = Array.from({ length: block.count }, (_, i) => [block.name(i), block.value(i)]);
    const { contentLength, chunked, close, keepAlive, upgrade, host, status, minorVersion } = block;
    return {
      taken: taken + outcome,
      fields,
      contentLength,
      chunked,
      close,
      keepAlive,
      upgrade,
      host,
      status,
      minorVersion,
    };
  }
  return 'more';
}

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
const value = fc.stringMatching(/^[\t -~\u0080-\u00ff]{0,20}$/);
const knownField = fc.constantFrom(
  ['Host', 'a'],
  ['Content-Length', '5'],
  ['Content-Length', '05x'],
  ['Transfer-Encoding', 'chunked'],
  ['transfer-encoding', 'gzip'],
  ['Connection', 'close'],
  ['Connection', 'keep-alive, Upgrade'],
  ['Bad Name', 'x'],
  ['X', 'a\0b'],
  ['X', 'a\nb'],
  ['X', 'a\r\n folded'],
);
const field = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(token, value) },
  { weight: 1, arbitrary: knownField as fc.Arbitrary<[string, string]> },
);
const startLine = fc.constantFrom(
  'GET / HTTP/1.1',
  'POST /a?b=%20 HTTP/1.0',
  'GET http://h/p HTTP/1.1',
  'GET  / HTTP/1.1',
  'get / HTTP/1.2',
  'GET / HTTP/1.1 ',
);
const places = fc.array(fc.nat({ max: 10_000 }), { maxLength: 8 });

test('a request head reads the same however it is cut', (t) => {
  fc.assert(
    fc.property(startLine, fc.array(field, { maxLength: 24 }), places, (line, fields, cuts) => {
      const text = `${line}\r\n${fields.map(([name, text]) => `${name}: ${text}\r\n`).join('')}\r\n`;
      const bytes = Buffer.from(text, 'latin1');
      t.deepEqual(readHead(cut(bytes, cuts), true), readHead([bytes], true));
    }),
    { numRuns: 500 },
  );
});

test('a response head reads the same byte by byte, with what follows left alone', (t) => {
  fc.assert(
    fc.property(
      fc.array(field, { maxLength: 6 }),
      fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 404', 'HTTP/1.1 99 x', 'HTTP/1.1 200\tOK'),
      (fields, line) => {
        const bytes = Buffer.from(
          `${line}\r\n${fields.map(([name, text]) => `${name}:${text}\r\n`).join('')}\r\nBODY`,
          'latin1',
        );
        t.deepEqual(
          readHead(
            [...bytes].map((byte) => Buffer.from([byte])),
            false,
          ),
          readHead([bytes], false),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('fields come out as they went in', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(token, value), { maxLength: 20 }), (fields) => {
      fc.pre(fields.every(([name]) => !/^(host|content-length|transfer-encoding)$/i.test(name)));
      const bytes = Buffer.from(
        `GET / HTTP/1.1\r\n${fields.map(([name, text]) => `${name}: ${text}\r\n`).join('')}\r\n`,
        'latin1',
      );
      const head = readHead([bytes], true) as { fields: unknown };
      t.deepEqual(
        head.fields,
        fields.map(([name, text]) => [name, text.replace(/^[ \t]+|[ \t]+$/g, '')]),
      );
    }),
    { numRuns: 300 },
  );
});

/** All data of a body and where its message ended; 'failed'; or 'more'. */
function readBody(pieces: readonly Buffer[]): unknown {
  const reader = new BodyReader();
  reader.start('chunked', 0);
  const data: Buffer[] = [];
  let taken = 0;
  for (const piece of pieces) {
    let i = 0;
    while (i < piece.length && !reader.done) {
      i = reader.next(piece, i, piece.length);
      if (reader.failed) return 'failed';
      data.push(Buffer.from(piece.subarray(reader.dataStart, reader.dataEnd)));
    }
    taken += i;
    if (reader.done)
      return { data: Buffer.concat(data).toString('latin1'), taken, trailer: reader.trailers?.get('x-t') ?? null };
  }
  return 'more';
}

const chunk = fc.record({
  data: fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' }),
  extension: fc.constantFrom('', ';a', ';a=b', ';a="q"'),
});
const tail = fc.constantFrom(
  '0\r\n\r\nNEXT',
  '0;x\r\nX-T: 1\r\n\r\nNEXT',
  '000\r\n\r\n',
  '0\r\nContent-Length: 1\r\n\r\n',
  '0\r\n bad\r\n\r\n',
  'g\r\n',
  '\r\n',
  '0\n\n',
  '1\r\nab\r\n',
);

test('a chunked body reads the same however it is cut', (t) => {
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 6 }), tail, places, (chunks, end, cuts) => {
      const text =
        chunks.map(({ data, extension }) => `${data.length.toString(16)}${extension}\r\n${data}\r\n`).join('') + end;
      const bytes = Buffer.from(text, 'latin1');
      const whole = readBody([bytes]);
      t.deepEqual(readBody(cut(bytes, cuts)), whole);
      t.deepEqual(readBody([...bytes].map((byte) => Buffer.from([byte]))), whole);
      if (end.includes('NEXT'))
        t.like(whole, {
          data: chunks.map(({ data }) => data).join(''),
          taken: bytes.length - 4,
          trailer: end.includes('X-T') ? '1' : null,
        });
    }),
    { numRuns: 300 },
  );
});

test('no bytes at all crash a reader', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, request) => {
      readHead([Buffer.from(bytes)], request);
      readBody([Buffer.from(bytes)]);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('names are found by number or by text, in either case', (t) => {
  internName('x-interned');
  const block = new HeaderBlock();
  const bytes = Buffer.from('GET / HTTP/1.1\r\nX-Interned: 1\r\nX-Other: 2\r\nx-interned: 3\r\nX-OTHER: 4\r\n\r\n');
  new HeadReader(true).read(block, bytes, 0, bytes.length, limits);
  t.is(block.get('x-interned'), '1,3');
  t.is(block.get('x-other'), '2,4');
  t.is(block.get('x-missing'), null);
  t.not(block.ids[0], 0);
  t.is(block.ids[1], 0);
});
