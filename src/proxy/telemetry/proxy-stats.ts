/** The proxy's own counts under Envoy's names, for /stats and for Prometheus. */
import type { AdsState } from '../../xds/ads-client.ts';
import type { Runtime } from '../runtime.ts';

export interface Stat {
  /** Envoy's name: dots between its parts. */
  readonly name: string;
  readonly value: number;
  readonly kind: 'counter' | 'gauge';
}

/** Clusters beyond this number are not told one by one. */
const maxClusters = 1000;

export function proxyStats(runtime: Runtime, ads: AdsState | null, live: boolean): Stat[] {
  const { stats, table } = runtime;
  const list: Stat[] = [];
  const counter = (name: string, value: number) => list.push({ name, value, kind: 'counter' });
  const gauge = (name: string, value: number) => list.push({ name, value, kind: 'gauge' });
  gauge('server.live', live ? 1 : 0);
  // Envoy's numbers: 0 LIVE, 1 DRAINING, 2 PRE_INITIALIZING.
  gauge('server.state', runtime.draining ? 1 : live ? 0 : 2);
  gauge('server.uptime', Math.floor(process.uptime()));
  gauge('server.memory_allocated', process.memoryUsage.rss());
  gauge('server.total_connections', stats.active);
  counter('listener_manager.listener_added', table.listeners.size);
  gauge('listener_manager.total_listeners_active', table.listeners.size);
  gauge('listener_manager.workers_started', live ? 1 : 0);
  gauge('cluster_manager.active_clusters', table.clusters.size);
  gauge('cluster_manager.warming_clusters', 0);
  gauge('config.version', table.version);
  counter('listener.downstream_cx_total', stats.accepted);
  gauge('listener.downstream_cx_active', stats.active);
  counter('listener.downstream_cx_overflow', stats.overLimit);
  counter('listener.no_filter_chain_match', stats.noFilterChain);
  counter('listener.downstream_pre_cx_timeout', stats.detectTimedOut);
  counter('listener.ssl.connection_error', stats.tlsFailed);
  counter('listener.rbac.denied', stats.rbacDenied);
  if (ads) {
    gauge('control_plane.connected_state', ads.connection === 'connected' ? 1 : 0);
    const managers = {
      cluster: 'cluster_manager.cds',
      listener: 'listener_manager.lds',
      endpoint: 'eds',
      route: 'rds',
      secret: 'sds',
    };
    for (const [type, name] of Object.entries(managers)) {
      const state = ads.types[type as keyof typeof managers];
      counter(`${name}.update_success`, state.accepted);
      counter(`${name}.update_rejected`, state.rejected);
    }
  }
  let told = 0;
  for (const pool of runtime.clusterPools()) {
    if (++told > maxClusters) break;
    const { hosts, connections, activeRequests, pending, redirected, hedged } = pool.stats;
    const prefix = `cluster.${pool.config.altStatName || pool.config.name}`;
    gauge(`${prefix}.membership_total`, hosts);
    gauge(`${prefix}.upstream_cx_active`, connections);
    gauge(`${prefix}.upstream_rq_active`, activeRequests);
    gauge(`${prefix}.upstream_rq_pending_active`, pending);
    counter(`${prefix}.upstream_rq_undelivered_redirected`, redirected);
    counter(`${prefix}.upstream_cx_connect_hedged`, hedged);
  }
  return list;
}

/** `name: value` lines in the order of their names, as Envoy's /stats. */
export function statsText(stats: readonly Stat[], filter: RegExp | null, usedOnly: boolean): string {
  return stats
    .filter(({ name, value }) => (!filter || filter.test(name)) && (!usedOnly || value !== 0))
    .map(({ name, value }) => `${name}: ${value}\n`)
    .sort()
    .join('');
}

/** Prometheus text; the cluster's name becomes a label, as Envoy does it. */
export function prometheusText(stats: readonly Stat[]): string {
  const families = new Map<string, { kind: string; lines: string[] }>();
  for (const { name, value, kind } of stats) {
    const cluster = /^cluster\.(.+)\.([a-z_]+)$/.exec(name);
    const family = `envoy_${(cluster ? `cluster_${cluster[2]}` : name).replace(/[^a-zA-Z0-9_]/g, '_')}`;
    const labels = cluster ? `cluster_name="${cluster[1].replace(/["\\]/g, '\\$&')}"` : '';
    const known = families.get(family) ?? { kind, lines: [] };
    families.set(family, known);
    known.lines.push(`${family}{${labels}} ${value}\n`);
  }
  return [...families].map(([family, { kind, lines }]) => `# TYPE ${family} ${kind}\n${lines.join('')}`).join('');
}
