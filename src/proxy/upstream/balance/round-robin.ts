import type { Balance, Weighed } from './balance.ts';

/** Smooth weighted round robin: each host in proportion, spread as evenly as can be. */
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
  const total = hosts.reduce((sum, { weight }) => sum + weight, 0);
  const credit = new Float64Array(hosts.length);
  return {
    choose() {
      let best = 0;
      for (let i = 0; i < hosts.length; i++) {
        credit[i] += hosts[i].weight;
        if (credit[i] > credit[best]) best = i;
      }
      credit[best] -= total;
      return hosts[best].host;
    },
  };
}
