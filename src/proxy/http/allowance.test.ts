import test from 'ava';
import fc from 'fast-check';
import { grpcTimeoutMs, writeGrpcTimeout } from './allowance.ts';

test('a grpc-timeout is read in each unit and rounded up to milliseconds', (t) => {
  t.is(grpcTimeoutMs('2H'), 7_200_000);
  t.is(grpcTimeoutMs('2M'), 120_000);
  t.is(grpcTimeoutMs('2S'), 2000);
  t.is(grpcTimeoutMs('2m'), 2);
  t.is(grpcTimeoutMs('1001u'), 2);
  t.is(grpcTimeoutMs('1n'), 1);
});

test('what is no grpc-timeout is none', (t) => {
  for (const text of [null, '', '5', 'S', '-1S', '1 S', '1s', '123456789m', '1S,2S']) t.is(grpcTimeoutMs(text), null);
});

test('any time that is written is read again, shortened by less than one of the unit that fits it', (t) => {
  fc.assert(
    fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (ms) => {
      const text = writeGrpcTimeout(ms);
      const read = grpcTimeoutMs(text);
      if (read === null) return false;
      const unit = { m: 1, S: 1000, M: 60_000, H: 3_600_000 }[text.at(-1) as 'm' | 'S' | 'M' | 'H'];
      return read <= ms && (ms - read < unit || text === '99999999H');
    }),
  );
  t.pass();
});
