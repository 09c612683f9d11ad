import test from 'ava';
import fc from 'fast-check';
import { Bucket } from './token-bucket.ts';

test('over any time a bucket gives what it held and what was filled in, and no more', (t) => {
  fc.assert(
    fc.property(
      fc.record({
        maxTokens: fc.nat(50),
        tokensPerFill: fc.integer({ min: 1, max: 20 }),
        fillMs: fc.integer({ min: 50, max: 5000 }),
      }),
      fc.array(fc.nat(3000), { maxLength: 60 }),
      (config, pauses) => {
        const bucket = new Bucket(config, 0);
        let now = 0;
        let given = 0;
        for (const pause of pauses) {
          now += pause;
          if (bucket.take(now)) given++;
        }
        return given <= config.maxTokens + (now * config.tokensPerFill) / config.fillMs + 1e-6;
      },
    ),
  );
  t.pass();
});

test('a bucket that was emptied gives a token again when one has been filled in', (t) => {
  const bucket = new Bucket({ maxTokens: 2, tokensPerFill: 1, fillMs: 1000 }, 0);
  t.deepEqual([bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, false]);
  t.is(bucket.secondsToNext, 1);
  t.false(bucket.take(999));
  t.true(bucket.take(1001));
  t.is(bucket.left, 0);
});
