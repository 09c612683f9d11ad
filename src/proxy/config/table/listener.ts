import type { AccessLogFilter, AccessLogFormat } from '../../telemetry/access-log.ts';
import type { Metadata } from './cluster.ts';
import type { HeaderMutation, HttpManager } from './http.ts';
import type { Rbac } from './rbac.ts';
import type { WeightedCluster } from './route.ts';
import type { TlsSettings } from './tls.ts';

export interface Listener {
  readonly name: string;
  /** Stands for the address in the names of statistics; ''. */
  readonly statPrefix: string;
  /** `null` for a listener that is not bound: it takes connections handed over by original destination. */
  readonly bind: { readonly host: string; readonly port: number } | null;
  readonly address: { readonly host: string; readonly port: number };
  /** Further addresses that are bound (Envoy: additional_addresses). */
  readonly moreAddresses: ReadonlyArray<{ readonly host: string; readonly port: number }>;
  /** Length of the kernel's queue of connections to accept. */
  readonly backlog: number;
  /** True for 15001 and 15006: connections are handed to the listener that matches their original destination. */
  readonly useOriginalDst: boolean;
  readonly direction: 'inbound' | 'outbound' | 'unspecified';
  readonly inspect: {
    readonly originalDst: boolean;
    readonly tls: boolean;
    readonly http: boolean;
  };
  /** Null when no connection begins with a PROXY protocol header. */
  readonly proxyProtocol: ProxyProtocol | null;
  /** Not held to the limit of all connections (Envoy: ignore_global_conn_limit). */
  readonly ignoresGlobalLimit: boolean;
  /** Not refused when resources run short (Envoy: bypass_overload_manager). */
  readonly bypassesOverload: boolean;
  /** Whether callers are let go while the proxy is told to fail its health checks (Envoy: drain_type DEFAULT). */
  readonly drainsWhenUnhealthy: boolean;
  /** Passed by each connection when it is accepted; null lets all in (Envoy: the local_ratelimit listener filter). */
  readonly acceptGate: Gate | null;
  /** Destination ports whose original destination is not asked for. */
  readonly originalDstDisabledPorts: readonly PortRange[];
  /** Destination ports for which `http` inspection is off (Envoy: filter_disabled). */
  readonly httpInspectDisabledPorts: readonly PortRange[];
  readonly tlsInspectDisabledPorts: readonly PortRange[];
  /** How long protocol detection may take, milliseconds; 0 waits for ever (Envoy: listener_filters_timeout). */
  readonly inspectTimeoutMs: number;
  /** When detection times out: true goes on as unknown protocol, false closes. */
  readonly continueOnInspectTimeout: boolean;
  readonly chains: readonly FilterChain[];
  readonly defaultChain: FilterChain | null;
  readonly accessLogs: readonly AccessLogSink[];
  readonly metadata: Metadata | null;
  /** Identical for two pushes exactly when the listener need not be touched. */
  readonly hash: string;
}

/** The proxy_protocol listener filter (haproxy.org/download/2.9/doc/proxy-protocol.txt). */
export interface ProxyProtocol {
  /** Goes on with the socket's own addresses when the connection begins otherwise, instead of refusing it. */
  readonly optional: boolean;
  /** Versions that are refused. */
  readonly refusesV1: boolean;
  readonly refusesV2: boolean;
  readonly disabledPorts: readonly PortRange[];
  /** Whether the kernel's original destination replaces the header's: original_dst comes after it. */
  readonly yieldsToOriginalDst: boolean;
}

export interface PortRange {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

export interface FilterChain {
  readonly name: string;
  readonly match: ChainMatch;
  readonly tls: DownstreamTls | null;
  readonly networkRbac: readonly Rbac[];
  /** Passed in this order before the connection is served. */
  readonly gates: readonly Gate[];
  /** Exactly one of `http`, `tcp` and `answer` is set. */
  readonly http: HttpManager | null;
  readonly tcp: TcpProxy | null;
  /** Written to the caller, who is then let go (Envoy: direct_response). */
  readonly answer: Buffer | null;
}

/** Lets so many connections through at a time, or so many in an interval. */
export type Gate =
  | {
      readonly kind: 'connections';
      readonly max: number;
      /** How long a connection too many is held before it is closed, milliseconds. */
      readonly delayMs: number;
    }
  | { readonly kind: 'rate'; readonly maxTokens: number; readonly tokensPerFill: number; readonly fillMs: number };

/** Envoy's FilterChainMatch; matched in Envoy's documented order of specificity, `null` or empty matches all. */
export interface ChainMatch {
  readonly destinationPort: number | null;
  readonly destinationPrefixes: readonly CidrRange[];
  readonly serverNames: readonly string[];
  readonly transportProtocol: 'tls' | 'raw_buffer' | null;
  readonly applicationProtocols: readonly string[];
  /** Of the peer that the socket shows, whatever a PROXY protocol header says. */
  readonly directSourcePrefixes: readonly CidrRange[];
  readonly sourceType: 'any' | 'sameIpOrLoopback' | 'external';
  readonly sourcePrefixes: readonly CidrRange[];
  readonly sourcePorts: readonly number[];
}

export interface CidrRange {
  readonly address: string;
  readonly bits: number;
}

export interface DownstreamTls extends TlsSettings {
  /** Names of SDS secrets, or inline PEM under a made-up name, looked up in `Secrets` at handshake time; never empty. */
  readonly certificates: readonly string[];
  readonly requireClientCertificate: boolean;
  /** When no certificate has the server's name: true takes the first of each kind of key, false the first. */
  readonly scansAll: boolean;
}

export interface TcpProxy {
  readonly statPrefix: string;
  readonly clusters: readonly WeightedCluster[];
  readonly totalWeight: number;
  /** Whether the server name of the ClientHello, when there is one, names the cluster (Envoy: sni_cluster). */
  readonly clusterBySni: boolean;
  /** 0 never ends an idle connection. */
  readonly idleTimeoutMs: number;
  /** Longest life of a connection, milliseconds; 0 has no limit. */
  readonly maxDurationMs: number;
  readonly maxConnectAttempts: number;
  /** Null passes bytes on as they are. */
  readonly tunnel: TcpTunnel | null;
  /** Whether keyed load balancing hashes the caller's address. */
  readonly hashesSource: boolean;
  readonly accessLogs: readonly AccessLogSink[];
  readonly logOptions: LogOptions;
}

/** The request that a connection goes upstream in (Envoy: tunneling_config). */
export interface TcpTunnel {
  /** Where to: HOST:PORT. */
  readonly hostname: AccessLogFormat;
  readonly method: 'CONNECT' | 'POST';
  /** Of POST. */
  readonly path: string;
  readonly headers: HeaderMutation | null;
}

/** When access logs tell of what is still under way (Envoy: access_log_options). */
export interface LogOptions {
  /** Every so often; 0 is never. */
  readonly everyMs: number;
  /** A request has come. */
  readonly onRequest: boolean;
  /** An upgrade was agreed to, or a connection stands to the upstream. */
  readonly onConnected: boolean;
}

export interface AccessLogSink {
  /** A path; /dev/stdout and /dev/stderr go to the process's own streams. */
  readonly path: string;
  readonly format: AccessLogFormat;
  /** Null logs everything. Listener sinks filter in the same way. */
  readonly filter: AccessLogFilter | null;
}
