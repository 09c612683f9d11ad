/** What Telemetries say of Istio's metrics: which are kept, and without which labels (istio.io/latest/docs/reference/config/telemetry/#MetricsOverrides). */
import type { Telemetry } from '../../api/istio/telemetry.ts';
import type { Finding } from './access-logging.ts';
import { type Labels, matchesLabels } from './selector.ts';

/** Of one side of a call: `client` is the caller's proxy. */
export interface SideRules {
  /** Names in Prometheus. */
  readonly drop: readonly string[];
  /** Labels by name in Prometheus. */
  readonly remove: Readonly<Record<string, readonly string[]>>;
}

export interface MetricRules {
  readonly client: SideRules;
  readonly server: SideRules;
}

/** By Telemetry's names; what this proxy keeps none of is not here (istio.io/latest/docs/reference/config/metrics). */
const names: Readonly<Record<string, string>> = {
  REQUEST_COUNT: 'istio_requests_total',
  REQUEST_DURATION: 'istio_request_duration_milliseconds',
  REQUEST_SIZE: 'istio_request_bytes',
  RESPONSE_SIZE: 'istio_response_bytes',
  TCP_OPENED_CONNECTIONS: 'istio_tcp_connections_opened_total',
  TCP_CLOSED_CONNECTIONS: 'istio_tcp_connections_closed_total',
  TCP_SENT_BYTES: 'istio_tcp_sent_bytes_total',
  TCP_RECEIVED_BYTES: 'istio_tcp_received_bytes_total',
};

class Side implements SideRules {
  readonly #dropped = new Set<string>();
  readonly #removed = new Map<string, Set<string>>();

  set(metric: string, disabled: boolean): void {
    if (disabled) this.#dropped.add(metric);
    else this.#dropped.delete(metric);
  }

  removeLabel(metric: string, label: string): void {
    const removed = this.#removed.get(metric) ?? new Set();
    this.#removed.set(metric, removed.add(label));
  }

  get drop(): readonly string[] {
    return [...this.#dropped].sort();
  }

  get remove(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries([...this.#removed].map(([metric, labels]) => [metric, [...labels].sort()]));
  }

  get isEmpty(): boolean {
    return this.#dropped.size + this.#removed.size === 0;
  }
}

/**
 * The mesh's Telemetry, then the namespace's, then the workload's: a later one has the last word. Null when nothing is changed.
 *
 * @param found takes what has no effect
 */
export function metricRulesOf(
  telemetries: readonly Telemetry[],
  rootNamespace: string,
  namespace: string,
  labels: Labels,
  found: Finding[],
): MetricRules | null {
  const sides = { CLIENT: new Side(), SERVER: new Side() };
  for (const telemetry of levels(telemetries, rootNamespace, namespace, labels))
    for (const [i, { overrides = [], providers = [] }] of (telemetry.spec.metrics ?? []).entries()) {
      const at = `spec.metrics[${i}]`;
      const others = providers.filter(({ name }) => name !== 'prometheus');
      if (others.length > 0)
        found.push({
          telemetry,
          path: `${at}.providers`,
          message: 'is not used: metrics are for Prometheus to scrape',
        });
      if (providers.length > 0 && others.length === providers.length) continue;
      for (const [j, { match = {}, disabled, tagOverrides = {} }] of overrides.entries()) {
        const path = `${at}.overrides[${j}]`;
        const { metric = 'ALL_METRICS', customMetric, mode = 'CLIENT_AND_SERVER' } = match;
        if (customMetric !== undefined) {
          found.push({
            telemetry,
            path: `${path}.match.customMetric`,
            message: 'is not used: there are none but Istio’s',
          });
          continue;
        }
        const metrics = metric === 'ALL_METRICS' ? Object.values(names) : (names[metric] ?? []);
        for (const side of mode === 'CLIENT_AND_SERVER' ? Object.values(sides) : [sides[mode]])
          for (const name of [metrics].flat()) {
            if (typeof disabled === 'boolean') side.set(name, disabled);
            for (const [label, { operation }] of Object.entries(tagOverrides))
              if (operation === 'REMOVE') side.removeLabel(name, label);
          }
        for (const [label, { operation = 'UPSERT' }] of Object.entries(tagOverrides))
          if (operation === 'UPSERT')
            found.push({
              telemetry,
              path: `${path}.tagOverrides.${label}`,
              message: 'is not used: labels can be taken away, not given other values',
            });
      }
    }
  return sides.CLIENT.isEmpty && sides.SERVER.isEmpty
    ? null
    : { client: plain(sides.CLIENT), server: plain(sides.SERVER) };
}

const plain = ({ drop, remove }: SideRules): SideRules => ({ drop, remove });

/** Of each level the oldest that says anything of metrics. */
function levels(
  telemetries: readonly Telemetry[],
  rootNamespace: string,
  namespace: string,
  labels: Labels,
): Telemetry[] {
  const saying = telemetries.filter(
    ({ spec }) => (spec.metrics?.length ?? 0) > 0 && !spec.targetRef && !spec.targetRefs?.length,
  );
  const selector = ({ spec }: Telemetry): Labels => spec.selector?.matchLabels ?? {};
  const isForAll = (telemetry: Telemetry) => Object.keys(selector(telemetry)).length === 0;
  const of = (place: string) => saying.filter(({ metadata }) => metadata.namespace === place);
  const chosen = [
    of(rootNamespace).find(isForAll),
    namespace === rootNamespace ? undefined : of(namespace).find(isForAll),
    of(namespace).find((telemetry) => !isForAll(telemetry) && matchesLabels(selector(telemetry), labels)),
  ];
  return chosen.filter((telemetry) => telemetry !== undefined);
}
