import type { Http2Limits } from '../../codec/http2-limits.ts';
import type { HealthCheck } from './health-check.ts';
import type { TlsSettings } from './tls.ts';

/** Structs by namespace (Envoy: Metadata.filter_metadata), without those that are read into other fields. */
export type Metadata = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What lies beneath HTTP. */
export interface UpstreamTransport {
  readonly tls: UpstreamTls | null;
  /** Version of the PROXY protocol in which a host is told of the caller; 0 for none. Such a connection serves one request. */
  readonly proxyProtocol: 0 | 1 | 2;
}

export interface Cluster {
  readonly name: string;
  readonly altStatName: string;
  readonly discovery: 'eds' | 'static' | 'strictDns' | 'logicalDns' | 'originalDst' | 'aggregate';
  /** Names of the clusters of an aggregate, the first preferred. */
  readonly parts: readonly string[];
  readonly edsName: string;
  readonly policy: 'roundRobin' | 'leastRequest' | 'random' | 'ringHash' | 'maglev' | 'clusterProvided';
  readonly leastRequestChoices: number;
  /** How strongly requests under way lower the weight of a host. */
  readonly activeRequestBias: number;
  /** The least loaded of all hosts is looked for, not of a few. */
  readonly fullScan: boolean;
  readonly ring: RingSettings;
  /** By hash, no host gets more than this share of the average; 0 without limit. */
  readonly hashBalancePercent: number;
  /** Null starts hosts with their whole weight. */
  readonly slowStart: SlowStart | null;
  /** Localities share by their weights (Envoy: locality_weighted_lb_config). */
  readonly localityWeighted: boolean;
  readonly connectTimeoutMs: number;
  readonly endpoints: readonly Locality[];
  readonly panicThresholdPercent: number;
  /** Load stays near, if there are so many hosts, for this share of the requests; null anywhere. */
  readonly zoneAware: { readonly enabledPercent: number; readonly minHosts: number } | null;
  /** In panic nobody is chosen, instead of anybody. */
  readonly failsInPanic: boolean;
  /** Connects from the first of these that is of the destination's family (Istio's 127.0.0.6 towards the application). */
  readonly bindHosts: readonly string[];
  /** `useDownstream` follows the caller's protocol. */
  readonly http: 'http1' | 'http2' | 'useDownstream' | 'alpn';
  readonly http2: Http2Limits;
  /** Picked for an endpoint by its metadata (Envoy: transport_socket_matches); the first that matches wins. */
  readonly transports: ReadonlyArray<
    UpstreamTransport & { readonly name: string; readonly match: Readonly<Record<string, string>> }
  >;
  readonly tls: UpstreamTls | null;
  /** As of `UpstreamTransport`, where none of `transports` is for an endpoint. */
  readonly proxyProtocol: UpstreamTransport['proxyProtocol'];
  readonly circuit: Thresholds;
  /** For routes of high priority; null where nothing is said of them. */
  readonly highCircuit: Thresholds | null;
  readonly maxRequestsPerConnection: number;
  /** A connection serves no new request after this time; 0 without limit. */
  readonly maxConnectionMs: number;
  /** Where an original-destination cluster sends to, if not where connections were bound for: by a header, and to a port (0 for
   * the given one). */
  readonly originalDst: { readonly header: string | null; readonly port: number } | null;
  /** Hosts of an original-destination cluster are forgotten after this long without use. */
  readonly cleanupMs: number;
  /** Listeners wait for it to be ready. */
  readonly waitsForWarm: boolean;
  readonly idleTimeoutMs: number;
  readonly keepalive: { readonly idleSeconds: number } | null;
  readonly outlier: Outlier | null;
  readonly healthCheck: HealthCheck | null;
  /** Hosts that discovery no longer tells of stay until their check fails, unless this says otherwise. */
  readonly forgetsHealthyHosts: boolean;
  readonly closesUnhealthy: boolean;
  /** Every connection ends when a host comes or goes. */
  readonly closesOnHostSetChange: boolean;
  readonly dns: {
    readonly refreshMs: number;
    /** Names are asked for again when their time is up, as DNS has it. */
    readonly respectsTtl: boolean;
    readonly failureRefreshMs: number;
    readonly family: 'any' | 'v4' | 'v6' | 'v4First' | 'v6First';
  };
  /** New hosts do not count, for panic and priorities, before their first check. */
  readonly ignoresUncheckedHosts: boolean;
  readonly subsets: Subsets | null;
  /** Identical for two pushes exactly when pools and outlier state carry over; excludes `endpoints`. */
  readonly hash: string;
  /** Istio's metadata for logs and metrics: the service that the cluster stands for. */
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string } | null;
  readonly origin: string;
  readonly metadata: Metadata | null;
}

