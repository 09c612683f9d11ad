import type { ExtAuthzFilter, RouteExtAuthz } from './ext-authz.ts';
import type { Cors, Fault, HeaderMutation } from './http.ts';
import type { JwtFilter, RouteJwt } from './jwt.ts';
import type { LocalRateLimitFilter, RateLimitFilter, RouteRateLimit } from './rate-limit.ts';
import type { Rbac } from './rbac.ts';
import type { HeaderMatch } from './route.ts';

/** A filter before the router, at its place in the chain. */
export interface HttpFilter {
  /** As the chain calls it; routes address it by this name. */
  readonly name: string;
  /** Works only where a route enables it (Envoy: HttpFilter.disabled). */
  readonly disabled: boolean;
  /** What its statistics' names begin with: `http.ingress.rbac.`. */
  readonly statPrefix: string;
  readonly config: FilterConfig;
}

export type FilterConfig =
  | RbacFilter
  | FaultFilter
  | CorsFilter
  | MutationFilter
  | BufferFilter
  | HealthCheckFilter
  | JwtFilter
  | LocalRateLimitFilter
  | RateLimitFilter
  | ExtAuthzFilter;

/**
 * What a route, its virtual host or its table says about filters, by their names; the most specific level was taken when it was
 * compiled (Envoy: typed_per_filter_config).
 */
export type RouteFilters = ReadonlyMap<string, RouteFilter>;

export type RouteFilter =
  | { readonly kind: 'disabled' }
  /** Works with the chain's configuration, though the chain has it disabled. */
  | { readonly kind: 'enabled' }
  | RbacFilter
  | FaultFilter
  | RouteCors
  | RouteMutations
  | BufferFilter
  | RouteJwt
  | LocalRateLimitFilter
  | RouteRateLimit
  | RouteExtAuthz;

export interface RbacFilter {
  readonly kind: 'rbac';
  /** None or one. */
  readonly rules: readonly Rbac[];
}

export interface FaultFilter {
  readonly kind: 'fault';
  readonly fault: Fault | null;
}

/** Its policies are on the routes. */
export interface CorsFilter {
  readonly kind: 'cors';
}

export interface RouteCors {
  readonly kind: 'cors';
  /** The most specific level first; at least one. */
  readonly levels: readonly Cors[];
}

export interface MutationFilter {
  readonly kind: 'headerMutation';
  readonly mutations: HeaderMutations;
  /** Levels from the table to the route instead of the other way around. */
  readonly specificWins: boolean;
}

export interface HeaderMutations {
  /** In order. */
  readonly request: readonly HeaderMutation[];
  readonly response: readonly HeaderMutation[];
}

export interface RouteMutations {
  readonly kind: 'headerMutation';
  /** The most specific level first. */
  readonly levels: readonly HeaderMutations[];
}

/** Waits for the whole request; null where a route switches it off. */
export interface BufferFilter {
  readonly kind: 'buffer';
  readonly maxBytes: number | null;
}

export interface HealthCheckFilter {
  readonly kind: 'healthCheck';
  readonly passThrough: boolean;
  /** Shares of hosts that must be healthy, by cluster, in per cent. */
  readonly minHealthy: ReadonlyArray<readonly [cluster: string, percent: number]>;
  /** Requests with all of these are health checks. */
  readonly headers: readonly HeaderMatch[];
}
