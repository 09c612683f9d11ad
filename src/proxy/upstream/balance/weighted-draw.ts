import type { Weighed } from './balance.ts';

/** Draws in proportion to weights. */
export class WeightedDraw {
  readonly equal: boolean;
  private readonly sums: number[] = [];
  private readonly total: number;

  constructor(hosts: readonly Weighed[]) {
    let total = 0;
    for (const { weight } of hosts) {
      total += weight;
      this.sums.push(total);
    }
    this.total = total;
    this.equal = hosts.every(({ weight }) => weight === hosts[0].weight);
  }

  /** The place of one of the hosts. */
  index(): number {
    const { sums } = this;
    if (this.equal) return Math.floor(Math.random() * sums.length);
    const mark = Math.random() * this.total;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle] <= mark) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
