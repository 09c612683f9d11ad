/** The proxy's own counts under Envoy's names, for /stats and for Prometheus. */
import type { AdsState } from '../../xds/ads-client.ts';
import { runtimeValues } from '../config/runtime-values.ts';
import type { Runtime, RuntimeStats } from '../runtime.ts';
import type { Breaker } from '../upstream/breaker.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import type { DataPlane } from '../workers/data-plane.ts';
import type { ClusterCounters } from './counters.ts';
import { droppedLogLines } from './log-file.ts';
import { mergeStats, type Stat, StatList, scope } from './stat.ts';
import { clusterScope } from './statistics.ts';

/** Clusters beyond this number are not told one by one. */
const maxClusters = 1000;

export interface ProxyState {
  readonly ads: AdsState | null;
  readonly live: boolean;
  /** What waits for what it refers to. */
  readonly warming: { readonly clusters: number; readonly listeners: number };
  /** Null tells every name (Envoy: StatsConfig.stats_matcher). */
  readonly tells: ((name: string) => boolean) | null;
}

const used = (counters: ClusterCounters): boolean => counters.upstreamCxTotal > 0 || counters.upstreamRq.completed > 0;

/** What one thread counted; `unusedClusters` tells clusters that nothing was sent to as well. */
export function threadStats(runtime: Runtime, unusedClusters: boolean): StatList {
  const told = new Set<string>();
  for (const pool of runtime.clusterPools()) {
    if (told.size >= maxClusters) break;
    if (unusedClusters || used(pool.counters) || pool.connections > 0)
      told.add(pool.config.altStatName || pool.config.name);
    readGauges(pool);
  }
  const list = runtime.statistics.list(runtime.worker, (name) => told.has(name));
  for (const pool of runtime.clusterPools())
    if (told.has(pool.config.altStatName || pool.config.name)) clusterGauges(list, pool);
  warmingStats(list, runtime.stillWarming);
  const { listeners, chains } = runtime.leftOver;
  list.gauge('listener_manager.total_listeners_draining', listeners);
  list.gauge('listener_manager.total_filter_chains_draining', chains);
  connectionStats(list, runtime.stats);
  return list;
}

/** What all threads counted, and the process's own. */
export function proxyStats(
  plane: DataPlane,
  counted: readonly Stat[],
  { ads, live, warming, tells }: ProxyState,
): Stat[] {
  const list = new StatList();
  serverStats(list, plane, live);
  warmingStats(list, warming);
  if (ads !== null) controlPlaneStats(list, ads);
  const all = mergeStats([counted, list.stats]);
  return tells === null ? all : all.filter(({ name }) => tells(name));
}

function warmingStats(list: StatList, { clusters, listeners }: ProxyState['warming']): void {
  list.gauge('cluster_manager.warming_clusters', clusters);
  list.gauge('listener_manager.total_listeners_warming', listeners);
}

/** What the pool knows anyway is copied when someone reads. */
function readGauges(pool: ClusterPool): void {
  const { counters } = pool;
  pool.countBytes();
  const { connections, activeRequests, pending, redirected, hedged } = pool.stats;
  counters.upstreamCxActive = connections;
  counters.upstreamRqActive = activeRequests;
  counters.upstreamRqPendingActive = pending;
  counters.upstreamRqUndeliveredRedirected = redirected;
  counters.upstreamCxConnectHedged = hedged;
}

function clusterGauges(list: StatList, pool: ClusterPool): void {
  const { config } = pool;
  const name = config.altStatName || config.name;
  const at = clusterScope(name);
  let healthy = 0;
  let degraded = 0;
  let excluded = 0;
  let total = 0;
  for (const host of pool.members()) {
    total++;
    if (host.excluded) excluded++;
    if (host.ejectedUntilTick > 0) continue;
    if (host.healthState === 'degraded') degraded++;
    else if (host.healthState === 'healthy') healthy++;
  }
  const gauge = (metric: string, value: number) => list.add('gauge', at, metric, value);
  gauge('membership_total', total);
  gauge('membership_healthy', healthy);
  gauge('membership_degraded', degraded);
  gauge('membership_excluded', excluded);
  breakerGauges(list, name, 'default', pool.breaker, at.labels);
  if (config.highCircuit !== null) breakerGauges(list, name, 'high', pool.highBreaker, at.labels);
}

