import type { Balance, Weighed } from './balance.ts';
import { WeightedDraw } from './weighted-draw.ts';

/** The least loaded of a few drawn at random; a host's weight divides its load. */
export function leastRequest(hosts: readonly Weighed[], choices: number): Balance {
  const draw = new WeightedDraw(hosts);
  return {
    choose() {
      let best = hosts[draw.index()];
      for (let i = 1; i < choices; i++) {
        const other = hosts[draw.index()];
        if ((other.host.active + 1) / other.weight < (best.host.active + 1) / best.weight) best = other;
      }
      return best.host;
    },
  };
}
