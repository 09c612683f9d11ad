/**
 * Merged metrics: Prometheus scrapes the agent, which adds the application's own metrics (Istio: "Prometheus", option
 * "Metrics merging"; pkg/kube/inject `applyPrometheusMerge`).
 */
import { readFlag } from './annotations.ts';
import { InjectionError } from './pod.ts';

/** Where the application's own metrics are: the value of `ISTIO_PROMETHEUS_ANNOTATIONS`. */
export interface ScrapeTarget {
  scrape: string;
  path: string;
  port: string;
}

const portsOfTheProxy: readonly number[] = [15_000, 15_001, 15_006, 15_008, 15_020, 15_021, 15_053, 15_090];

export interface MergedScrape {
  annotations: Record<string, string>;
  /** Null when the application has no metrics of its own to merge. */
  target: ScrapeTarget | null;
}

/** Null when nothing changes: the pod refuses scraping, or already points at the agent. */
export function mergeScrape(annotations: Readonly<Record<string, string>>, statusPort: number): MergedScrape | null {
  // Prometheus sees `prometheus.io/port` and `prometheus-io/port` as one name.
  const scrape = { scrape: '', path: '', port: '' };
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(annotations)) {
    const field = name.replace(/[^a-zA-Z0-9_]/g, '_').replace(/^prometheus_io_/, '');
    if (name.replace(/[^a-zA-Z0-9_]/g, '_') === `prometheus_io_${field}` && Object.hasOwn(scrape, field))
      scrape[field as keyof typeof scrape] = value;
    else kept[name] = value;
  }
  if (readFlag(scrape.scrape) === false) return null;
  if (scrape.port === String(statusPort)) return null;
  if (scrape.port !== '') {
    const port = Number(scrape.port);
    if (!/^\d{1,5}$/.test(scrape.port) || port < 1 || port > 65_535)
      throw new InjectionError(`annotation prometheus.io/port must be a port, is ${JSON.stringify(scrape.port)}`);
    if (portsOfTheProxy.includes(port))
      throw new InjectionError(`annotation prometheus.io/port must not be a port of the proxy, is ${port}`);
  }
  return {
    annotations: {
      ...kept,
      'prometheus.io/path': '/stats/prometheus',
      'prometheus.io/port': String(statusPort),
      'prometheus.io/scrape': 'true',
    },
    target: scrape.scrape === '' && scrape.path === '' && scrape.port === '' ? null : scrape,
  };
}
