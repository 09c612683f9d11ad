import type { Cluster } from '../config/table.ts';
import type { ClusterPool } from './cluster.ts';
import { type Level, loadsOf, panicsOf } from './picker.ts';

/**
 * A cluster of clusters (Envoy documentation, "Aggregate Cluster"): the priorities of all of them, one cluster after the other,
 * make one row, by whose health it is drawn which cluster gets a request. That one then chooses a host in its own way.
 */
export class Aggregate {
  private readonly config: Cluster;
  private readonly pool: (cluster: string) => ClusterPool | null;
  private pools: ClusterPool[] = [];
  /** Of the pools, when shares were made. */
  private versions: number[] = [];
  /** Per cent up to which the pool of the same place is drawn. */
  private ends: number[] = [];

  /** `pool` finds clusters by name, aggregates as such. */
  constructor(config: Cluster, pool: (cluster: string) => ClusterPool | null) {
    this.config = config;
    this.pool = pool;
  }

  /** Null when none of its clusters is there. */
  choose(): ClusterPool | null {
    this.follow();
    const { ends, pools } = this;
    const mark = Math.floor(Math.random() * 100) + 1;
    for (let i = 0; i < ends.length; i++) if (mark <= ends[i]) return pools[i];
    return pools[0] ?? null;
  }

  private follow(): void {
    const pools = this.members();
    const { versions } = this;
    if (
      pools.length === this.pools.length &&
      pools.every((pool, i) => pool === this.pools[i] && pool.version === versions[i])
    )
      return;
    this.pools = pools;
    this.versions = pools.map(({ version }) => version);
    const owners: number[] = [];
    const levels: Level[] = [];
    for (const [i, pool] of pools.entries())
      for (const level of pool.levels()) {
        owners.push(i);
        levels.push(level);
      }
    const loads = loadsOf(levels, panicsOf(levels, this.config.panicThresholdPercent));
    const shares = pools.map(() => 0);
    for (const [level, owner] of owners.entries()) shares[owner] += loads.healthy[level] + loads.degraded[level];
    let end = 0;
    this.ends = shares.map((share) => {
      end += share;
      return end;
    });
  }

  /** Aggregates have no hosts of their own, and so count for nothing within another, as in Envoy. */
  private members(): ClusterPool[] {
    return this.config.parts.flatMap((name) => {
      const pool = this.pool(name);
      return pool === null || pool.config.discovery === 'aggregate' ? [] : [pool];
    });
  }
}
