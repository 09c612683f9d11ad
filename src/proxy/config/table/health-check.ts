import type { StringMatch } from '../match.ts';

/** How hosts are asked whether they are well (Envoy: core.v3.HealthCheck). */
export interface HealthCheck {
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** Before the first check, and added to each interval: up to so long, at random. */
  readonly initialJitterMs: number;
  readonly jitterMs: number;
  readonly jitterPercent: number;
  /** Failures in a row that make a host unhealthy, successes that make it healthy again. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** While the cluster has had no traffic. */
  readonly idleIntervalMs: number;
  readonly idleHealthyIntervalMs: number;
  readonly unhealthyIntervalMs: number;
  /** After the first failure, or success, of a row. */
  readonly unhealthyEdgeIntervalMs: number;
  readonly healthyEdgeIntervalMs: number;
  readonly reusesConnection: boolean;
  /** ALPN of the checks instead of the cluster's; empty for that. */
  readonly alpn: readonly string[];
  readonly probe: HttpProbe | TcpProbe | GrpcProbe;
}

export interface HttpProbe {
  readonly kind: 'http';
  readonly method: string;
  /** '' for the host's own name, or the cluster's. */
  readonly host: string;
  readonly path: string;
  readonly http2: boolean;
  /** Null without a body. */
  readonly send: Buffer | null;
  /** Must be in the body, in this order. */
  readonly receive: readonly Buffer[];
  readonly maxBodyBytes: number;
  readonly add: ReadonlyArray<readonly [name: string, value: string]>;
  readonly remove: ReadonlySet<string>;
  /** Half-open ranges of statuses. */
  readonly expected: ReadonlyArray<readonly [from: number, to: number]>;
  /** Count as failures one by one, where any other status is one at once. */
  readonly retriable: ReadonlyArray<readonly [from: number, to: number]>;
  /** Of x-envoy-upstream-healthchecked-cluster; null for any. */
  readonly service: StringMatch | null;
}

export interface TcpProbe {
  readonly kind: 'tcp';
  readonly send: Buffer;
  readonly receive: readonly Buffer[];
}

/** grpc.health.v1.Health/Check. */
export interface GrpcProbe {
  readonly kind: 'grpc';
  readonly service: string;
  readonly authority: string;
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
}
