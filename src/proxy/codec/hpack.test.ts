import test from 'ava';
import fc from 'fast-check';
import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';
import { HeaderBlock } from './header-block.ts';
import { edit } from './header-edit.ts';
import { FieldSection, HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';

const limits = { maxBytes: 1_000_000, maxFields: 10_000 };

function decoded(decoder: HpackDecoder, bytes: Buffer, kind: 'request' | 'response' | 'trailers'): FieldSection | null {
  const section = new FieldSection();
  section.begin(kind, new HeaderBlock(), limits);
  return decoder.decode(bytes, 0, bytes.length, section) ? section : null;
}

const fieldsOf = ({ block }: FieldSection): string[][] =>
  Array.from({ length: block.count }, (_, i) => [block.name(i), block.value(i)]);

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** RFC 7541 appendix C.3, C.4 (requests, the latter in Huffman code): three sections of one connection each. */
const requests: ReadonlyArray<readonly [name: string, sections: readonly string[]]> = [
  [
    'C.3',
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
  ],
  [
    'C.4',
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ],
];

for (const [name, sections] of requests) {
  test(`RFC 7541 ${name}: three requests`, (t) => {
    const decoder = new HpackDecoder();
    const read = sections.map((one) => {
      const { method, scheme, path, authority, fault, ...rest } = decoded(decoder, hex(one), 'request')!;
      return { method, scheme, path, authority, fault, fields: fieldsOf(rest as FieldSection) };
    });
    const common = { method: 'GET', authority: 'www.example.com', fault: '' };
    t.deepEqual(read, [
      { ...common, scheme: 'http', path: '/', fields: [] },
      { ...common, scheme: 'http', path: '/', fields: [['cache-control', 'no-cache']] },
      { ...common, scheme: 'https', path: '/index.html', fields: [['custom-key', 'custom-value']] },
    ]);
  });
}

test('RFC 7541 C.6: a response in Huffman code', (t) => {
  const bytes =
    hex(`4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
    63c7 8f0b 97c8 e9ae 82ae 43d3`);
  const section = decoded(new HpackDecoder(), bytes, 'response')!;
  t.is(section.status, 302);
  t.deepEqual(fieldsOf(section), [
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ]);
});

/** What the encoder writes: the shared output buffer, claimed by nobody that could send it. */
function encoded(write: () => void): Buffer {
  const sink = { sendOutput: () => false } as unknown as Transport;
  output.enter();
  output.claim(sink, 60_000);
  const start = output.length;
  write();
  const bytes = Buffer.from(output.bytes.subarray(start, output.length));
  output.leave();
  return bytes;
}

const names = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,15}$/)
  .filter(
    (name) =>
      !/^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade|te|content-length|cookie|host)$/.test(name),
  );
const values = fc.stringMatching(/^([!-~]([ -~]{0,40}[!-~])?)?$/);
const messages = fc.array(fc.array(fc.tuple(names, values), { maxLength: 12 }), { maxLength: 12 });

test('what is encoded is decoded again, over many messages of a connection and any table size', (t) => {
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 12 }), (given, sizes) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder();
      for (const [i, fields] of given.entries()) {
        if (sizes[i] !== undefined) encoder.limit(sizes[i]);
        // Twice, since a field enters the table when it is seen again.
        for (let times = 0; times < 2; times++) {
          const bytes = encoded(() => {
            encoder.putStatus(200);
            edit.begin(null);
            for (const [name, value] of fields) edit.add(name, value);
            encoder.putFields(null, edit);
          });
          const section = decoded(decoder, bytes, 'response');
          if (section === null || section.fault !== '') throw new Error('not decoded');
          t.deepEqual(
            fieldsOf(section),
            fields.map((field) => [...field]),
          );
        }
      }
    }),
    { numRuns: 60 },
  );
});

/** Fields of a peer that keeps no table of its own: a name by its place in the static table or in full, then the value. */
const literalFields = fc.array(
  fc.record({
    kind: fc.constantFrom(0x00, 0x10, 0x40),
    name: fc.constantFrom(0, 28, 31, 33, 54),
    spelled: fc.constantFrom('grpc-status', 'x-tenant', 'Bad-Name'),
    value: fc.constantFrom('', '0', 'application/grpc', ' bad', 'v'.repeat(200)),
    huffman: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

/** `0` in Huffman code, and what pads it. */
const zeroInHuffman = Buffer.of(0x81, 0x07);

function literal({
  kind,
  name,
  spelled,
  value,
  huffman,
}: (typeof literalFields extends fc.Arbitrary<infer T> ? T : never)[0]) {
  const integer = (bits: number, prefix: number, number: number) => {
    const most = (1 << prefix) - 1;
    return number < most
      ? [bits | number]
      : [
          bits | most,
          ((number - most) & 127) | (number - most > 127 ? 128 : 0),
          ...(number - most > 127 ? [(number - most) >> 7] : []),
        ];
  };
  const string = (text: string) =>
    huffman && text === '0' ? [...zeroInHuffman] : [...integer(0, 7, text.length), ...Buffer.from(text, 'latin1')];
  return Buffer.from([
    ...integer(kind, kind === 0x40 ? 6 : 4, name),
    ...(name === 0 ? string(spelled) : []),
    ...string(value),
  ]);
}

test('literal fields are read the same however often they have come, on whichever connection', (t) => {
  const read = (decoder: HpackDecoder, fields: Buffer[]) => {
    const section = decoded(decoder, Buffer.concat([Buffer.of(0x88), ...fields]), 'response');
    return section && { fault: section.fault, length: section.block.contentLength, fields: fieldsOf(section) };
  };
  fc.assert(
    fc.property(literalFields, (given) => {
      const fields = given.map(literal);
      const decoders = [new HpackDecoder(), new HpackDecoder(), new HpackDecoder()];
      const first = read(decoders[0], fields);
      if (first === null) throw new Error('not decoded');
      for (const decoder of [...decoders, ...decoders]) t.deepEqual(read(decoder, fields), first);
      // The newest entry of the table is the field that was added last, kept or not.
      const added = given.filter(({ kind }) => kind === 0x40).length;
      if (added > 0) t.deepEqual(read(decoders[1], [Buffer.of(190)]), read(decoders[0], [Buffer.of(190)]));
    }),
    { numRuns: 300 },
  );
});

test('what repeats is sent as one byte, and credentials never enter the table', (t) => {
  const encoder = new HpackEncoder();
  const send = () =>
    encoded(() => {
      edit.begin(null);
      edit.add('x-tenant', 'acme');
      edit.add('authorization', 'Bearer secret');
      encoder.putFields(null, edit);
    });
  send();
  send();
  const third = send();
  t.is(third[0], 190);
  t.is(third[1], 0x1f);
  t.true(third.includes('Bearer secret'));
});

test('no bytes make the decoder throw or go on for ever', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      decoded(new HpackDecoder(), Buffer.from(bytes), 'request');
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
