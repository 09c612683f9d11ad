/** The counters of one thread by what they count, kept over pushes under Envoy's names. */
import type { Cluster, HttpManager, Listener, Table, TcpProxy } from '../config/table.ts';
import { fromInside } from '../http/client-address.ts';
import type { Exchange } from '../http/exchange.ts';
import {
  ClusterCounters,
  CodeCounters,
  type FilterCounters,
  type FilterStatistics,
  filterStatistics,
  gauges,
  HttpCounters,
  ListenerCounters,
  OriginCounters,
  TcpCounters,
  TracingCounters,
} from './counters.ts';
import { Histogram } from './histogram.ts';
import { label, StatList, type StatScope, scope } from './stat.ts';
import type { TraceReason } from './trace.ts';

/** Names of each kind beyond this are counted together under `overflow`. */
const maxNames = 10_000;

/** Counters by name, found again without a look-up for the object that was asked for last. */
class Named<T extends object> {
  readonly byName = new Map<string, T>();
  readonly #make: () => T;

  constructor(make: () => T) {
    this.#make = make;
  }

  get(name: string): T {
    let found = this.byName.get(name);
    if (found !== undefined) return found;
    const kept = this.byName.size < maxNames ? name : 'overflow';
    found = this.byName.get(kept) ?? this.#make();
    this.byName.set(kept, found);
    return found;
  }
}

interface OfManager {
  readonly http: HttpCounters;
  /** The same answers once more under the listener's address. */
  readonly listener: CodeCounters;
}

export class Statistics {
  readonly #http = new Named(() => new HttpCounters());
  readonly #tcp = new Named(() => new TcpCounters());
  readonly #listeners = new Named(() => new ListenerCounters());
  readonly #clusters = new Named(() => new ClusterCounters());
  readonly #filters = new Named<FilterCounters>(() => ({}));
  /** By `address prefix`. */
  readonly #listenerHttp = new Named(() => new CodeCounters());
  readonly #ofManager = new WeakMap<HttpManager, OfManager>();
  #manager: HttpManager | null = null;
  #managerCounters: OfManager | null = null;
  #cluster: Cluster | null = null;
  #clusterCounters: ClusterCounters | null = null;

  http(manager: HttpManager): HttpCounters {
    return this.#http.get(manager.statPrefix);
  }

  tcp(proxy: TcpProxy): TcpCounters {
    return this.#tcp.get(proxy.statPrefix);
  }

  listener(listener: Listener): ListenerCounters {
    return this.#listeners.get(listenerAddress(listener));
  }

  cluster(cluster: Cluster): ClusterCounters {
    if (cluster === this.#cluster) return this.#clusterCounters!;
    const counters = this.#clusters.get(cluster.altStatName || cluster.name);
    this.#cluster = cluster;
    this.#clusterCounters = counters;
    return counters;
  }

  /** Counters of a filter under its whole prefix, `http.ingress.rbac.`. */
  filter(prefix: string, kind: FilterStatistics): FilterCounters {
    const counters = this.#filters.get(prefix);
    // Filters of two kinds may share a prefix.
    if (!Object.hasOwn(counters, filterStatistics[kind][0]))
      for (const name of filterStatistics[kind]) counters[name] ??= 0;
    return counters;
  }

  /**
   * Makes the counters of everything that listens: what has not happened yet is told as 0. Those of clusters that are gone go when
   * their last request and connection has ended, as with Envoy.
   */
  adopt(table: Table): void {
    this.#dropClusters(table);
    for (const listener of table.listeners.values())
      for (const { http, tcp } of [...listener.chains, ...(listener.defaultChain ? [listener.defaultChain] : [])]) {
        if (http !== null) this.#http.get(http.statPrefix);
        if (tcp !== null) this.#tcp.get(tcp.statPrefix);
      }
  }

  #dropClusters({ clusters }: Table): void {
    const { byName } = this.#clusters;
    if (byName.size <= clusters.size) return;
    this.#cluster = null;
    const named = new Set<string>();
    for (const { altStatName, name } of clusters.values()) named.add(altStatName || name);
    for (const [name, { upstreamCxActive, upstreamRqActive }] of byName)
      if (!named.has(name) && upstreamCxActive === 0 && upstreamRqActive === 0) byName.delete(name);
  }

