import type { Cluster } from '../config/table.ts';
import type { Host } from './host.ts';

/** Hosts of one locality and priority. */
export interface HostGroup {
  readonly priority: number;
  /** 0 when localities are not weighted against each other. */
  readonly weight: number;
  readonly hosts: readonly Host[];
}

export interface PickContext {
  /** 32-bit hash of what the route's hash policies name; null draws one. */
  readonly hash: number | null;
  /** Hosts to avoid if others are there, as after a failed attempt. */
  readonly avoid: readonly Host[] | null;
}

/** A momentary view of a cluster's hosts, replaced whenever one of them comes, goes, falls ill or recovers. */
export interface Picker {
  /** Null when there is nothing to pick from. */
  pick(context: PickContext): Host | null;
}

/** Chooses among the hosts of one level. */
interface Balance {
  choose(hash: number | null): Host;
}

const overprovisioning = 1.4;

function weights(hosts: readonly Host[]): { sums: number[]; total: number; equal: boolean } {
  const sums: number[] = [];
  let total = 0;
  let equal = true;
  for (const host of hosts) {
    total += host.endpoint.weight;
    sums.push(total);
    if (host.endpoint.weight !== hosts[0].endpoint.weight) equal = false;
  }
  return { sums, total, equal };
}

function drawIndex(sums: readonly number[], total: number): number {
  const mark = Math.random() * total;
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle] <= mark) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Smooth weighted round robin: each host in proportion, spread as evenly as can be. */
function roundRobin(hosts: readonly Host[]): Balance {
  const { total, equal } = weights(hosts);
  let next = Math.floor(Math.random() * hosts.length);
  if (equal) {
    return {
      choose() {
        next = next + 1 >= hosts.length ? 0 : next + 1;
        return hosts[next];
      },
    };
  }
  const credit = new Float64Array(hosts.length);
  return {
    choose() {
      let best = 0;
      for (let i = 0; i < hosts.length; i++) {
        credit[i] += hosts[i].endpoint.weight;
        if (credit[i] > credit[best]) best = i;
      }
      credit[best] -= total;
      return hosts[best];
    },
  };
}

/** The least loaded of a few drawn at random; a host's weight divides its load. */
function leastRequest(hosts: readonly Host[], choices: number): Balance {
  const { sums, total, equal } = weights(hosts);
  const draw = equal ? () => Math.floor(Math.random() * hosts.length) : () => drawIndex(sums, total);
  return {
    choose() {
      let best = hosts[draw()];
      for (let i = 1; i < choices; i++) {
        const other = hosts[draw()];
        if ((other.active + 1) / other.endpoint.weight < (best.active + 1) / best.endpoint.weight) best = other;
      }
      return best;
    },
  };
}

function random(hosts: readonly Host[]): Balance {
  const { sums, total } = weights(hosts);
  return { choose: () => hosts[drawIndex(sums, total)] };
}

/** FNV-1a with a final mix, 32 bits: spreads short keys well enough for rings and tables. */
export function hash32(text: string, seed = 0): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const maxRing = 65_536;

/** Consistent hashing on a ring, each host on it in proportion to its weight. */
function ringHash(hosts: readonly Host[], min: number, max: number): Balance {
  const { total } = weights(hosts);
  const size = Math.min(Math.max(min, hosts.length), max, maxRing);
  const points: Array<{ hash: number; host: Host }> = [];
  for (const host of hosts) {
    const count = Math.max(1, Math.round((host.endpoint.weight / total) * size));
    for (let i = 0; i < count; i++) points.push({ hash: hash32(`${host.key}_${i}`), host });
  }
  points.sort((a, b) => a.hash - b.hash);
  return {
    choose(hash) {
      const key = hash ?? Math.floor(Math.random() * 2 ** 32);
      let low = 0;
      let high = points.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (points[middle].hash < key) low = middle + 1;
        else high = middle;
      }
      return points[low === points.length ? 0 : low].host;
    },
  };
}

const maglevSize = 65_537;

/** Maglev's table: every host fills its own permutation of the places in turn, the heavier more often. */
function maglev(hosts: readonly Host[]): Balance {
  const table: Host[] = new Array(maglevSize);
  const heaviest = Math.max(...hosts.map((host) => host.endpoint.weight));
  const walks = hosts.map((host) => ({
    host,
    at: hash32(host.key) % maglevSize,
    step: (hash32(host.key, 0x9e3779b9) % (maglevSize - 1)) + 1,
    credit: 0,
  }));
  for (let filled = 0; filled < maglevSize; ) {
    for (const walk of walks) {
      walk.credit += walk.host.endpoint.weight / heaviest;
      if (walk.credit < 1) continue;
      walk.credit -= 1;
      while (table[walk.at] !== undefined) walk.at = (walk.at + walk.step) % maglevSize;
      table[walk.at] = walk.host;
      if (++filled === maglevSize) break;
    }
  }
  return { choose: (hash) => table[(hash ?? Math.floor(Math.random() * 2 ** 32)) % maglevSize] };
}

