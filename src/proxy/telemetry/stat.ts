/** Statistics as they are told: Envoy's names with dots, Prometheus' families with labels. */
import { CodeCounters, gauges } from './counters.ts';
import { addHistograms, Histogram, type HistogramSnapshot, histogramText } from './histogram.ts';

export interface Stat {
  /** Envoy's name: dots between its parts. */
  readonly name: string;
  /** The name without what is in the labels, dots between. */
  readonly family: string;
  /** `name="value"`, commas between; ''. */
  readonly labels: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly value: number;
  readonly histogram: HistogramSnapshot | null;
}

/** What stands before the names of a group of statistics, once in a name and once in a family. */
export interface StatScope {
  readonly prefix: string;
  readonly family: string;
  readonly labels: string;
}

export const noScope: StatScope = { prefix: '', family: '', labels: '' };

export const label = (name: string, value: string): string =>
  `${name}="${/["\\\n]/.test(value) ? value.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n') : value}"`;

export function scope(prefix: string, family: string, ...labels: readonly string[]): StatScope {
  return { prefix, family, labels: labels.filter(Boolean).join(',') };
}

const within = (outer: StatScope, part: string): StatScope => ({
  prefix: `${outer.prefix}${part}.`,
  family: `${outer.family}${part}.`,
  labels: outer.labels,
});

const snakes = new Map<string, string>();

/** `downstreamCxHttp1Total` → `downstream_cx_http1_total`, `consecutive5xx` → `consecutive_5xx`. */
function snake(field: string): string {
  let made = snakes.get(field);
  if (made === undefined) {
    made = field.replace(/[A-Z]|5xx/g, (part) => `_${part.toLowerCase()}`);
    snakes.set(field, made);
  }
  return made;
}

export class StatList {
  readonly stats: Stat[] = [];

  add(kind: 'counter' | 'gauge', at: StatScope, name: string, value: number): void {
    this.stats.push({
      name: at.prefix + name,
      family: at.family + name,
      labels: at.labels,
      kind,
      value,
      histogram: null,
    });
  }

  counter(name: string, value: number): void {
    this.add('counter', noScope, name, value);
  }

  gauge(name: string, value: number): void {
    this.add('gauge', noScope, name, value);
  }

  histogram(at: StatScope, name: string, histogram: Histogram): void {
    const { prefix, family, labels } = at;
    this.stats.push({
      name: prefix + name,
      family: family + name,
      labels,
      kind: 'histogram',
      value: histogram.count,
      histogram: histogram.snapshot(),
    });
  }

  /** Every field of an object of counters; objects within count under their own name, null is left out. */
  group(at: StatScope, counters: object): void {
    for (const [field, value] of Object.entries(counters)) {
      const name = snake(field);
      if (typeof value === 'number') this.add(gauges.has(field) ? 'gauge' : 'counter', at, name, value);
      else if (value instanceof Histogram) this.histogram(at, name, value);
      else if (value instanceof CodeCounters) this.codes(at, name, value);
      else if (value !== null) this.group(within(at, name), value);
    }
  }

  /** `NAME_completed`, `NAME_2xx`; single codes for clusters alone, as Envoy tells them. */
  codes(at: StatScope, name: string, codes: CodeCounters): void {
    this.add('counter', at, `${name}_completed`, codes.completed);
    const downstream = name.startsWith('downstream');
    for (let i = 1; i <= 5; i++) {
      if (!downstream && codes.classes[i] === 0) continue;
      const labels = joined(label('envoy_response_code_class', `${i}`), at.labels);
      this.add('counter', { prefix: at.prefix, family: at.family, labels }, `${name}_${i}xx`, codes.classes[i]);
      this.#rename(`${at.family}${name}_xx`);
    }
    if (downstream) return;
    for (const [i, code] of codes.codes.entries()) {
      const labels = joined(label('envoy_response_code', `${code}`), at.labels);
      this.add('counter', { prefix: at.prefix, family: at.family, labels }, `${name}_${code}`, codes.counts[i]);
      this.#rename(`${at.family}${name}`);
    }
  }

  /** The code is in the labels: it leaves the family's name. */
  #rename(family: string): void {
    this.stats.push({ ...this.stats.pop()!, family });
  }
}

const joined = (a: string, b: string): string => (b === '' ? a : `${a},${b}`);

/**
 * What every thread sees in the same way, so that it is told once: members of clusters, what DNS said of them, limits that are
 * reached on one thread at least.
 */
const seenByEach =
  /^(cluster_manager\.warming_clusters|listener_manager\.total_(listeners_warming|listeners_draining|filter_chains_draining))$|^cluster\..*\.(membership_\w+|update_\w+|max_host_weight|lb_subsets_(active|created|removed)|\w+_open|health_check\.(healthy|degraded)|outlier_detection\.ejections_active)$/;

/** One list of what several threads counted. */
export function mergeStats(lists: ReadonlyArray<readonly Stat[]>): Stat[] {
  if (lists.length === 1) return [...lists[0]];
  const merged = new Map<string, Stat>();
  for (const list of lists)
    for (const stat of list) {
      const known = merged.get(stat.name);
      if (known === undefined) {
        merged.set(stat.name, stat);
        continue;
      }
      const histogram =
        known.histogram !== null && stat.histogram !== null ? addHistograms(known.histogram, stat.histogram) : null;
      const value = seenByEach.test(stat.name) ? Math.max(known.value, stat.value) : known.value + stat.value;
      merged.set(stat.name, { ...known, value, histogram });
    }
  return [...merged.values()];
}

/** Prometheus text: one TYPE a family, counters first, then gauges, then histograms, as Envoy orders them. */
export function prometheusText(stats: readonly Stat[]): string {
  const families = new Map<string, Stat[]>();
  for (const stat of stats) {
    const key = `${stat.kind} ${stat.family}`;
    const known = families.get(key);
    if (known === undefined) families.set(key, [stat]);
    else known.push(stat);
  }
  let text = '';
  for (const [, list] of [...families].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { kind, family } = list[0];
    const name = `envoy_${family.replace(/[^a-zA-Z0-9_]/g, '_')}`;
    text += `# TYPE ${name} ${kind}\n`;
    for (const { labels, value, histogram } of list)
      text += histogram === null ? `${name}{${labels}} ${value}\n` : histogramText(name, labels, histogram);
  }
  return text;
}
