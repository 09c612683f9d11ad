import type { Http2Limits } from '../../codec/http2-limits.ts';
import type { TlsSettings } from './tls.ts';

/** Structs by namespace (Envoy: Metadata.filter_metadata), without those that are read into other fields. */
export type Metadata = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

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
  readonly http2: Http2Limits;
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
  readonly metadata: Metadata | null;
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
  /** The endpoint's own name (Envoy: Endpoint.hostname); ''. */
  readonly hostname: string;
  readonly metadata: Metadata | null;
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

export interface UpstreamTls extends TlsSettings {
  readonly certificate: string | null;
  readonly sni: string;
  readonly autoSni: boolean;
}
