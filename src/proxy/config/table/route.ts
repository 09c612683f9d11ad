import type { StringMatch } from '../match.ts';
import type { Metadata } from './cluster.ts';
import type { RouteFilters } from './filter.ts';
import type { HeaderMutation } from './http.ts';
import type { RateLimitRule } from './rate-limit.ts';
import type { Decorator, RouteTracing } from './tracing.ts';

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
  /** As given. */
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  readonly requireTls: 'none' | 'externalOnly' | 'all';
  readonly requestHeaders: HeaderMutation | null;
  readonly responseHeaders: HeaderMutation | null;
  readonly includeAttemptCount: boolean;
  readonly attemptCountInResponse: boolean;
  readonly rateLimits: readonly RateLimitRule[];
  /** The order of header changes: route after virtual host after table, so that the route has the last word. */
  readonly specificWins: boolean;
  readonly metadata: Metadata | null;
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
  /** Null when nothing is said about any filter. */
  readonly filters: RouteFilters | null;
  readonly decorator: Decorator | null;
  readonly tracing: RouteTracing | null;
  /** From Istio's metadata: the resource that made the route, `kind namespace/name`; '' when unknown. */
  readonly origin: string;
  readonly metadata: Metadata | null;
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
  /** What hosts must say of themselves, with what the route asks; null leaves that to the route. */
  readonly subset: Readonly<Record<string, unknown>> | null;
  /** With what the route says where the cluster says nothing; null when it says nothing about any. */
  readonly filters: RouteFilters | null;
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
  /** Name of the request header that gives the host (Envoy: host_rewrite_header). */
  readonly hostRewriteHeader: string | null;
  /** Makes the host out of the path (Envoy: host_rewrite_path_regex). */
  readonly hostRewritePath: { readonly replace: (path: string) => string } | null;
  readonly autoHostRewrite: boolean;
  readonly appendXForwardedHost: boolean;
  /** 0 switches the timeout off. */
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Overrides the connection manager's; null leaves it (Envoy: max_stream_duration). */
  readonly maxStreamDurationMs: number | null;
  /** A call's `grpc-timeout`, less the offset, is its stream's duration, up to this; 0 without bound, null for calls like any request. */
  readonly grpcMaxStreamDurationMs: number | null;
  readonly grpcStreamDurationOffsetMs: number;
  /** A call's `grpc-timeout`, less the offset, is its timeout, up to this; 0 without bound, null for calls like any request (Envoy: max_grpc_timeout). */
  readonly grpcMaxTimeoutMs: number | null;
  readonly grpcTimeoutOffsetMs: number;
  readonly retry: RetryPolicy | null;
  readonly hash: readonly HashPolicy[];
  /** What hosts must say of themselves (`envoy.lb`), in clusters with subsets (Envoy: metadata_match); null for nothing. */
  readonly subset: Readonly<Record<string, unknown>> | null;
  readonly mirrors: ReadonlyArray<{ readonly cluster: string; readonly fractionMillionths: number }>;
  readonly upgrades: ReadonlySet<string> | null;
  /** A CONNECT ends here: its bytes go to the host as they are (Envoy: connect_config). */
  readonly terminatesConnect: boolean;
  /** Null passes redirects on. */
  readonly internalRedirect: InternalRedirect | null;
  readonly rateLimits: readonly RateLimitRule[];
  readonly includesHostRateLimits: boolean;
  /** Some cluster has filters of its own: it is drawn before they run. */
  readonly clustersHaveFilters: boolean;
  /** Status when the cluster is not in the table. */
  readonly clusterNotFoundStatus: 503 | 404 | 500;
  /** Its requests are limited by thresholds of their own (Envoy: priority). */
  readonly highPriority: boolean;
}

/** Redirects that the proxy follows itself (Envoy: InternalRedirectPolicy). */
export interface InternalRedirect {
  readonly max: number;
  readonly statuses: ReadonlySet<number>;
  readonly crossesScheme: boolean;
  /** And only from https (Envoy: SafeCrossSchemeConfig). */
  readonly onlySafely: boolean;
  /** Headers of the response that the next request gets. */
  readonly copies: readonly string[];
  readonly avoidsPreviousRoutes: boolean;
  /** Names of routes that may be next; null for any. */
  readonly allowedRoutes: ReadonlySet<string> | null;
}

export interface RetryPolicy {
  readonly on: ReadonlySet<string>;
  readonly statuses: ReadonlySet<number>;
  /** Response headers that ask for another attempt, one being enough. */
  readonly headers: readonly HeaderMatch[];
  /** Only requests with one of these are tried again; empty means all. */
  readonly requestHeaders: readonly HeaderMatch[];
  readonly retries: number;
  /** 0: the route's timeout alone. */
  readonly perTryTimeoutMs: number;
  /** Without anything from the host; 0 for any time. */
  readonly perTryIdleTimeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** Response headers that say when to try again, the first that can be read (Envoy: rate_limited_retry_back_off). */
  readonly resetHeaders: ReadonlyArray<{ readonly name: string; readonly inUnixTime: boolean }>;
  readonly resetMaxMs: number;
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionAttempts: number;
  /** After so many attempts each, priorities already tried are avoided; 0 for never (Envoy: previous_priorities). */
  readonly previousPrioritiesEvery: number;
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
  readonly regexRewrite: { readonly replace: (path: string) => string } | null;
  readonly stripQuery: boolean;
}