function breakerGauges(
  list: StatList,
  cluster: string,
  priority: 'default' | 'high',
  breaker: Breaker,
  labels: ReturnType<typeof clusterScope>['labels'],
): void {
  const at = scope(`cluster.${cluster}.circuit_breakers.${priority}.`, `cluster.circuit_breakers.${priority}.`, labels);
  const { limits } = breaker;
  const resources = [
    ['cx', breaker.connections, limits.maxConnections],
    ['rq', breaker.requests, limits.maxRequests],
    ['rq_pending', breaker.pending, limits.maxPending],
    ['rq_retry', breaker.retries, breaker.maxRetries],
  ] as const;
  for (const [name, used, limit] of resources) list.add('gauge', at, `${name}_open`, used > 0 && used >= limit ? 1 : 0);
  if (!limits.tracksRemaining) return;
  for (const [name, used, limit] of resources)
    list.add('gauge', at, `remaining_${remainingNames[name]}`, Math.max(0, limit - used));
}

/** Envoy's names of what is left are not those of what is used up. */
const remainingNames = { cx: 'cx', rq: 'rq', rq_pending: 'pending', rq_retry: 'retries' } as const;

/** Envoy's numbers of /server_info states. */
const states = { LIVE: 0, DRAINING: 1, PRE_INITIALIZING: 2, INITIALIZING: 3 } as const;

function serverStats(list: StatList, plane: DataPlane, live: boolean): void {
  const { table, draining, concurrency } = plane;
  const memory = process.memoryUsage();
  list.gauge('server.live', live ? 1 : 0);
  list.gauge('server.state', draining ? states.DRAINING : live ? states.LIVE : states.PRE_INITIALIZING);
  list.gauge('server.uptime', Math.floor(process.uptime()));
  list.gauge('server.concurrency', concurrency);
  list.counter('server.worker_replaced', plane.replaced);
  list.gauge('server.memory_allocated', memory.heapUsed + memory.external);
  list.gauge('server.memory_heap_size', memory.heapTotal);
  list.gauge('server.memory_physical_size', memory.rss);
  list.gauge('server.hot_restart_epoch', 0);
  list.counter('listener_manager.listener_added', table.listeners.size);
  list.gauge('listener_manager.total_listeners_active', table.listeners.size);
  list.gauge('listener_manager.workers_started', live ? 1 : 0);
  list.gauge('cluster_manager.active_clusters', table.clusters.size);
  list.gauge('runtime.num_keys', runtimeValues.keys);
  list.gauge('runtime.num_layers', runtimeValues.layers);
  list.gauge('runtime.admin_overrides_active', runtimeValues.overrides > 0 ? 1 : 0);
  list.gauge('config.version', table.version);
  list.counter('access_log.dropped', droppedLogLines());
}

/** This proxy's own: what became of connections over all listeners. */
function connectionStats(list: StatList, stats: RuntimeStats): void {
  list.gauge('server.total_connections', stats.active);
  list.counter('listener.downstream_cx_total', stats.accepted);
  list.gauge('listener.downstream_cx_active', stats.active);
  list.counter('listener.downstream_cx_overflow', stats.overLimit);
  list.counter('listener.no_filter_chain_match', stats.noFilterChain);
  list.counter('listener.downstream_pre_cx_timeout', stats.detectTimedOut);
  list.counter('listener.ssl.connection_error', stats.tlsFailed);
  list.counter('listener.limit.refused', stats.gateClosed);
  list.counter('listener.proxy_proto.found', stats.proxyProtocolFound);
  list.counter('listener.proxy_proto.refused', stats.proxyProtocolRefused);
  list.counter('listener.rbac.denied', stats.rbacDenied);
}

const managers = {
  cluster: 'cluster_manager.cds',
  listener: 'listener_manager.lds',
  endpoint: 'eds',
  route: 'rds',
  secret: 'sds',
} as const;

function controlPlaneStats(list: StatList, ads: AdsState): void {
  list.gauge('control_plane.connected_state', ads.connection === 'connected' ? 1 : 0);
  for (const [type, name] of Object.entries(managers)) {
    const state = ads.types[type as keyof typeof managers];
    list.counter(`${name}.update_success`, state.accepted);
    list.counter(`${name}.update_rejected`, state.rejected);
  }
}
