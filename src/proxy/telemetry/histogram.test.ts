import test from 'ava';
import fc from 'fast-check';
import { addHistograms, cumulative, Histogram, histogramText, quantile } from './histogram.ts';

const of = (...values: number[]) => {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram.snapshot();
};

test("quantiles lie within their bin as Envoy's do", (t) => {
  // As Envoy 1.40 showed these values.
  const shown = of(0, 1, 1, 2, 2, 2, 2, 9);
  t.deepEqual(
    [0, 25, 50, 75, 90, 100].map((p) => Number(quantile(shown, p).toFixed(4))),
    [0, 1.0333, 2.02, 2.06, 9.05, 9.05],
  );
  t.is(quantile(of(), 50), Number.NaN);
});

test('buckets count what is at most their bound', (t) => {
  t.deepEqual(cumulative(of(0, 1, 1, 1, 7)).slice(0, 5), [1, 4, 4, 5, 5]);
  t.regex(
    histogramText('x', 'a="b"', of(7)),
    /^x_bucket\{a="b",le="0\.5"\} 0\n[\s\S]*x_sum\{a="b"\} 7\nx_count\{a="b"\} 1\n$/,
  );
});

test('every value is counted once, near its size, and two histograms add up', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 2_000_000_000 })), fc.array(fc.nat({ max: 5000 })), (a, b) => {
      const both = addHistograms(of(...a), of(...b));
      t.deepEqual(both, of(...a, ...b));
      t.is(both.count, a.length + b.length);
      t.is(
        both.bins.reduce((sum, { count }) => sum + count, 0),
        both.count,
      );
      const largest = Math.max(0, ...a, ...b);
      const top = both.bins.at(-1);
      if (top) t.true(top.lower <= largest && largest <= top.lower + Math.max(1, top.width));
    }),
  );
});
