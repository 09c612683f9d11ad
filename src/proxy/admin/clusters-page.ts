/** /clusters: every host of every cluster, with its load and its health (envoy.admin.v3.Clusters). */

import type { Address } from '../net/connection.ts';
import type { Runtime } from '../runtime.ts';
import type { Breaker } from '../upstream/breaker.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import type { Host } from '../upstream/host.ts';
import { type Reply, text } from './http-server.ts';
import { compileRegexSearch } from './name-filter.ts';

const edsHealth = { healthy: 'HEALTHY', unhealthy: 'UNHEALTHY', draining: 'DRAINING', degraded: 'DEGRADED' } as const;

const ejected = (host: Host): boolean => host.ejectedUntilTick > performance.now();

/** `isFixed` tells the clusters of the bootstrap file from those of the control plane. */
export function clustersPage(runtime: Runtime, query: URLSearchParams, isFixed: (name: string) => boolean): Reply {
  const filter = compileRegexSearch(query.get('filter'));
  if ('fault' in filter) return text(filter.fault, 400);
  const pools = [...runtime.clusterPools()].filter(({ config }) => filter.test === null || filter.test(config.name));
  if (query.get('format') !== 'json') return text(pools.map((pool) => clusterText(pool, isFixed)).join(''));
  const body = `${JSON.stringify({ cluster_statuses: pools.map((pool) => clusterStatus(pool, isFixed)) }, null, 1)}\n`;
  return { status: 200, body, type: 'application/json' };
}

/** Counters first, then gauges, each in order, as Envoy lists them. */
function hostCounters({ counters }: Host): Array<[name: string, value: number]> {
  return [
    ['cx_connect_fail', counters.cxConnectFail],
    ['cx_total', counters.cxTotal],
    ['rq_error', counters.rqError],
    ['rq_success', counters.rqSuccess],
    ['rq_timeout', counters.rqTimeout],
    ['rq_total', counters.rqTotal],
  ];
}

const hostGauges = (host: Host): Array<[name: string, value: number]> => [
  ['cx_active', host.connections],
  ['rq_active', host.active],
  ['rq_pending_active', 0],
];

function healthFlags(host: Host): string {
  const flags = [
    host.check === 'failing' ? '/failed_active_hc' : '',
    ejected(host) ? '/failed_outlier_check' : '',
    host.endpoint.health === 'unhealthy' ? '/failed_eds_health' : '',
    host.checkDegraded ? '/degraded_active_hc' : '',
    host.endpoint.health === 'degraded' ? '/degraded_eds_health' : '',
    host.leaving ? '/pending_dynamic_removal' : '',
    host.checkPending ? '/pending_active_hc' : '',
    host.checkExcluded ? '/excluded_via_immediate_hc_fail' : '',
    host.endpoint.health === 'draining' ? '/eds_status_draining' : '',
  ].join('');
  return flags || 'healthy';
}

const addressText = ({ ip, port }: Address): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

interface Placed {
  readonly host: Host;
  readonly priority: number;
  readonly locality: { readonly region: string; readonly zone: string; readonly subzone: string };
}

const nowhere = { region: '', zone: '', subzone: '' };

/** Hosts with what their locality says; those that come and go by original destination have none. */
function placed(pool: ClusterPool): Placed[] {
  const places = new Map(
    pool.config.endpoints.flatMap((locality) => locality.endpoints.map((endpoint) => [endpoint, locality] as const)),
  );
  return [...pool.members()].map((host) => {
    const locality = places.get(host.endpoint);
    return { host, priority: locality?.priority ?? 0, locality: locality ?? nowhere };
  });
}

const limitsOf = ({ limits, maxRetries }: Breaker) => ({
  max_connections: limits.maxConnections,
  max_pending_requests: limits.maxPending,
  max_requests: limits.maxRequests,
  max_retries: maxRetries,
});

/** How hosts did on average in the latest interval, and below what they would have been ejected; -1 for nothing. */
function outlierLines({ outlierAverages }: ClusterPool): Array<[name: string, value: number]> {
  if (outlierAverages === null) return [];
  const { answers, connects } = outlierAverages;
  return [
    ['success_rate_average', answers.mean],
    ['success_rate_ejection_threshold', answers.threshold],
    ['local_origin_success_rate_average', connects.mean],
    ['local_origin_success_rate_ejection_threshold', connects.threshold],
  ];
}

function clusterText(pool: ClusterPool, isFixed: (name: string) => boolean): string {
  const { config } = pool;
  const line = (rest: string) => `${config.name}::${rest}\n`;
  let out = line(`observability_name::${config.altStatName || config.name}`);
  for (const [name, value] of outlierLines(pool)) out += line(`outlier::${name}::${value}`);
  for (const [priority, breaker] of [
    ['default', pool.breaker],
    ['high', pool.highBreaker],
  ] as const)
    for (const [name, value] of Object.entries(limitsOf(breaker)))
      out += line(`${priority}_priority::${name}::${value}`);
  out += line(`added_via_api::${!isFixed(config.name)}`);
  for (const { host, priority, locality } of placed(pool)) {
    const at = addressText(host.address);
    const counts = [...hostCounters(host), ...hostGauges(host)].sort(([a], [b]) => (a < b ? -1 : 1));
    const told: ReadonlyArray<readonly [string, string | number]> = [
      ...counts,
      ['hostname', host.endpoint.hostname],
      ['health_flags', healthFlags(host)],
      ['weight', host.endpoint.weight],
      ['region', locality.region],
      ['zone', locality.zone],
      ['sub_zone', locality.subzone],
      ['canary', 'false'],
      ['priority', priority],
      ['success_rate', host.outlier?.answers.rate ?? -1],
      ['local_origin_success_rate', host.outlier?.connects.rate ?? -1],
    ];
    for (const [name, value] of told) out += line(`${at}::${name}::${value}`);
  }
  return out;
}

function clusterStatus(pool: ClusterPool, isFixed: (name: string) => boolean): object {
  const { config } = pool;
  return {
    name: config.name,
    ...(!isFixed(config.name) && { added_via_api: true }),
    host_statuses: placed(pool).map(({ host, priority, locality }) => ({
      address: { socket_address: { address: host.address.ip, port_value: host.address.port } },
      // A value of zero is left out, as it is of any message.
      stats: [
        ...hostCounters(host).map(([name, value]) => ({ ...(value > 0 && { value: `${value}` }), name })),
        ...hostGauges(host).map(([name, value]) => ({ type: 'GAUGE', ...(value > 0 && { value: `${value}` }), name })),
      ],
      health_status: {
        eds_health_status: edsHealth[host.endpoint.health],
        ...(host.check === 'failing' && { failed_active_health_check: true }),
        ...(ejected(host) && { failed_outlier_check: true }),
        ...(host.checkDegraded && { failed_active_degraded_check: true }),
        ...(host.leaving && { pending_dynamic_removal: true }),
        ...(host.checkPending && { pending_active_hc: true }),
        ...(host.checkExcluded && { excluded_via_immediate_hc_fail: true }),
      },
      weight: host.endpoint.weight,
      ...(host.endpoint.hostname !== '' && { hostname: host.endpoint.hostname }),
      ...(priority > 0 && { priority }),
      locality: {
        ...(locality.region !== '' && { region: locality.region }),
        ...(locality.zone !== '' && { zone: locality.zone }),
        ...(locality.subzone !== '' && { sub_zone: locality.subzone }),
      },
    })),
    circuit_breakers: {
      thresholds: [limitsOf(pool.breaker), { priority: 'HIGH', ...limitsOf(pool.highBreaker) }],
    },
    observability_name: config.altStatName || config.name,
  };
}
