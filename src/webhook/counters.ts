/** What the webhooks did, as counters under Istio's names in Prometheus' text format. */

interface Counter {
  help: string;
  /** By labels in Prometheus' notation: `{reason="podLabel"}`. */
  values: Map<string, number>;
}

const described = {
  sidecar_injection_requests_total: 'Total number of sidecar injection requests.',
  sidecar_injection_success_total: 'Total number of successful sidecar injection requests.',
  sidecar_injection_failure_total: 'Total number of failed sidecar injection requests.',
  sidecar_injection_skip_total: 'Total number of skipped sidecar injection requests.',
  galley_validation_passed: 'Resource is valid',
  galley_validation_failed: 'Resource validation failed',
} as const;

export type CounterName = keyof typeof described;

/** Label values come from closed sets and from kinds of the API: the number of series is limited by what the cluster serves. */
const maxSeries = 1000;

export class WebhookCounters {
  private readonly counters = new Map<CounterName, Counter>(
    (Object.keys(described) as CounterName[]).map((name) => [name, { help: described[name], values: new Map() }]),
  );

  count(name: CounterName, labels: Readonly<Record<string, string>> = {}): void {
    const values = this.counters.get(name)!.values;
    const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
    const key = pairs.length > 0 ? `{${pairs.join(',')}}` : '';
    if (values.has(key) || values.size < maxSeries) values.set(key, (values.get(key) ?? 0) + 1);
  }

  /** Prometheus' text exposition format 0.0.4. */
  text(): string {
    let text = '';
    for (const [name, { help, values }] of this.counters) {
      if (values.size === 0) continue;
      text += `# HELP ${name} ${help}\n# TYPE ${name} counter\n`;
      for (const [labels, value] of values) text += `${name}${labels} ${value}\n`;
    }
    return text;
  }
}
