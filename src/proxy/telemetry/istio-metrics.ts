/**
 * Istio's standard metrics (https://istio.io/latest/docs/reference/config/metrics/). A series is found by comparing what its
 * labels are made of, in the few series that an endpoint has; labels become text when a series is made.
 */
import type { Cluster } from '../config/table.ts';
import type { Exchange, TcpSession } from '../http/exchange.ts';
import type { ConnectionFacts } from '../net/connection.ts';
import { Histogram, histogramText } from './histogram.ts';
import type { Stat } from './stat.ts';
import { type Workload, workloadOfEndpoint, workloadOfPrincipal } from './workload.ts';

/** Beyond so many series new combinations are counted together, under labels that say `overflow`. */
const maxSeries = 4000;
/** How long series stay after their destination is gone: eight times Prometheus' usual interval. */
const keptMs = 120_000;
/** Series that are compared one by one under an endpoint. */
const maxNear = 16;

export interface Self {
  readonly workload: Workload;
  /** `spiffe://…`; '' without a certificate. */
  readonly principal: string;
}

interface HttpSeries {
  /** The name of the destination's cluster; ''. */
  readonly cluster: string;
  /** When it counted last, in ms of `performance.now()`. */
  usedAt: number;
  readonly status: number;
  readonly flags: string;
  readonly principal: string;
  readonly grpcStatus: string;
  readonly grpc: boolean;
  readonly mtls: boolean;
  readonly labels: string;
  requests: number;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
}

interface TcpSeries {
  readonly labels: string;
  opened: number;
  closed: number;
  sent: number;
  received: number;
}

export class IstioMetrics {
  readonly #self: Self;
  readonly #http = new Map<string, HttpSeries>();
  readonly #tcp = new Map<string, TcpSeries>();
  #near = new WeakMap<object, HttpSeries[]>();

  constructor(self: Self) {
    this.#self = self;
  }

  http(exchange: Exchange): void {
    const series = this.#httpSeries(exchange);
    series.requests++;
    series.usedAt = exchange.endTick;
    series.duration.add(exchange.endTick < 0 ? 0 : exchange.endTick - exchange.startTick);
    series.requestBytes.add(exchange.requestHeaderBytes + exchange.requestBodyBytes);
    series.responseBytes.add(exchange.responseHeaderBytes + exchange.responseBodyBytes);
  }