  #managed(exchange: Exchange): OfManager {
    const { manager } = exchange;
    if (manager === this.#manager) return this.#managerCounters!;
    let counters = this.#ofManager.get(manager);
    if (counters === undefined) {
      const { statPrefix } = manager;
      counters = {
        http: this.#http.get(statPrefix),
        listener: this.#listenerHttp.get(`${listenerAddress(exchange.listener)} ${statPrefix}`),
      };
      this.#ofManager.set(manager, counters);
    }
    this.#manager = manager;
    this.#managerCounters = counters;
    return counters;
  }

  /** A request has come. */
  begin(exchange: Exchange): void {
    const { http } = this.#managed(exchange);
    http.downstreamRqTotal++;
    http.downstreamRqActive++;
  }

  /** Whether it is traced has been decided. */
  traced(exchange: Exchange, reason: TraceReason): void {
    const { http } = this.#managed(exchange);
    http.tracing ??= new TracingCounters();
    if (reason === 'sampled') http.tracing.randomSampling++;
    else if (reason === 'service') http.tracing.serviceForced++;
    else if (reason === 'client') http.tracing.clientEnabled++;
    else http.tracing.notTraceable++;
  }

  /** It is over, in whichever way. */
  finish(exchange: Exchange): void {
    const { http, listener } = this.#managed(exchange);
    const { status, details } = exchange;
    http.downstreamRqActive--;
    if (exchange.protocol === 'HTTP/2') http.downstreamRqHttp2Total++;
    else http.downstreamRqHttp1Total++;
    http.downstreamCxRxBytesTotal += exchange.requestHeaderBytes + exchange.requestBodyBytes;
    http.downstreamCxTxBytesTotal += exchange.responseHeaderBytes + exchange.responseBodyBytes;
    if (status !== 0) {
      http.downstreamRq.add(status);
      listener.add(status);
    }
    http.downstreamRqTime.add(exchange.endTick - exchange.startTick);
    if (details !== 'via_upstream') countDetails(http, exchange);
    else http.rqTotal++;
    if (exchange.cluster !== null) this.#charge(exchange, this.cluster(exchange.cluster));
  }

