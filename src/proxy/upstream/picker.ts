/** Which host is next: by priority, then by locality, then by the cluster's policy (Envoy documentation, "Load balancing"). */
import type { Cluster } from '../config/table.ts';
import { type Balance, balanceOf, isKeyed, type Weighed } from './balance/balance.ts';
import { slowStartShare } from './balance/slow-start.ts';
import type { Host } from './host.ts';

/** Hosts of one locality and priority. */
export interface HostGroup {
  readonly priority: number;
  /** 0 when localities are not weighted against each other. */
  readonly weight: number;
  readonly hosts: readonly Host[];
}

export interface PickContext {
  /** 64-bit hash of what the route's hash policies name; null draws one. */
  readonly hash: bigint | null;
  /** Hosts to avoid if others are there, as after a failed attempt. */
  readonly avoid: readonly Host[] | null;
  /** What the host's metadata must say (`envoy.lb`), for clusters with subsets; null asks for nothing. */
  readonly subset: Readonly<Record<string, unknown>> | null;
}

/** A momentary view of a cluster's hosts, replaced whenever one of them comes, goes, falls ill or recovers. */
export interface Picker {
  /** Null when there is nothing to pick from. */
  pick(context: PickContext): Host | null;
}

/** Hosts that share a load, by locality where those are weighted. */
interface Source {
  readonly places: ReadonlyArray<{ readonly upTo: number; readonly balance: Balance }>;
  readonly total: number;
}

/** A share of the load, in per cent up to and including `upTo`. */
interface Share {
  readonly upTo: number;
  readonly source: Source;
}

interface Level {
  readonly groups: readonly HostGroup[];
  readonly hosts: readonly Host[];
  readonly healthy: readonly Host[];
  readonly degraded: readonly Host[];
  /** Hosts that count for its health. */
  readonly counted: number;
  /** Per cent, with the overprovisioning that Envoy grants. */
  readonly health: number;
  readonly degradation: number;
}

const maxAttempts = 8;

function levelOf(groups: readonly HostGroup[], factor: number, now: number): Level {
  const hosts = groups.flatMap((group) => group.hosts);
  const counted = hosts.filter((host) => !host.checkExcluded && !host.checkPending).length;
  const up = hosts.filter((host) => host.ejectedUntilTick <= now);
  const healthy = up.filter((host) => host.healthState === 'healthy');
  const degraded = up.filter((host) => host.healthState === 'degraded');
  const percent = (count: number) => (counted === 0 ? 0 : Math.min(100, Math.floor((factor * 100 * count) / counted)));
  return {
    groups,
    hosts,
    healthy,
    degraded,
    counted,
    health: percent(healthy.length),
    degradation: percent(degraded.length),
  };
}

/** Below the threshold, health says more about who asks than about who answers. */
function inPanic({ healthy, degraded, counted }: Level, thresholdPercent: number): boolean {
  const percent = counted === 0 ? 0 : (100 * (healthy.length + degraded.length)) / counted;
  return percent < thresholdPercent;
}

/** Loads of the levels in per cent: the healthy hosts' of each, then the degraded ones' (Envoy documentation, "Priority levels"). */
function loadsOf(levels: readonly Level[], panic: readonly boolean[]): { healthy: number[]; degraded: number[] } {
  const whole = Math.min(
    100,
    levels.reduce((sum, { health, degradation }) => sum + health + degradation, 0),
  );
  if (whole === 0) {
    if (panic.every(Boolean)) return { healthy: loadsBySize(levels), degraded: levels.map(() => 0) };
    return { healthy: levels.map((_, i) => (i === 0 ? 100 : 0)), degraded: levels.map(() => 0) };
  }
  if (whole < 100 && panic.every(Boolean)) return { healthy: loadsBySize(levels), degraded: levels.map(() => 0) };
  let left = 100;
  const shareOf = (part: number) => {
    const share = Math.min(left, Math.floor((part * 100) / whole));
    left -= share;
    return share;
  };
  const healthy = levels.map(({ health }) => shareOf(health));
  const degraded = levels.map(({ degradation }) => shareOf(degradation));
  // What rounding left over.
  const first = healthy.findIndex((share) => share > 0);
  if (first >= 0) healthy[first] += left;
  else degraded[degraded.findIndex((share) => share > 0)] += left;
  return { healthy, degraded };
}

