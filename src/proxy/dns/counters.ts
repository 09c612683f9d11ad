/** What the DNS server counts, under Istio's names where it has any (pkg/dns/client/monitoring.go). */

export class DnsCounters {
  requests = 0;
  forwarded = 0;
  /** No resolver answered in time. */
  failed = 0;
  /** Refused since too many questions were under way. */
  busy = 0;
  malformed = 0;
  /** Bytes that are no question at all, left without an answer. */
  ignored = 0;
  /** Answers that did not fit into what the sender takes by UDP. */
  truncated = 0;
  /** Connections closed: too many, too slow, or with too much that nobody reads. */
  closed = 0;
}

const families: ReadonlyArray<[keyof DnsCounters, string, string]> = [
  ['requests', 'dns_requests_total', 'DNS requests.'],
  ['forwarded', 'dns_upstream_requests_total', 'DNS requests forwarded to resolvers.'],
  ['failed', 'dns_upstream_failures_total', 'DNS requests that no resolver answered in time.'],
  ['busy', 'dns_overload_total', 'DNS requests refused since too many were under way.'],
  ['malformed', 'dns_malformed_total', 'DNS requests that could not be read.'],
  ['ignored', 'dns_ignored_total', 'Messages that are no DNS request.'],
  ['truncated', 'dns_truncated_total', 'DNS answers that were too long for UDP.'],
  ['closed', 'dns_connections_closed_total', 'DNS connections closed for being too many or too slow.'],
];

/** For Prometheus. */
export function dnsText(counters: DnsCounters): string {
  return families
    .map(([key, name, help]) => `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name} ${counters[key]}\n`)
    .join('');
}
