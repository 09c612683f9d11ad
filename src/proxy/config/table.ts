/**
 * The proxy's configuration as the data path reads it: compiled once when it is pushed, then only read.
 *
 * `compile` (compile.ts) makes a `Table` out of xDS resources and the runtime swaps it in with one assignment;
 * a request keeps the table that it started with. Every object here has one fixed shape, with `null` for what is
 * absent, so that the request path stays monomorphic. Nothing here holds a socket or a counter: what lives longer
 * than a push (connection pools, outlier state, statistics) is kept by the runtime under the cluster's name.
 */
import type { AccessLogFilter, AccessLogFormat } from '../telemetry/access-log.ts';
import type { StringMatch } from './match.ts';

export interface Table {
  /** Grows by one with each accepted push; shown by /config_dump and proxy-status. */
  readonly version: number;
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly routeTables: ReadonlyMap<string, RouteTable>;
}

export interface Listener {
  readonly name: string;
  /** `null` for a listener that is not bound: it takes connections handed over by original destination. */
  readonly bind: { readonly host: string; readonly port: number } | null;
  readonly address: { readonly host: string; readonly port: number };
  /** True for 15001 and 15006: connections are handed to the listener that matches their original destination. */
  readonly useOriginalDst: boolean;
  readonly direction: 'inbound' | 'outbound' | 'unspecified';
  readonly inspect: {
    readonly originalDst: boolean;
    readonly tls: boolean;
    readonly http: boolean;
    readonly proxyProtocol: boolean;
  };
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
  /** Identical for two pushes exactly when the listener need not be touched. */
  readonly hash: string;
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
  /** Exactly one of `http` and `tcp` is set. */
  readonly http: HttpManager | null;
  readonly tcp: TcpProxy | null;
}

/** Envoy's FilterChainMatch; matched in Envoy's documented order of specificity, `null` or empty matches all. */
export interface ChainMatch {
  readonly destinationPort: number | null;
  readonly destinationPrefixes: readonly CidrRange[];
  readonly serverNames: readonly string[];
  readonly transportProtocol: 'tls' | 'raw_buffer' | null;
  readonly applicationProtocols: readonly string[];
  readonly sourcePrefixes: readonly CidrRange[];
  readonly sourcePorts: readonly number[];
}

export interface CidrRange {
  readonly address: string;
  readonly bits: number;
}