/** Where nobody is well enough, every level is as good as its number of hosts. */
function loadsBySize(levels: readonly Level[]): number[] {
  const total = levels.reduce((sum, { hosts }) => sum + hosts.length, 0);
  if (total === 0) return levels.map((_, i) => (i === 0 ? 100 : 0));
  let left = 100;
  const loads = levels.map(({ hosts }) => {
    const share = Math.min(left, Math.floor((hosts.length * 100) / total));
    left -= share;
    return share;
  });
  loads[loads.findIndex((share) => share > 0)] += left;
  return loads;
}

function sourceOf(cluster: Cluster, level: Level, hosts: readonly Host[], now: number): Source | null {
  if (hosts.length === 0) return null;
  const weighed = (some: readonly Host[]): Weighed[] =>
    some.map((host) => ({ host, weight: host.endpoint.weight * slowStartShare(cluster.slowStart, host, now) }));
  const weighted = cluster.localityWeighted && level.groups.some(({ weight }) => weight > 0);
  if (!weighted) return { places: [{ upTo: 1, balance: balanceOf(cluster, weighed(hosts)) }], total: 1 };
  const places: Array<{ upTo: number; balance: Balance }> = [];
  const chosen = new Set(hosts);
  let total = 0;
  for (const group of level.groups) {
    const here = group.hosts.filter((host) => chosen.has(host));
    if (here.length === 0 || group.weight === 0) continue;
    total += group.weight * Math.min(1, (cluster.overprovisioningPercent / 100) * (here.length / group.hosts.length));
    places.push({ upTo: total, balance: balanceOf(cluster, weighed(here)) });
  }
  return places.length === 0 ? null : { places, total };
}

/** Builds the view. Hosts that are draining take nothing new; ejected ones are out until `now` passes their time. */
export function makePicker(cluster: Cluster, groups: readonly HostGroup[], now: number): Picker {
  const priorities = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b);
  const levels = priorities.map((priority) =>
    levelOf(
      groups
        .filter((group) => group.priority === priority)
        .map((group) => ({ ...group, hosts: group.hosts.filter(({ endpoint }) => endpoint.health !== 'draining') })),
      cluster.overprovisioningPercent / 100,
      now,
    ),
  );
  const threshold = cluster.panicThresholdPercent;
  const available = levels.reduce((sum, { health, degradation }) => sum + health + degradation, 0);
  const panic = levels.map((level) => available < 100 && inPanic(level, threshold));
  const loads = loadsOf(levels, panic);
  const shares: Share[] = [];
  let upTo = 0;
  const share = (load: number, source: Source | null) => {
    if (load <= 0) return;
    upTo += load;
    if (source !== null) shares.push({ upTo, source });
  };
  for (const [i, level] of levels.entries())
    share(loads.healthy[i], sourceOf(cluster, level, panic[i] ? level.hosts : level.healthy, now));
  for (const [i, level] of levels.entries())
    share(loads.degraded[i], sourceOf(cluster, level, panic[i] ? level.hosts : level.degraded, now));
  const only = shares.length === 1 && shares[0].source.places.length === 1 ? shares[0].source.places[0].balance : null;
  const keyed = isKeyed(cluster);

  function draw(hash: bigint | null, attempt: number): Host | null {
    if (only !== null) return only.choose(hash, attempt);
    if (shares.length === 0) return null;
    // A key stays on its level as long as the levels stay as they are.
    const mark = keyed && hash !== null ? Number(hash % 100n) + 1 : Math.random() * 100;
    const { source } = shares.find((one) => mark <= one.upTo) ?? shares[shares.length - 1];
    const place = Math.random() * source.total;
    for (const { upTo: end, balance } of source.places) if (place <= end) return balance.choose(hash, attempt);
    return null;
  }

  return {
    pick({ hash, avoid }) {
      let host = draw(hash, 0);
      if (avoid === null || host === null) return host;
      for (let attempt = 1; attempt <= maxAttempts && host !== null && avoid.includes(host); attempt++)
        host = draw(hash, attempt);
      return host;
    },
  };
}
