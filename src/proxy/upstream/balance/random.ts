import type { Balance, Weighed } from './balance.ts';
import { WeightedDraw } from './weighted-draw.ts';

export function random(hosts: readonly Weighed[]): Balance {
  const draw = new WeightedDraw(hosts);
  return { choose: () => hosts[draw.index()].host };
}
