import test from 'ava';
import { choose, unusableAddress, usableAddress } from './load-balancer.ts';

const claim = { key: 'infra/gateway', wants: true };

test('the first address that nobody has', (t) => {
  t.is(choose(claim, new Set()), '10.97.0.1');
  t.is(choose(claim, new Set(['10.97.0.1', '10.97.0.3'])), '10.97.0.2');
});

test('an address that is asked for, unless another has it or it is outside of the range', (t) => {
  t.is(choose({ ...claim, asks: usableAddress }, new Set()), usableAddress);
  t.is(choose({ ...claim, asks: usableAddress }, new Set([usableAddress])), null);
  t.is(choose({ ...claim, asks: unusableAddress }, new Set()), null);
});

test('those that may be asked for are given to nobody else', (t) => {
  const taken = new Set<string>();
  for (let ip = choose(claim, taken); ip; ip = choose(claim, taken)) taken.add(ip);
  t.is(taken.size, 199);
  t.false(taken.has(usableAddress));
});
