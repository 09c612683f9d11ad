import type { HeaderMutation } from './http.ts';
import type { HeaderMatch, RouteMatch } from './route.ts';

/** What a route counts a request under (Envoy: route.v3.RateLimit): a descriptor with an entry of each action. */
export interface RateLimitRule {
  /** Filters of the same stage use it. */
  readonly stage: number;
  readonly actions: readonly RateLimitAction[];
  /** Where in the request's metadata a limit of its own may stand; null for none. */
  readonly limit: MetadataPath | null;
}

export interface MetadataPath {
  readonly filter: string;
  readonly path: readonly string[];
}

export type RateLimitAction =
  | { readonly kind: 'sourceCluster' | 'destinationCluster' | 'remoteAddress' }
  | { readonly kind: 'maskedRemoteAddress'; readonly v4Bits: number; readonly v6Bits: number }
  | { readonly kind: 'header'; readonly name: string; readonly key: string; readonly optional: boolean }
  | { readonly kind: 'genericKey'; readonly key: string; readonly value: string }
  | {
      readonly kind: 'headerMatch';
      readonly key: string;
      readonly value: string;
      readonly expected: boolean;
      readonly headers: readonly HeaderMatch[];
    }
  | {
      readonly kind: 'queryMatch';
      readonly key: string;
      readonly value: string;
      readonly expected: boolean;
      readonly query: RouteMatch['query'];
    }
  | {
      readonly kind: 'metadata';
      readonly key: string;
      readonly at: MetadataPath;
      readonly ofRoute: boolean;
      /** Instead of what is not there; ''. */
      readonly otherwise: string;
      readonly optional: boolean;
    };

/** How the limits of the virtual host count beside those of the route: in the place of none, in addition, or not. */
export type HostRateLimits = 'override' | 'include' | 'ignore';

/** Counts requests by token buckets of this proxy's own (Envoy: local_ratelimit). */
export interface LocalRateLimitFilter {
  readonly kind: 'localRateLimit';
  /** Of statistics, `PREFIX.http_local_rate_limit.`. */
  readonly statPrefix: string;
  readonly status: number;
  /** Null limits nothing, in a chain whose routes have buckets. */
  readonly bucket: TokenBucket | null;
  /** Shares of requests, in millionths, that are counted, and of those counted too often that are refused. */
  readonly enabledMillionths: number;
  readonly enforcedMillionths: number;
  readonly descriptors: ReadonlyArray<{ readonly entries: readonly RateLimitEntry[]; readonly bucket: TokenBucket }>;
  /** The filter's bucket counts requests of descriptors too. */
  readonly alwaysCounts: boolean;
  readonly perConnection: boolean;
  readonly stage: number;
  readonly hostLimits: HostRateLimits;
  /** Tells x-ratelimit-* in the response. */
  readonly tellsLimits: boolean;
  readonly unenforcedRequestHeaders: HeaderMutation | null;
  readonly responseHeaders: HeaderMutation | null;
  readonly grpcStatus: number | null;
}

export interface RateLimitEntry {
  readonly key: string;
  /** '' stands for any. */
  readonly value: string;
}

export interface TokenBucket {
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillMs: number;
}

/** Asks a rate limit service (Envoy: ratelimit). */
export interface RateLimitFilter {
  readonly kind: 'rateLimit';
  readonly domain: string;
  readonly stage: number;
  readonly requests: 'internal' | 'external' | 'both';
  readonly service: GrpcTarget;
  readonly failureDenies: boolean;
  readonly failureStatus: number;
  readonly status: number;
  readonly grpcStatus: number | null;
  readonly tellsLimits: boolean;
  readonly tellsEnvoyHeader: boolean;
  readonly responseHeaders: HeaderMutation | null;
}

export interface RouteRateLimit {
  readonly kind: 'rateLimit';
  readonly hostLimits: HostRateLimits;
  /** Instead of those of route and virtual host; empty for those. */
  readonly rules: readonly RateLimitRule[];
  /** '' for the filter's. */
  readonly domain: string;
}

/** A gRPC service that the proxy calls (Envoy: core.v3.GrpcService over envoy_grpc). */
export interface GrpcTarget {
  readonly cluster: string;
  readonly authority: string;
  readonly timeoutMs: number;
  /** Metadata of each call. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
}
