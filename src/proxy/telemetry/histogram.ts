/** Upper bounds of the buckets that Envoy uses for its Prometheus histograms. */
const bounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

export class Histogram {
  readonly #counts = new Float64Array(bounds.length + 1);
  #sum = 0;

  add(value: number): void {
    let i = 0;
    while (i < bounds.length && value > bounds[i]) i++;
    this.#counts[i]++;
    this.#sum += value;
  }

  /** Prometheus text of one series; `labels` without braces. */
  text(name: string, labels: string): string {
    const comma = labels === '' ? '' : ',';
    let total = 0;
    let text = '';
    for (let i = 0; i < bounds.length; i++) {
      total += this.#counts[i];
      text += `${name}_bucket{${labels}${comma}le="${bounds[i]}"} ${total}\n`;
    }
    total += this.#counts[bounds.length];
    return `${text}${name}_bucket{${labels}${comma}le="+Inf"} ${total}\n${name}_sum{${labels}} ${this.#sum}\n${name}_count{${labels}} ${total}\n`;
  }
}
