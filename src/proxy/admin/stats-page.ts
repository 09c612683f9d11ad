/** /stats and /stats/prometheus, with Envoy's parameters and layouts. */

import { bounds, cumulative, type HistogramSnapshot, percentiles, quantile } from '../telemetry/histogram.ts';
import { prometheusText, type Stat } from '../telemetry/stat.ts';
import { type Reply, text } from './http-server.ts';
import { compileRegexSearch } from './name-filter.ts';

const kinds: Readonly<Record<string, Stat['kind'] | null>> = {
  All: null,
  Counters: 'counter',
  Gauges: 'gauge',
  Histograms: 'histogram',
};
const bucketModes = ['summary', 'cumulative', 'disjoint', 'detailed'] as const;
type BucketMode = (typeof bucketModes)[number];

const isUsed = ({ kind, value, histogram }: Stat): boolean =>
  kind === 'histogram' ? histogram!.count > 0 : value !== 0;

const byName = (a: Stat, b: Stat): number => (a.name < b.name ? -1 : 1);

/** What the parameters let through, or what is wrong with them. */
function chosen(stats: readonly Stat[], query: URLSearchParams): Stat[] | Reply {
  const type = query.get('type') ?? 'All';
  if (type === 'TextReadouts') return [];
  if (!Object.hasOwn(kinds, type)) return text('invalid &type= param', 400);
  const filter = compileRegexSearch(query.get('filter'));
  if ('fault' in filter) return text(filter.fault, 400);
  const inverted = query.has('invert_filter');
  const usedOnly = query.has('usedonly');
  const kind = kinds[type];
  return stats
    .filter((stat) => (kind === null || stat.kind === kind) && (!usedOnly || isUsed(stat)))
    .filter(({ name }) => filter.test === null || filter.test(name) !== inverted)
    .sort(byName);
}

export function statsPage(stats: readonly Stat[], query: URLSearchParams): Reply {
  const format = query.get('format') ?? 'text';
  if (format === 'prometheus') return prometheusPage(stats, query);
  if (format !== 'text' && format !== 'json') return text('usage: /stats?format=(json|prometheus|text)\n\n', 400);
  const given = query.get('histogram_buckets') ?? '';
  const mode = (given === '' ? 'summary' : given) as BucketMode;
  if (!bucketModes.includes(mode)) return text(`usage: /stats?histogram_buckets=(${bucketModes.join('|')})\n`, 400);
  const list = chosen(stats, query);
  if ('status' in list) return list;
  const plain = list.filter(({ kind }) => kind !== 'histogram');
  const histograms = list.filter(({ kind }) => kind === 'histogram');
  if (format === 'text')
    return text(
      plain.map(({ name, value }) => `${name}: ${value}\n`).join('') +
        histograms.map(({ name, histogram }) => `${name}: ${histogramLine(histogram!, mode)}\n`).join(''),
    );
  const values: object[] = plain.map(({ name, value }) => ({ name, value }));
  if (histograms.length > 0) values.push({ histograms: histogramsJson(histograms, mode) });
  return { status: 200, body: JSON.stringify({ stats: values }), type: 'application/json' };
}

/** `text` beyond `stats` is a metric of another family (Istio's), told first. */
export function prometheusPage(stats: readonly Stat[], query: URLSearchParams, more = ''): Reply {
  const list = chosen(stats, query);
  return 'status' in list ? list : text(more + prometheusText(list));
}

const number = (value: number): string => (Number.isNaN(value) ? 'nan' : `${value}`);

/** Envoy tells the latest interval and all of time; here both are all of time. */
const twice = (value: number | string): string => `(${value},${value})`;

/** How C++ writes a bound with six digits. */
const bound = (value: number): string =>
  value >= 1_000_000 ? value.toExponential().replace(/e\+(\d)$/, 'e+0$1') : `${value}`;

const summary = (histogram: HistogramSnapshot): string =>
  percentiles.map((p) => `P${p}${twice(number(quantile(histogram, p)))}`).join(' ');

function counts(histogram: HistogramSnapshot, mode: BucketMode): number[] {
  const all = cumulative(histogram);
  return mode === 'cumulative' ? all : all.map((count, i) => count - (i === 0 ? 0 : all[i - 1]));
}

function histogramLine(histogram: HistogramSnapshot, mode: BucketMode): string {
  if (histogram.count === 0) return 'No recorded values';
  if (mode === 'summary') return summary(histogram);
  if (mode !== 'detailed')
    return counts(histogram, mode)
      .map((count, i) => `B${bound(bounds[i])}${twice(count)}`)
      .join(' ');
  const bins = histogram.bins.map(({ lower, width, count }) => `${lower},${width}:${count}`).join(', ');
  return `\n  totals=${bins}\n  intervals=${bins}\n  summary=${summary(histogram)}`;
}

function histogramsJson(histograms: readonly Stat[], mode: BucketMode): object {
  const pairs = (histogram: HistogramSnapshot) =>
    percentiles.map((p) => {
      const value = quantile(histogram, p);
      const told = Number.isNaN(value) ? null : value;
      return { cumulative: told, interval: told };
    });
  if (mode === 'summary')
    return {
      supported_quantiles: percentiles,
      computed_quantiles: histograms.map(({ name, histogram }) => ({ name, values: pairs(histogram!) })),
    };
  if (mode !== 'detailed')
    return histograms.map(({ name, histogram }) => ({
      name,
      buckets: counts(histogram!, mode).map((count, i) => ({
        upper_bound: bounds[i],
        interval: count,
        cumulative: count,
      })),
    }));
  return {
    supported_percentiles: percentiles,
    details: histograms.map(({ name, histogram }) => {
      const totals = histogram!.bins.map(({ lower, width, count }) => ({ lower_bound: lower, width, count }));
      return { name, totals, intervals: totals, percentiles: pairs(histogram!) };
    }),
  };
}