function balance(cluster: Cluster, hosts: readonly Host[]): Balance {
  if (hosts.length === 1) return { choose: () => hosts[0] };
  if (cluster.policy === 'leastRequest') return leastRequest(hosts, Math.max(2, cluster.leastRequestChoices));
  if (cluster.policy === 'random') return random(hosts);
  if (cluster.policy === 'ringHash') return ringHash(hosts, cluster.ringSize.min, cluster.ringSize.max);
  if (cluster.policy === 'maglev') return maglev(hosts);
  return roundRobin(hosts);
}

interface Level {
  readonly share: number;
  readonly groups: ReadonlyArray<{ readonly share: number; readonly balance: Balance; readonly size: number }>;
  readonly total: number;
}

/**
 * Shares of the load by priority: each level takes what its health allows, with 1.4 hosts counted for each healthy one
 * (Envoy's overprovisioning factor), and the next takes the rest.
 */
function priorityShares(health: readonly number[]): number[] {
  const whole = Math.min(
    1,
    health.reduce((sum, part) => sum + part, 0),
  );
  let left = 1;
  return health.map((part) => {
    const share = whole === 0 ? 0 : Math.min(left, part / whole);
    left -= share;
    return share;
  });
}

function makeLevel(cluster: Cluster, groups: readonly HostGroup[], share: number, panic: boolean, now: number): Level {
  const isUp = (host: Host) => panic || (host.usable() && host.ejectedUntilTick <= now);
  const made: Array<{ share: number; balance: Balance; size: number }> = [];
  let total = 0;
  const weighted = groups.some((group) => group.weight > 0);
  if (!weighted) {
    const hosts = groups.flatMap((group) => group.hosts).filter(isUp);
    if (hosts.length > 0)
      return { share, groups: [{ share: 1, balance: balance(cluster, hosts), size: hosts.length }], total: 1 };
    return { share, groups: [], total: 0 };
  }
  for (const group of groups) {
    const hosts = group.hosts.filter(isUp);
    if (hosts.length === 0 || group.weight === 0) continue;
    total += group.weight * Math.min(1, (overprovisioning * hosts.length) / group.hosts.length);
    made.push({ share: total, balance: balance(cluster, hosts), size: hosts.length });
  }
  return { share, groups: made, total };
}

/** Builds the view. Hosts that are draining take nothing new; ejected ones are out until `now` passes their time. */
export function makePicker(cluster: Cluster, groups: readonly HostGroup[], now: number): Picker {
  const priorities = [...new Set(groups.map((group) => group.priority))].sort((a, b) => a - b);
  const byPriority = priorities.map((priority) =>
    groups
      .filter((group) => group.priority === priority)
      .map((group) => ({ ...group, hosts: group.hosts.filter((host) => host.endpoint.health !== 'draining') }))
      .filter((group) => group.hosts.length > 0),
  );
  const healthy = byPriority.map((level) => {
    const hosts = level.flatMap((group) => group.hosts);
    const up = hosts.filter((host) => host.usable() && host.ejectedUntilTick <= now).length;
    return hosts.length === 0 ? 0 : up / hosts.length;
  });
  const shares = priorityShares(healthy.map((part) => Math.min(1, part * overprovisioning)));
  const panicBelow = cluster.panicThresholdPercent / 100;
  const allIn = healthy.reduce((sum, part) => sum + Math.min(1, part * overprovisioning), 0) >= 1;
  const anyHealthy = healthy.some((part) => part > 0);
  const levels: Level[] = [];
  for (const [i, level] of byPriority.entries()) {
    const panic = !allIn && healthy[i] < panicBelow;
    const share = anyHealthy
      ? shares[i]
      : panicBelow > 0 && i === byPriority.findIndex((groupsOf) => groupsOf.length > 0)
        ? 1
        : 0;
    if (share <= 0 || level.length === 0) continue;
    const made = makeLevel(cluster, level, share, panic, now);
    if (made.groups.length > 0) levels.push(made);
  }
  const whole = levels.reduce((sum, level) => sum + level.share, 0);
  const single = levels.length === 1 && levels[0].groups.length === 1 ? levels[0].groups[0] : null;

  function draw(hash: number | null): Host | null {
    if (single !== null) return single.balance.choose(hash);
    let mark = Math.random() * whole;
    for (const level of levels) {
      mark -= level.share;
      if (mark > 0 && level !== levels[levels.length - 1]) continue;
      const place = Math.random() * level.total;
      for (const group of level.groups) if (place <= group.share) return group.balance.choose(hash);
    }
    return null;
  }

  return {
    pick({ hash, avoid }) {
      let host = draw(hash);
      if (avoid === null || host === null) return host;
      // A keyed policy gives the same host for the same key: move on from the key instead.
      for (let attempt = 1; attempt <= 8 && host !== null && avoid.includes(host); attempt++) {
        host = draw(hash === null ? null : (hash + Math.imul(attempt, 0x9e3779b9)) >>> 0);
      }
      return host;
    },
  };
}
