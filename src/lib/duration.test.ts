import test from 'ava';
import fc from 'fast-check';
import { formatDurationMs, parseDurationMs } from './duration.ts';

const readings: Array<[string, number | null]> = [
  ['0', 0],
  ['0s', 0],
  ['5s', 5000],
  ['1.5s', 1500],
  ['.5s', 500],
  ['1h30m', 5_400_000],
  ['1h0m0.25s', 3_600_250],
  ['20ms', 20],
  ['1us', 0.001],
  ['1ns', 1e-6],
  ['-2s', -2000],
  ['+2s', 2000],
  ['', null],
  ['s', null],
  ['5', null],
  ['5 s', null],
  ['5s ', null],
  ['5d', null],
  ['1e3s', null],
  ['5s4', null],
  ['--5s', null],
  ['NaNs', null],
  ['9'.repeat(200), null],
];

for (const [text, ms] of readings)
  test(`reads ${JSON.stringify(text).slice(0, 30)}`, (t) => t.is(parseDurationMs(text), ms));

test('writes as Go does', (t) => {
  t.deepEqual([0, 20, 1500, 60_000, 90_000, 3_600_000, 5_400_250, -2000].map(formatDurationMs), [
    '0s',
    '20ms',
    '1.5s',
    '1m',
    '1m30s',
    '1h',
    '1h30m0.25s',
    '-2s',
  ]);
});

test('what is written reads back', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: -(10 ** 12), max: 10 ** 12 }), (ms) => parseDurationMs(formatDurationMs(ms)) === ms),
  );
  t.pass();
});

test('never throws and never gives anything but a number', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const ms = parseDurationMs(text);
      return ms === null || Number.isFinite(ms);
    }),
  );
  t.pass();
});