export interface DownstreamTls {
  /** Names of SDS secrets, or inline PEM under a made-up name; looked up in `Secrets` at handshake time. */
  readonly certificate: string;
  readonly trust: string | null;
  readonly requireClientCertificate: boolean;
  readonly alpn: readonly string[];
  /** The peer's URI or DNS subject alternative name must match one of these; empty accepts any that chains. */
  readonly subjectAltNames: readonly StringMatch[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface UpstreamTls {
  readonly certificate: string | null;
  readonly trust: string | null;
  readonly sni: string;
  readonly autoSni: boolean;
  readonly alpn: readonly string[];
  readonly subjectAltNames: readonly StringMatch[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface HttpManager {
  readonly statPrefix: string;
  readonly codec: 'auto' | 'http1' | 'http2';
  /**
   * Look the routes up in `Table.routeTables` under this name for each request, so that open connections follow a push.
   * The table always holds it; inline routes are held under a made-up name.
   */
  readonly routeName: string;
  readonly rbac: readonly Rbac[];
  readonly fault: Fault | null;
  readonly accessLogs: readonly AccessLogSink[];
  readonly serverName: string;
  readonly serverHeader: 'overwrite' | 'appendIfAbsent' | 'passThrough';
  readonly useRemoteAddress: boolean;
  readonly xffNumTrustedHops: number;
  /** What a sanitizeSet or appendForward element tells besides By and Hash. */
  readonly clientCertDetails: {
    readonly subject: boolean;
    readonly cert: boolean;
    readonly chain: boolean;
    readonly dns: boolean;
    readonly uri: boolean;
  };
  readonly forwardClientCert: 'sanitize' | 'forwardOnly' | 'appendForward' | 'sanitizeSet' | 'alwaysForwardOnly';
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: 'keep' | 'reject' | 'unescapeAndForward' | 'unescapeAndRedirect';
  readonly upgrades: ReadonlySet<string>;
  readonly maxRequestHeadersBytes: number;
  readonly maxRequestHeaders: number;
  readonly requestHeadersTimeoutMs: number;
  /** From the first byte of a request to its last; 0 is off. */
  readonly requestTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly generateRequestId: boolean;
  /** Keeps an x-request-id that came from outside; false replaces it when `useRemoteAddress` marks the edge. */
  readonly preserveExternalRequestId: boolean;
  /** No x-envoy-* headers are made (Envoy: Router.suppress_envoy_headers). */
  readonly suppressEnvoyHeaders: boolean;
}

export interface TcpProxy {
  readonly statPrefix: string;
  readonly clusters: readonly WeightedCluster[];
  readonly totalWeight: number;
  readonly idleTimeoutMs: number;
  readonly accessLogs: readonly AccessLogSink[];
}

export interface AccessLogSink {
  /** A path; /dev/stdout and /dev/stderr go to the process's own streams. */
  readonly path: string;
  readonly format: AccessLogFormat;
  /** Null logs everything. Listener sinks filter in the same way. */
  readonly filter: AccessLogFilter | null;
}

export interface RouteTable {
  readonly name: string;
  readonly hosts: readonly VirtualHost[];
  readonly byDomain: DomainIndex;
}

/** Envoy's virtual host search: exact, then longest `*.suffix`, then longest `prefix.*`, then `*`; case-insensitive. */
export interface DomainIndex {
  readonly exact: ReadonlyMap<string, VirtualHost>;
  /** Longest first. */
  readonly suffixes: ReadonlyArray<readonly [string, VirtualHost]>;
  readonly prefixes: ReadonlyArray<readonly [string, VirtualHost]>;
  readonly any: VirtualHost | null;
  readonly ignorePort: boolean;
}

export interface VirtualHost {
  readonly name: string;
  readonly routes: readonly Route[];
  readonly requireTls: 'none' | 'externalOnly' | 'all';
  readonly requestHeaders: HeaderMutation | null;
  readonly responseHeaders: HeaderMutation | null;
  readonly includeAttemptCount: boolean;
}

export interface Route {
  readonly name: string;
  readonly match: RouteMatch;
  /** Exactly one of these three is set. */
  readonly forward: Forward | null;
  readonly redirect: Redirect | null;
  readonly direct: { readonly status: number; readonly body: Buffer } | null;
  readonly requestHeaders: HeaderMutation | null;
  readonly responseHeaders: HeaderMutation | null;
  readonly fault: Fault | null;
  readonly rbac: readonly Rbac[] | null;
  /** From Istio's metadata: the resource that made the route, `kind namespace/name`; '' when unknown. */
  readonly origin: string;
}

export interface RouteMatch {
  readonly path:
    | { readonly kind: 'prefix'; readonly value: string }
    | { readonly kind: 'exact'; readonly value: string }
    | { readonly kind: 'separatedPrefix'; readonly value: string }
    | { readonly kind: 'regex'; readonly test: (path: string) => boolean; readonly value: string }
    | { readonly kind: 'connect' };
  readonly caseSensitive: boolean;
  readonly headers: readonly HeaderMatch[];
  readonly query: ReadonlyArray<{ readonly name: string; readonly match: StringMatch | null }>;
  /** Share of requests in millionths; 1,000,000 matches all. */
  readonly fractionMillionths: number;
  readonly grpcOnly: boolean;
}

export interface HeaderMatch {
  /** Lower case, pseudo-headers as `:method`, `:authority`, `:path`, `:scheme`. */
  readonly name: string;
  readonly kind: 'present' | 'string' | 'range';
  readonly match: StringMatch | null;
  readonly range: { readonly start: number; readonly end: number } | null;
  readonly invert: boolean;
  readonly treatMissingAsEmpty: boolean;
}

export interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
  readonly requestHeaders: HeaderMutation | null;
  readonly responseHeaders: HeaderMutation | null;
  readonly hostRewrite: string | null;
}

export interface Forward {
  /** One with weight 1 for a plain route. */
  readonly clusters: readonly WeightedCluster[];
  readonly totalWeight: number;
  /** Cluster named by a request header (Envoy: cluster_header); null as a rule. */
  readonly clusterHeader: string | null;
  readonly prefixRewrite: string | null;
  readonly regexRewrite: { readonly replace: (path: string) => string } | null;
  readonly hostRewrite: string | null;
  readonly autoHostRewrite: boolean;
  readonly appendXForwardedHost: boolean;
  /** 0 switches the timeout off. */
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly retry: RetryPolicy | null;
  readonly hash: readonly HashPolicy[];
  readonly mirrors: ReadonlyArray<{ readonly cluster: string; readonly fractionMillionths: number }>;
  readonly upgrades: ReadonlySet<string> | null;
  readonly cors: Cors | null;
  /** Status when the cluster is not in the table. */
  readonly clusterNotFoundStatus: 503 | 404 | 500;
}

export interface RetryPolicy {
  readonly on: ReadonlySet<string>;
  readonly statuses: ReadonlySet<number>;
  readonly retries: number;
  /** 0: the route's timeout alone. */
  readonly perTryTimeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionAttempts: number;
}

export type HashPolicy =
  | { readonly kind: 'header'; readonly name: string; readonly terminal: boolean }
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      readonly ttlSeconds: number | null;
      readonly terminal: boolean;
    }
  | { readonly kind: 'sourceIp'; readonly terminal: boolean }
  | { readonly kind: 'query'; readonly name: string; readonly terminal: boolean };

export interface Redirect {
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly path: string | null;
  readonly prefixRewrite: string | null;
  readonly stripQuery: boolean;
}

export interface Cors {
  readonly origins: readonly StringMatch[];
  readonly methods: string;
  readonly headers: string;
  readonly expose: string;
  readonly maxAge: string;
  readonly allowCredentials: boolean;
}

export interface HeaderMutation {
  /** In order; `value` may hold Envoy's command operators, compiled to a function of the exchange. */
  readonly add: ReadonlyArray<{
    readonly name: string;
    readonly value: HeaderValue;
    readonly action: 'append' | 'overwrite' | 'addIfAbsent' | 'overwriteIfExists';
  }>;
  readonly remove: readonly string[];
}

/** A constant, or a format with %COMMAND% operators evaluated against the exchange (telemetry/format.ts). */
export type HeaderValue = string | ((exchange: never) => string);

export interface Fault {
  readonly delay: { readonly ms: number; readonly millionths: number } | null;
  readonly abort: { readonly status: number; readonly grpcStatus: number | null; readonly millionths: number } | null;
  /** Only requests with all of these headers. */
  readonly headers: readonly HeaderMatch[];
}

/** One RBAC filter. Policies are ordered by name, as Envoy iterates its sorted map. */
export interface Rbac {
  readonly action: 'ALLOW' | 'DENY' | 'LOG';
  readonly policies: readonly RbacPolicy[];
  readonly shadow: { readonly action: 'ALLOW' | 'DENY'; readonly policies: readonly RbacPolicy[] } | null;
}

export interface RbacPolicy {
  /** As the control plane names it: `ns[NAMESPACE]-policy[NAME]-rule[N]`. */
  readonly name: string;
  readonly permissions: readonly RbacRule[];
  readonly principals: readonly RbacRule[];
}

export type RbacRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'and' | 'or'; readonly rules: readonly RbacRule[] }
  | { readonly kind: 'not'; readonly rule: RbacRule }
  | { readonly kind: 'header'; readonly header: HeaderMatch }
  | { readonly kind: 'path'; readonly match: StringMatch }
  | { readonly kind: 'destinationIp' | 'directRemoteIp' | 'remoteIp'; readonly range: CidrRange }
  | { readonly kind: 'destinationPort'; readonly port: number }
  | { readonly kind: 'destinationPortRange'; readonly range: PortRange }
  | { readonly kind: 'authenticated'; readonly match: StringMatch | null }
  | { readonly kind: 'serverName'; readonly match: StringMatch }
  | {
      readonly kind: 'metadata';
      readonly filter: string;
      readonly path: readonly string[];
      readonly match: StringMatch;
    };

export interface Cluster {
  readonly name: string;
  readonly altStatName: string;
  readonly discovery: 'eds' | 'static' | 'strictDns' | 'logicalDns' | 'originalDst';
  readonly edsName: string;
  readonly policy: 'roundRobin' | 'leastRequest' | 'random' | 'ringHash' | 'maglev' | 'clusterProvided';
  readonly leastRequestChoices: number;
  readonly ringSize: { readonly min: number; readonly max: number };
  readonly connectTimeoutMs: number;
  readonly endpoints: readonly Locality[];
  readonly panicThresholdPercent: number;
  /** Connects from this address (Istio's 127.0.0.6 towards the application). */
  readonly bindHost: string | null;
  /** `useDownstream` follows the caller's protocol. */
  readonly http: 'http1' | 'http2' | 'useDownstream' | 'alpn';
  /** Picked for an endpoint by its metadata (Envoy: transport_socket_matches); the first that matches wins. */
  readonly transports: ReadonlyArray<{
    readonly name: string;
    readonly match: Readonly<Record<string, string>>;
    readonly tls: UpstreamTls | null;
  }>;
  readonly tls: UpstreamTls | null;
  readonly circuit: {
    readonly maxConnections: number;
    readonly maxPending: number;
    readonly maxRequests: number;
    readonly maxRetries: number;
    readonly retryBudgetPercent: number | null;
  };
  readonly maxRequestsPerConnection: number;
  readonly idleTimeoutMs: number;
  readonly keepalive: { readonly idleSeconds: number } | null;
  readonly outlier: Outlier | null;
  /** Identical for two pushes exactly when pools and outlier state carry over; excludes `endpoints`. */
  readonly hash: string;
  /** Istio's metadata for logs and metrics: the service that the cluster stands for. */
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string } | null;
  readonly origin: string;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
  readonly priority: number;
  readonly weight: number;
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly health: 'healthy' | 'unhealthy' | 'draining' | 'degraded';
  /** The `envoy.transport_socket_match` metadata. */
  readonly transportMatch: Readonly<Record<string, string>>;
  /** Istio's workload metadata: `name;namespace;canonical name;canonical revision;cluster`. '' when unknown. */
  readonly workload: string;
}

export interface Outlier {
  readonly consecutive5xx: number;
  readonly consecutiveGatewayFailure: number;
  readonly enforcing5xxPercent: number;
  readonly enforcingGatewayPercent: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  readonly splitExternalLocal: boolean;
  readonly consecutiveLocalOrigin: number;
}
