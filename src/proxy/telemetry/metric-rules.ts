import type { Table } from '../config/table.ts';
import { mergeStats, type Stat } from './stat.ts';

/** As the control plane writes it into the metadata of listeners (src/control/model/metric-rules.ts). */
interface SideRules {
  readonly drop?: readonly string[];
  readonly remove?: Readonly<Record<string, readonly string[]>>;
}

export interface MetricRules {
  readonly client?: SideRules;
  readonly server?: SideRules;
}

const metadataName = 'lateen.metrics';

/** The same for all listeners of a proxy; null when nothing is said. */
export function metricRulesOf({ listeners }: Table): MetricRules | null {
  for (const { metadata } of listeners.values()) {
    const rules = metadata?.[metadataName];
    if (rules !== undefined) return rules as MetricRules;
  }
  return null;
}

const label = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * Series without the metrics and labels that are not wanted; those that then say the same are added up. It is done when somebody asks, so
 * that a request costs the same whatever a Telemetry says.
 */
export function underRules(series: readonly Stat[], rules: MetricRules): Stat[] {
  const kept: Stat[] = [];
  for (const stat of series) {
    const side = stat.labels.includes('reporter="destination"') ? rules.server : rules.client;
    if (side?.drop?.includes(stat.family)) continue;
    const removed = side?.remove?.[stat.family] ?? [];
    if (removed.length === 0) {
      kept.push(stat);
      continue;
    }
    const labels = [...stat.labels.matchAll(label)].filter(([, name]) => !removed.includes(name));
    const text = labels.map(([whole]) => whole).join(',');
    kept.push({ ...stat, labels: text, name: `${stat.family}{${text}}` });
  }
  return mergeStats(kept.map((stat) => [stat]));
}
