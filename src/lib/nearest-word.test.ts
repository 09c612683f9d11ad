import test from 'ava';
import { nearestWord } from './nearest-word.ts';

const known = [
  'route',
  'redirect',
  'retries',
  'rewrite',
  'timeout',
  'match',
  'mirrorPercentage',
  'http1MaxPendingRequests',
];

const slips: Array<[string, string | null]> = [
  ['rout', 'route'],
  ['timeot', 'timeout'],
  ['tiemout', 'timeout'],
  ['Match', 'match'],
  ['mirror_percentage', 'mirrorPercentage'],
  ['http1MaxPendingRequest', 'http1MaxPendingRequests'],
  ['retrys', 'retries'],
  ['spec', null],
  ['x', null],
  ['', null],
  ['z'.repeat(1000), null],
];

for (const [slip, word] of slips)
  test(`${slip.slice(0, 30) || '(nothing)'} → ${word}`, (t) => t.is(nearestWord(slip, known), word));
