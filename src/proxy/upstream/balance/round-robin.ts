import type { Balance, Weighed } from './balance.ts';
import { Schedule } from './schedule.ts';

/** In turn, each host as often as its weight says. */
export function roundRobin(hosts: readonly Weighed[]): Balance {
  let next = Math.floor(Math.random() * hosts.length);
  if (hosts.every(({ weight }) => weight === hosts[0].weight)) {
    return {
      choose() {
        next = next + 1 >= hosts.length ? 0 : next + 1;
        return hosts[next].host;
      },
    };
  }
  const schedule = new Schedule(hosts, ({ weight }) => weight);
  return { choose: () => schedule.next().host };
}