/** Limits for the requests of one priority (Envoy: CircuitBreakers.Thresholds). */
export interface Thresholds {
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Per cent of the requests under way, instead of `maxRetries`; null without a budget. */
  readonly retryBudgetPercent: number | null;
  /** A budget allows as many at least. */
  readonly minRetries: number;
  /** What is left is told by statistics. */
  readonly tracksRemaining: boolean;
}

/** Of consistent hashing. */
export interface RingSettings {
  /** Least and most places on a ring. */
  readonly min: number;
  readonly max: number;
  readonly murmur: boolean;
  /** Of Maglev; prime. */
  readonly tableSize: number;
  /** Hosts are placed by name instead of address. */
  readonly byHostname: boolean;
}

export interface SlowStart {
  readonly windowMs: number;
  readonly aggression: number;
  /** 0 to 1. */
  readonly leastShare: number;
}

/** Parts of a cluster by the metadata of its hosts (Envoy: LbSubsetConfig). */
export interface Subsets {
  /** Where no subset fits what a route asks for. */
  readonly fallback: SubsetFallback;
  readonly defaultSubset: Readonly<Record<string, unknown>>;
  readonly selectors: readonly SubsetSelector[];
  /** A list in a host's metadata stands for each of its values. */
  readonly listAsAny: boolean;
  /** Localities weigh by the share of their hosts in a subset. */
  readonly scalesLocalities: boolean;
  /** Panic looks to the whole cluster. */
  readonly panicModeAny: boolean;
}

export type SubsetFallback = 'none' | 'any' | 'default';

export interface SubsetSelector {
  /** In order of their names. */
  readonly keys: readonly string[];
  /** `keys` falls back on another selector, of `fallbackKeys`; null does as the cluster. */
  readonly fallback: SubsetFallback | 'keys' | null;
  readonly fallbackKeys: readonly string[];
  readonly singleHost: boolean;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
  readonly priority: number;
  readonly weight: number;
  /** How much healthy hosts are trusted to carry: 140 counts 1.4 of each. */
  readonly overprovisioningPercent: number;
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
  /** The endpoint's own name (Envoy: Endpoint.hostname); ''. */
  readonly hostname: string;
  readonly metadata: Metadata | null;
  /** How its health is asked for, where that is other than usual; null. */
  readonly check: {
    readonly disabled: boolean;
    /** '' and 0 for those of the endpoint. */
    readonly host: string;
    readonly port: number;
    readonly hostname: string;
  } | null;
}

/** Envoy: OutlierDetection. Numbers of 0 switch a kind off. */
export interface Outlier {
  readonly consecutive5xx: number;
  readonly consecutiveGatewayFailure: number;
  readonly consecutiveLocalOrigin: number;
  /** How many per cent of what is detected have consequences. */
  readonly enforcingPercent: {
    readonly Consecutive5xx: number;
    readonly ConsecutiveGatewayFailure: number;
    readonly ConsecutiveLocalOriginFailure: number;
    readonly SuccessRate: number;
    readonly LocalOriginSuccessRate: number;
    readonly FailurePercentage: number;
    readonly LocalOriginFailurePercentage: number;
  };
  readonly successRate: {
    readonly minimumHosts: number;
    readonly requestVolume: number;
    /** By how many standard deviations a host may stay behind the average. */
    readonly stdevFactor: number;
  };
  readonly failurePercentage: {
    readonly minimumHosts: number;
    readonly requestVolume: number;
    readonly thresholdPercent: number;
  };
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionJitterMs: number;
  readonly maxEjectionPercent: number;
  /** One host may be out, whatever the percentage says. */
  readonly alwaysEjectsOne: boolean;
  /** What happens on the way to a host is judged apart from its answers. */
  readonly splitExternalLocal: boolean;
  /** A health check that passes ends an ejection. */
  readonly checksLetBack: boolean;
}

export interface UpstreamTls extends TlsSettings {
  readonly certificate: string | null;
  readonly sni: string;
  readonly autoSni: boolean;
  /** The certificate must be for the name that was asked for. */
  readonly autoSan: boolean;
}