  /** The answer counts for the cluster that gave it or failed to (Envoy's router: chargeUpstreamCode). */
  #charge(exchange: Exchange, counters: ClusterCounters): void {
    const { status } = exchange;
    if (status === 0) return;
    counters.upstreamRq.add(status);
    const origin = originOf(counters, fromInside(exchange));
    origin.upstreamRq.add(status);
    if (exchange.upstreamEndTick < 0) return;
    // From the end of the request on (Envoy: upstream_rq_time).
    const ms = exchange.upstreamEndTick - Math.max(exchange.startTick, exchange.requestEndTick);
    counters.upstreamRqTime ??= new Histogram();
    counters.upstreamRqTime.add(ms);
    origin.upstreamRqTime.add(ms);
  }

  /** Everything that was counted on the thread `worker`, clusters that `tells` refuses left out. */
  list(worker: number, tells: (cluster: string, counters: ClusterCounters) => boolean): StatList {
    const list = new StatList();
    for (const [name, counters] of this.#clusters.byName)
      if (tells(name, counters)) list.group(clusterScope(name), counters);
    for (const [name, counters] of this.#http.byName) list.group(httpScope(name), counters);
    for (const [name, counters] of this.#listeners.byName) {
      list.group(listenerScope(name), counters);
      const at = scope(
        `listener.${name}.worker_${worker}.`,
        'listener.worker_',
        label('envoy_worker_id', `${worker}`),
        label('envoy_listener_address', name),
      );
      list.add('counter', at, 'downstream_cx_total', counters.downstreamCxTotal);
      list.add('gauge', at, 'downstream_cx_active', counters.downstreamCxActive);
    }
    for (const [key, codes] of this.#listenerHttp.byName) {
      const [address, prefix] = key.split(' ');
      const labels = [label('envoy_http_conn_manager_prefix', prefix), label('envoy_listener_address', address)];
      list.codes(scope(`listener.${address}.http.${prefix}.`, 'listener.http.', ...labels), 'downstream_rq', codes);
    }
    for (const [name, counters] of this.#tcp.byName)
      list.group(scope(`tcp.${name}.`, 'tcp.', label('envoy_tcp_prefix', name)), counters);
    for (const [prefix, counters] of this.#filters.byName) {
      const at = filterScope(prefix);
      for (const [name, value] of Object.entries(counters)) list.add('counter', at, name, value);
    }
    return list;
  }

  /** POST /reset_counters. */
  reset(): void {
    const groups = [this.#http, this.#tcp, this.#listeners, this.#clusters, this.#filters, this.#listenerHttp];
    for (const { byName } of groups) for (const counters of byName.values()) resetCounters(counters);
  }
}

function resetCounters(counters: object): void {
  if (counters instanceof CodeCounters) {
    counters.clear();
    return;
  }
  const fields = counters as Record<string, unknown>;
  for (const [field, value] of Object.entries(fields)) {
    if (typeof value === 'number') {
      if (!gauges.has(field)) fields[field] = 0;
    } else if (value !== null && !(value instanceof Histogram)) resetCounters(value as object);
  }
}

export const clusterScope = (name: string): StatScope =>
  scope(`cluster.${name}.`, 'cluster.', label('envoy_cluster_name', name));

export const httpScope = (prefix: string): StatScope =>
  scope(`http.${prefix}.`, 'http.', label('envoy_http_conn_manager_prefix', prefix));

export const listenerScope = (address: string): StatScope =>
  scope(`listener.${address}.`, 'listener.', label('envoy_listener_address', address));

/** `http.ingress.rbac.` has the connection manager in a label; other prefixes stay in the name. */
function filterScope(prefix: string): StatScope {
  const http = /^http\.([^.]+)\.(.*)$/.exec(prefix);
  if (http === null) return scope(prefix, prefix);
  return scope(prefix, `http.${http[2]}`, label('envoy_http_conn_manager_prefix', http[1]));
}

/** As listeners are named in statistics: `127.0.0.1_8080`, `[__1]_8080`, or what their `stat_prefix` says. */
function listenerAddress({ statPrefix, address: { host, port } }: Listener): string {
  if (statPrefix !== '') return statPrefix;
  if (host.startsWith('/')) return host;
  return `${host.includes(':') ? `[${host.replaceAll(':', '_')}]` : host}_${port}`;
}

function originOf(counters: ClusterCounters, inside: boolean): OriginCounters {
  const side = inside ? 'internal' : 'external';
  counters[side] ??= new OriginCounters();
  return counters[side];
}

/** How a request ended that no upstream answered, or not to its end. */
function countDetails(http: HttpCounters, exchange: Exchange): void {
  const { details, flags, route } = exchange;
  if (details === 'route_not_found') {
    http.noRoute++;
    http.rqTotal++;
    return;
  }
  if (details === 'direct_response' && route !== null) {
    http.rqTotal++;
    http.rqDirectResponse++;
    return;
  }
  if (exchange.cluster !== null || details === 'cluster_not_found') http.rqTotal++;
  if (details === 'cluster_not_found') http.noCluster++;
  else if (details === 'path_normalization_failed') http.downstreamRqFailedPathNormalization++;
  else if (details === 'path_normalization_redirect') http.downstreamRqRedirectedWithNormalizedPath++;
  else if (details === 'request_overall_timeout') http.downstreamRqTimeout++;
  else if (details === 'request_header_timeout') http.downstreamRqHeaderTimeout++;
  else if (details === 'max_duration_timeout') http.downstreamRqMaxDurationReached++;
  else if (details === 'stream_idle_timeout') http.downstreamRqIdleTimeout++;
  else if (details === 'request_payload_too_large') http.downstreamRqTooLarge++;
  else if (details === 'response_payload_too_large') http.rsTooLarge++;
  else if (details === 'upgrade_failed') http.downstreamRqWsOnNonWsRoute++;
  if (flags === '') return;
  if (flags.includes('DC') || flags.includes('DR')) http.downstreamRqRxReset++;
  if (flags.includes('DPE')) http.downstreamCxProtocolError++;
}
