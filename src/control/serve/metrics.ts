/** Prometheus text of the control plane's own numbers, under Istio's names where Istio has one. */
export class Counter {
  readonly #values = new Map<string, number>();

  add(labels: Readonly<Record<string, string>> = {}, by = 1): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  lines(name: string): string[] {
    return Array.from(this.#values, ([labels, value]) => `${name}${labels} ${value}`);
  }
}

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** Upper bounds, ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    for (const [at, bound] of this.#bounds.entries()) if (value <= bound) this.#counts[at]++;
  }

  lines(name: string): string[] {
    return [
      ...this.#bounds.map((bound, at) => `${name}_bucket{le="${bound}"} ${this.#counts[at]}`),
      `${name}_bucket{le="+Inf"} ${this.#count}`,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${this.#count}`,
    ];
  }
}

export interface Gauge {
  lines(name: string): string[];
}

/** A gauge that is read when it is asked for. */
export const gauge = (read: () => number): Gauge => ({ lines: (name) => [`${name} ${read()}`] });

export class Metrics {
  readonly #all = new Map<string, { help: string; type: string; metric: Counter | Histogram | Gauge }>();

  counter(name: string, help: string): Counter {
    return this.#add(name, help, 'counter', new Counter());
  }

  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    return this.#add(name, help, 'histogram', new Histogram(bounds));
  }

  gauge(name: string, help: string, read: () => number): void {
    this.#add(name, help, 'gauge', gauge(read));
  }

  text(): string {
    const parts = Array.from(this.#all, ([name, { help, type, metric }]) =>
      [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...metric.lines(name)].join('\n'),
    );
    return `${parts.join('\n')}\n`;
  }

  #add<M extends Counter | Histogram | Gauge>(name: string, help: string, type: string, metric: M): M {
    this.#all.set(name, { help, type, metric });
    return metric;
  }
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels);
  if (pairs.length === 0) return '';
  const escaped = pairs.map(
    ([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`,
  );
  return `{${escaped.join(',')}}`;
}
