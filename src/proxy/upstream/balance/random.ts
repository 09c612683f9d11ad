import type { Balance, Weighed } from './balance.ts';

/** Any host, whatever its weight: as Envoy's policy, which looks at none. */
export function random(hosts: readonly Weighed[]): Balance {
  return { choose: () => hosts[Math.floor(Math.random() * hosts.length)].host };
}
