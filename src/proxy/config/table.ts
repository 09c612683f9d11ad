/**
 * The proxy's configuration as the data path reads it: compiled once when it is pushed, then only read.
 *
 * `compile` (compile.ts) makes a `Table` out of xDS resources and the runtime swaps it in with one assignment;
 * a request keeps the table that it started with. Every object here has one fixed shape, with `null` for what is
 * absent, so that the request path stays monomorphic. Nothing here holds a socket or a counter: what lives longer
 * than a push (connection pools, outlier state, statistics) is kept by the runtime under the cluster's name.
 */
import type { Cluster } from './table/cluster.ts';
import type { Listener } from './table/listener.ts';
import type { RouteTable } from './table/route.ts';

export type * from './table/cluster.ts';
export type * from './table/ext-authz.ts';
export type * from './table/filter.ts';
export type * from './table/health-check.ts';
export type * from './table/http.ts';
export type * from './table/jwt.ts';
export type * from './table/listener.ts';
export type * from './table/overload.ts';
export type * from './table/rate-limit.ts';
export type * from './table/rbac.ts';
export type * from './table/route.ts';
export type * from './table/tls.ts';
export type * from './table/tracing.ts';

export interface Table {
  /** Grows by one with each accepted push; shown by /config_dump and proxy-status. */
  readonly version: number;
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly routeTables: ReadonlyMap<string, RouteTable>;
}
