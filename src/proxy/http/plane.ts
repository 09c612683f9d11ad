import type { Table } from '../config/table.ts';
import type { Draining } from '../net/draining.ts';
import type { OverloadState } from '../net/overload.ts';
import type { Secrets } from '../net/secrets.ts';
import type { Statistics } from '../telemetry/statistics.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import type { Telemetry } from './exchange.ts';
import type { KeySets } from './filters/jwt-keys.ts';

/** This proxy, as it calls itself (Envoy: core.v3.Node). */
export interface LocalNode {
  readonly id: string;
  readonly cluster: string;
  readonly zone: string;
  /** Region, zone and subzone. */
  readonly place: string;
  /** The cluster that it belongs to (Envoy: cluster_manager.local_cluster_name); ''. */
  readonly localCluster: string;
}

/** What the whole data path of one thread shares. */
export interface Plane {
  /** The table of now; a request keeps the one that it began with. */
  readonly table: Table;
  readonly node: LocalNode;
  readonly secrets: Secrets;
  readonly telemetry: Telemetry;
  readonly statistics: Statistics;
  readonly draining: Draining;
  /** POST /healthcheck/fail: listeners let callers go, unless they drain for changes alone. */
  readonly unhealthy: boolean;
  readonly overload: OverloadState;
  readonly keySets: KeySets;
  /** A cluster's hosts and connections; null when the table does not hold it. */
  pool(cluster: string): ClusterPool | null;
}
