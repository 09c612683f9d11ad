import { isIPv6 } from 'node:net';
import type { Cluster, Endpoint, UpstreamTls, UpstreamTransport } from '../config/table.ts';
import { HostCounters } from '../telemetry/counters.ts';
import { type DialTarget, SessionCache } from './dial.ts';
import type { Http1Upstream } from './http1-upstream.ts';
import type { Http2Upstream } from './http2-upstream.ts';
import type { OutlierRecord } from './outlier.ts';
import { type Caller, proxyHeader } from './proxy-header.ts';
import type { PooledConnection } from './upstream-call.ts';

/** One endpoint of a cluster while the proxy knows it: its connections, its load, and how it has behaved. */
export class Host {
  readonly key: string;
  endpoint: Endpoint;
  readonly address: { readonly ip: string; readonly port: number };
  readonly tls: UpstreamTls | null;
  readonly proxyProtocol: UpstreamTransport['proxyProtocol'];
  /** 0 for any number. */
  readonly maxRequestsPerConnection: number;
  readonly sessions: SessionCache = new SessionCache();
  /** Requests and relays under way. */
  active = 0;
  connections = 0;
  /** Connections ready for a request, the latest used last. */
  readonly idle: Http1Upstream[] = [];
  /** Every connection for requests, from the moment it is dialled. */
  readonly open: Set<PooledConnection> = new Set();
  /** HTTP/2 connections, which requests share. */
  readonly shared: Http2Upstream[] = [];
  /** What it chose when it was offered both (ALPN). */
  speaks: 'http1' | null = null;
  /** No longer an endpoint: what is under way ends, nothing new begins. */
  removed = false;
  /** Tick until which outlier detection keeps it out; 0 when it is in, infinite until that lets it back. */
  ejectedUntilTick = 0;
  /** Null before the first report. */
  outlier: OutlierRecord | null = null;
  /** Tick until which requests rather go elsewhere, since it took none lately; 0 when it is as good as any. */
  shunnedUntilTick = 0;
  /** Relays of bytes that use it. */
  readonly relays: Set<{ destroy(): void }> = new Set();
  /** What active checks say; null where there are none. */
  check: 'passing' | 'failing' | null = null;
  /** Not asked yet. */
  checkPending = false;
  checkDegraded = false;
  /** It asked itself to be left alone, which is no sign of how the others fare. */
  checkExcluded = false;
  /** Discovery no longer tells of it; it stays while its check passes. */
  leaving = false;
  readonly counters: HostCounters = new HostCounters();
  /** When it came, or recovered. */
  sinceTick: number = performance.now();
  /** Tick of the last use, for hosts that come and go (original destination). */
  lastUsedTick = 0;

  constructor(key: string, endpoint: Endpoint, cluster: Cluster) {
    this.key = key;
    this.endpoint = endpoint;
    this.address = { ip: endpoint.host, port: endpoint.port };
    const { tls, proxyProtocol } = transportFor(cluster, endpoint);
    this.tls = tls;
    this.proxyProtocol = proxyProtocol;
    this.maxRequestsPerConnection = proxyProtocol === 0 ? cluster.maxRequestsPerConnection : 1;
  }

  /** Takes an ended connection out of those that can be used. */
  forget(connection: PooledConnection): void {
    const idle = this.idle.indexOf(connection as Http1Upstream);
    if (idle >= 0) this.idle.splice(idle, 1);
    const shared = this.shared.indexOf(connection as Http2Upstream);
    if (shared >= 0) this.shared.splice(shared, 1);
  }

  /** It does not count when the share of the healthy is taken (Envoy: excluded hosts). */
  get excluded(): boolean {
    return this.checkExcluded || this.checkPending || this.endpoint.health === 'draining';
  }

  usable(): boolean {
    return this.healthState !== 'unhealthy';
  }

  /** As discovery and checks see it; ejection is not looked at. */
  get healthState(): 'healthy' | 'degraded' | 'unhealthy' {
    const { health } = this.endpoint;
    if (this.check === 'failing' || (health !== 'healthy' && health !== 'degraded')) return 'unhealthy';
    return health === 'degraded' || this.checkDegraded ? 'degraded' : 'healthy';
  }
}

/** Envoy's transport_socket_matches: the first whose every label the endpoint carries; else the cluster's own. */
function transportFor(cluster: Cluster, endpoint: Endpoint): UpstreamTransport {
  for (const transport of cluster.transports) {
    if (Object.entries(transport.match).every(([name, value]) => endpoint.transportMatch[name] === value))
      return transport;
  }
  return cluster;
}

/** Endpoints are the same host as long as address, port and transport stay. */
export function hostKey(endpoint: Endpoint): string {
  const labels = endpoint.transportMatch;
  let key = `${endpoint.host}:${endpoint.port}`;
  for (const name of Object.keys(labels).sort()) key += `;${name}=${labels[name]}`;
  return key;
}

/**
 * Offered behind the real protocols and never chosen: the caller's proxy understands `x-lateen-undelivered`. Peers that do
 * not know it ignore it (RFC 7301 §3.2), and are told nothing that they would pass on.
 */
export const undeliveredProtocol = 'lateen-undelivered';

/**
 * The protocols to offer. Istio's proxies tell HTTP from other traffic by ALPN: HTTP/1.1 towards a mesh peer is
 * `istio-http/1.1`, everything else `istio` (the istio.alpn filter of Istio's proxy does the same).
 */
export function alpnFor(tls: UpstreamTls | null, use: 'http1' | 'http2' | 'tcp'): readonly string[] {
  if (tls === null) return [];
  if (use === 'tcp') return tls.alpn;
  const mesh = tls.alpn.includes('istio');
  if (use === 'http2')
    return mesh ? ['istio-h2', 'istio', 'h2'] : tls.alpn.includes('h2') || tls.alpn.length === 0 ? ['h2'] : tls.alpn;
  if (mesh) return ['istio-http/1.1', 'istio', 'http/1.1', undeliveredProtocol];
  return tls.alpn.filter((protocol) => protocol !== 'h2');
}

export function dialTarget(
  cluster: Cluster,
  host: Host,
  use: 'http1' | 'http2' | 'tcp',
  authority: string,
  caller: Caller | null,
): DialTarget {
  const { tls, proxyProtocol } = host;
  const name = authority.replace(/:\d+$/, '');
  return {
    host: host.address.ip,
    port: host.address.port,
    bindHost: cluster.bindHosts.find((bind) => isIPv6(bind) === isIPv6(host.address.ip)) ?? null,
    greeting: proxyProtocol === 0 ? null : (socket) => proxyHeader(proxyProtocol, caller, socket),
    connectTimeoutMs: cluster.connectTimeoutMs,
    keepaliveSeconds: cluster.keepalive?.idleSeconds ?? null,
    tls,
    sni: tls === null ? '' : tls.autoSni ? name : tls.sni,
    alpn: tls !== null && use === 'http2' && cluster.http === 'alpn' ? ['h2', 'http/1.1'] : alpnFor(tls, use),
  };
}
