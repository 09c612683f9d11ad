import test from 'ava';
import fc from 'fast-check';
import { frameMessage, MessageReader } from './message.ts';
import { decodeGrpcMessage, encodeGrpcMessage, GrpcError } from './status.ts';

test('messages come out as they went in, however the bytes are split', (t) => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 });
  const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(payloads, cuts, (sent, sizes) => {
      const bytes = Buffer.concat(sent.map(frameMessage));
      const reader = new MessageReader(100);
      const received: Buffer[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const end = at + sizes[turn % sizes.length];
        received.push(...reader.push(bytes.subarray(at, end)));
        at = end;
      }
      return (
        !reader.isPartial && Buffer.concat(sent).equals(Buffer.concat(received)) && sent.length === received.length
      );
    }),
  );
  t.pass();
});

test('what is compressed or too large is refused before it is held', (t) => {
  const large = Buffer.from([0, 0, 0, 0, 101]);
  t.is(t.throws<GrpcError>(() => new MessageReader(100).push(large)).code, 'resourceExhausted');
  t.is(t.throws<GrpcError>(() => new MessageReader(100).push(Buffer.from([1, 0, 0, 0, 0]))).code, 'unimplemented');
});

test('any text survives the way through a header', (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 100, unit: 'grapheme' }), (text) => {
      const header = encodeGrpcMessage(text);
      return /^[\x20-\x7e]*$/.test(header) && decodeGrpcMessage(header) === text;
    }),
  );
  t.is(decodeGrpcMessage('100% wrong'), '100% wrong');
  t.true(new GrpcError('internal', 'x') instanceof Error);
});
