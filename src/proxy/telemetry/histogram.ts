/** Upper bounds of the buckets that Envoy tells Prometheus. */
export const bounds: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

export const percentiles: readonly number[] = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];

/** Values of ten digits and more are counted as the largest of these. */
const decades = 10;
const perDecade = 90;

export interface Bin {
  readonly lower: number;
  readonly width: number;
  readonly count: number;
}

/**
 * Counts whole numbers by their first two digits, as Envoy's histograms do: 0 by itself, then ninety bins for each power of
 * ten, made when the first value falls into it.
 */
export class Histogram {
  #zeros = 0;
  #count = 0;
  #sum = 0;
  #decades: Array<Uint32Array | undefined> = [];

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  /** Fractions are dropped. */
  add(value: number): void {
    let digits = Math.floor(value);
    this.#count++;
    if (!(digits > 0)) {
      this.#zeros++;
      return;
    }
    this.#sum += digits;
    let decade = 0;
    if (digits < 10) digits *= 10;
    else {
      decade = 1;
      while (digits >= 100) {
        digits = Math.floor(digits / 10);
        decade++;
      }
      if (decade >= decades) {
        decade = decades - 1;
        digits = 99;
      }
    }
    this.#decades[decade] ??= new Uint32Array(perDecade);
    this.#decades[decade]![digits - 10]++;
  }

  clear(): void {
    this.#zeros = 0;
    this.#count = 0;
    this.#sum = 0;
    this.#decades = [];
  }

  /** The bins that hold something, from the smallest. */
  bins(): Bin[] {
    const bins: Bin[] = this.#zeros > 0 ? [{ lower: 0, width: 0, count: this.#zeros }] : [];
    for (const [decade, counts] of this.#decades.entries()) {
      if (counts === undefined) continue;
      const width = 10 ** (decade - 1);
      for (const [i, count] of counts.entries())
        if (count > 0) bins.push({ lower: decade === 0 ? (i + 10) / 10 : (i + 10) * width, width, count });
    }
    return bins;
  }

  snapshot(): HistogramSnapshot {
    return { bins: this.bins(), count: this.#count, sum: this.#sum };
  }
}

/** A histogram at rest: it can be sent between threads, and added to another. */
export interface HistogramSnapshot {
  readonly bins: readonly Bin[];
  readonly count: number;
  readonly sum: number;
}

export function addHistograms(a: HistogramSnapshot, b: HistogramSnapshot): HistogramSnapshot {
  const bins = new Map<number, Bin>();
  for (const bin of [...a.bins, ...b.bins])
    bins.set(bin.lower, { ...bin, count: bin.count + (bins.get(bin.lower)?.count ?? 0) });
  return {
    bins: [...bins.values()].sort((x, y) => x.lower - y.lower),
    count: a.count + b.count,
    sum: a.sum + b.sum,
  };
}

/** How many values are at most each of `bounds`. */
export function cumulative({ bins }: HistogramSnapshot): number[] {
  let at = 0;
  let total = 0;
  return bounds.map((bound) => {
    while (at < bins.length && bins[at].lower <= bound) total += bins[at++].count;
    return total;
  });
}

/** The value below which `percentile` per cent lie, within its bin by its place there; NaN when there are none. */
export function quantile({ bins, count }: HistogramSnapshot, percentile: number): number {
  const rank = Math.max(1, Math.ceil((count * percentile) / 100 - 1e-9));
  let below = 0;
  for (const bin of bins) {
    if (below + bin.count >= rank) return bin.lower + (bin.width * (rank - below)) / (bin.count + 1);
    below += bin.count;
  }
  return Number.NaN;
}

/** Prometheus text of one series; `labels` without braces. */
export function histogramText(name: string, labels: string, histogram: HistogramSnapshot): string {
  const comma = labels === '' ? '' : ',';
  let text = '';
  for (const [i, count] of cumulative(histogram).entries())
    text += `${name}_bucket{${labels}${comma}le="${bounds[i]}"} ${count}\n`;
  return `${text}${name}_bucket{${labels}${comma}le="+Inf"} ${histogram.count}\n${name}_sum{${labels}} ${histogram.sum}\n${name}_count{${labels}} ${histogram.count}\n`;
}
