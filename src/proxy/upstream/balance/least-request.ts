import type { Cluster } from '../../config/table.ts';
import type { Host } from '../host.ts';
import type { Balance, Weighed } from './balance.ts';
import { Schedule } from './schedule.ts';

/**
 * The least loaded of a few drawn at random; hosts of unequal weights come in turn, the more seldom the more they have to do
 * (Envoy documentation, "Weighted least request").
 */
export function leastRequest(hosts: readonly Weighed[], cluster: Cluster): Balance {
  const { activeRequestBias: bias, leastRequestChoices: choices } = cluster;
  if (hosts.some(({ weight }) => weight !== hosts[0].weight)) {
    const schedule = new Schedule(hosts, ({ host, weight }) => weight / (host.active + 1) ** bias);
    return { choose: () => schedule.next().host };
  }
  if (cluster.fullScan) return { choose: () => leastOfAll(hosts) };
  const draw = () => hosts[Math.floor(Math.random() * hosts.length)].host;
  return {
    choose() {
      let best = draw();
      for (let i = 1; i < choices; i++) {
        const other = draw();
        if (other.active < best.active) best = other;
      }
      return best;
    },
  };
}

/** Of those that have the least, one at random. */
function leastOfAll(hosts: readonly Weighed[]): Host {
  let best = hosts[0].host;
  let equals = 1;
  for (let i = 1; i < hosts.length; i++) {
    const { host } = hosts[i];
    if (host.active < best.active) {
      best = host;
      equals = 1;
    } else if (host.active === best.active && Math.random() * ++equals < 1) best = host;
  }
  return best;
}