  #httpSeries(exchange: Exchange): HttpSeries {
    const { connection, status, flags, grpc } = exchange;
    const place = exchange.endpoint ?? exchange.cluster ?? exchange.listener;
    const principal = connection.peer?.principal ?? '';
    const grpcStatus = grpc
      ? (exchange.responseTrailer('grpc-status') ?? exchange.responseHeader('grpc-status') ?? '')
      : '';
    const near = this.#near.get(place);
    if (near)
      for (const s of near)
        if (
          s.status === status &&
          s.flags === flags &&
          s.principal === principal &&
          s.grpc === grpc &&
          s.grpcStatus === grpcStatus &&
          s.mtls === connection.mtls
        )
          return s;
    const made = this.#makeHttp(exchange, principal, grpc, /^\d{1,2}$/.test(grpcStatus) ? grpcStatus : '');
    if (!near) this.#near.set(place, [made]);
    else if (near.length < maxNear) near.push(made);
    return made;
  }

  #makeHttp(exchange: Exchange, principal: string, grpc: boolean, grpcStatus: string): HttpSeries {
    const { connection, cluster, status, flags } = exchange;
    const inbound = connection.direction === 'inbound';
    const fallbackHost = inbound ? '' : exchange.authority.replace(/:\d+$/, '');
    let labels = labelText({
      ...this.#peers(connection, exchange.endpoint?.workload ?? '', exchange.upstreamMtls),
      ...service(cluster, fallbackHost),
      request_protocol: grpc ? 'grpc' : 'http',
      response_code: `${status}`,
      grpc_response_status: grpcStatus,
      response_flags: flags || '-',
      connection_security_policy: inbound ? (connection.mtls ? 'mutual_tls' : 'none') : 'unknown',
    });
    const known = this.#http.get(labels);
    if (known) return known;
    if (this.#http.size >= maxSeries) {
      labels = 'reporter="overflow"';
      const overflow = this.#http.get(labels);
      if (overflow) return overflow;
    }
    const made: HttpSeries = {
      cluster: cluster?.name ?? '',
      usedAt: exchange.endTick,
      status,
      flags,
      principal,
      grpc,
      grpcStatus,
      mtls: connection.mtls,
      labels,
      requests: 0,
      duration: new Histogram(),
      requestBytes: new Histogram(),
      responseBytes: new Histogram(),
    };
    this.#http.set(labels, made);
    return made;
  }

  /** Drops the series of destinations that are not in the table any more, once they have been scraped a few times. */
  forgetGone(clusters: ReadonlyMap<string, unknown>, now: number): void {
    let some = false;
    for (const [labels, { cluster, usedAt }] of this.#http)
      if (cluster !== '' && !clusters.has(cluster) && now - usedAt > keptMs) some = this.#http.delete(labels);
    // Who still holds one of them would count where nobody looks.
    if (some) this.#near = new WeakMap();
  }

  tcpOpened(session: TcpSession): void {
    this.#tcpSeries(session).opened++;
  }

  tcpClosed(session: TcpSession): void {
    const series = this.#tcpSeries(session);
    series.closed++;
    series.sent += session.sentBytes;
    series.received += session.receivedBytes;
  }

  #tcpSeries(session: TcpSession): TcpSeries {
    const { connection, cluster } = session;
    const inbound = connection.direction === 'inbound';
    let labels = labelText({
      ...this.#peers(connection, session.endpoint?.workload ?? '', session.upstreamMtls),
      ...service(cluster, ''),
      request_protocol: 'tcp',
      response_flags: session.flags || '-',
      connection_security_policy: inbound ? (connection.mtls ? 'mutual_tls' : 'none') : 'unknown',
    });
    if (!this.#tcp.has(labels) && this.#tcp.size >= maxSeries) labels = 'reporter="overflow"';
    let series = this.#tcp.get(labels);
    if (!series) {
      series = { labels, opened: 0, closed: 0, sent: 0, received: 0 };
      this.#tcp.set(labels, series);
    }
    return series;
  }

  #peers(connection: ConnectionFacts, endpointWorkload: string, upstreamMtls: boolean): Record<string, string> {
    const inbound = connection.direction === 'inbound';
    const principal = connection.peer?.principal ?? '';
    const self = this.#self;
    const source = inbound ? workloadOfPrincipal(principal) : self.workload;
    const destination = inbound ? self.workload : workloadOfEndpoint(endpointWorkload);
    return {
      reporter: inbound ? 'destination' : 'source',
      ...workloadLabels('source', source),
      source_principal: inbound ? principal : upstreamMtls ? self.principal : '',
      ...workloadLabels('destination', destination),
      destination_principal: inbound && connection.mtls ? self.principal : '',
    };
  }

  /** Everything as series: families in Istio's order. */
  list(): Stat[] {
    const list: Stat[] = [];
    const add = (family: string, labels: string, value: number | Histogram) =>
      list.push({
        name: `${family}{${labels}}`,
        family,
        labels,
        kind: typeof value === 'number' ? 'counter' : 'histogram',
        value: typeof value === 'number' ? value : value.count,
        histogram: typeof value === 'number' ? null : value.snapshot(),
      });
    const http = [...this.#http.values()];
    for (const s of http) add('istio_requests_total', s.labels, s.requests);
    for (const s of http) add('istio_request_duration_milliseconds', s.labels, s.duration);
    for (const s of http) add('istio_request_bytes', s.labels, s.requestBytes);
    for (const s of http) add('istio_response_bytes', s.labels, s.responseBytes);
    const tcp = [...this.#tcp.values()];
    for (const s of tcp) add('istio_tcp_connections_opened_total', s.labels, s.opened);
    for (const s of tcp) add('istio_tcp_connections_closed_total', s.labels, s.closed);
    for (const s of tcp) add('istio_tcp_sent_bytes_total', s.labels, s.sent);
    for (const s of tcp) add('istio_tcp_received_bytes_total', s.labels, s.received);
    return list;
  }
}

/** Prometheus text of Istio's series: their names have no prefix of Envoy's. */
export function istioText(series: readonly Stat[]): string {
  const families = new Map<string, string>();
  for (const { family, labels, kind, value, histogram } of series) {
    const before = families.get(family) ?? `# TYPE ${family} ${kind}\n`;
    const line = histogram === null ? `${family}{${labels}} ${value}\n` : histogramText(family, labels, histogram);
    families.set(family, before + line);
  }
  return [...families.values()].join('');
}

function workloadLabels(side: 'source' | 'destination', workload: Workload): Record<string, string> {
  return {
    [`${side}_workload`]: workload.name,
    [`${side}_canonical_service`]: workload.canonicalName,
    [`${side}_canonical_revision`]: workload.canonicalRevision,
    [`${side}_workload_namespace`]: workload.namespace,
    [`${side}_app`]: workload.app,
    [`${side}_version`]: workload.version,
    [`${side}_cluster`]: workload.cluster,
  };
}

function service(cluster: Cluster | null, fallbackHost: string): Record<string, string> {
  return {
    destination_service: cluster?.service?.host || fallbackHost,
    destination_service_name: cluster?.service?.name || cluster?.name || '',
    destination_service_namespace: cluster?.service?.namespace ?? '',
  };
}

/** Labels in Prometheus' notation; what is not known is called `unknown`, as in Istio. */
function labelText(labels: Record<string, string>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value || (name === 'grpc_response_status' ? '' : 'unknown'))}"`)
    .join(',');
}

const escaped = (value: string): string =>
  /["\\\n]/.test(value) ? value.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n') : value;
