import type { Cluster } from '../../config/table.ts';
import type { Host } from '../host.ts';
import { boundedLoad } from './bounded-load.ts';
import { leastRequest } from './least-request.ts';
import { maglev } from './maglev.ts';
import { random } from './random.ts';
import { ringHash } from './ring-hash.ts';
import { roundRobin } from './round-robin.ts';

/** Chooses among hosts that are as good as each other. */
export interface Balance {
  /** `hash` has 64 bits; null where nothing names a key. `attempt` is above 0 when the hosts before it were tried. */
  choose(hash: bigint | null, attempt: number): Host;
}

/** A host and what it counts for. */
export interface Weighed {
  readonly host: Host;
  readonly weight: number;
}

/** `hosts` is not empty. */
export function balanceOf(cluster: Cluster, hosts: readonly Weighed[]): Balance {
  if (hosts.length === 1) return { choose: () => hosts[0].host };
  const { policy, ring, hashBalancePercent } = cluster;
  if (policy === 'leastRequest') return leastRequest(hosts, cluster);
  if (policy === 'random') return random(hosts);
  if (!isKeyed(cluster)) return roundRobin(hosts);
  const keyed = policy === 'maglev' ? maglev(hosts, ring) : ringHash(hosts, ring);
  return hashBalancePercent > 0 ? boundedLoad(keyed, hosts, hashBalancePercent) : keyed;
}

export const isKeyed = ({ policy }: Cluster): boolean => policy === 'ringHash' || policy === 'maglev';
