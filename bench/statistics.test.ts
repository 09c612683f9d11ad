import test from 'ava';
import { summarize } from './statistics.ts';

test('every figure but the mean is one of the samples', (t) => {
  t.deepEqual(summarize([5, 1, 4, 2, 3]), { count: 5, min: 1, mean: 3, median: 3, p90: 5, max: 5 });
  t.deepEqual(summarize([7]), { count: 1, min: 7, mean: 7, median: 7, p90: 7, max: 7 });
  t.is(summarize([2, 1]).median, 1);
  const ten = summarize([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  t.deepEqual([ten.median, ten.p90], [5, 9]);
  t.throws(() => summarize([]));
});
