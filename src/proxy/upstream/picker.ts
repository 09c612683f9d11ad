/** Which host is next: by priority, then by locality, then by the cluster's policy (Envoy documentation, "Load balancing"). */
import type { Cluster } from '../config/table.ts';
import type { ClusterCounters } from '../telemetry/counters.ts';
import { type Balance, balanceOf, isKeyed, type Weighed } from './balance/balance.ts';
import { slowStartShare } from './balance/slow-start.ts';
import type { Host } from './host.ts';
import { type Neighbours, type ZoneShare, zoneShares } from './zones.ts';

/** Hosts of one locality and priority. */
export interface HostGroup {
  readonly priority: number;
  /** 0 when localities are not weighted against each other. */
  readonly weight: number;
  /** So many hosts are reckoned with for a hundred that are well. */
  readonly overprovisioningPercent: number;
  /** Region, zone and subzone. */
  readonly place: string;
  readonly hosts: readonly Host[];
}

export interface PickContext {
  /** 64-bit hash of what the route's hash policies name; null draws one. */
  readonly hash: bigint | null;
  /** Hosts to avoid if others are there, as after a failed attempt. */
  readonly avoid: readonly Host[] | null;
  /** What the host's metadata must say (`envoy.lb`), for clusters with subsets; null asks for nothing. */
  readonly subset: Readonly<Record<string, unknown>> | null;
  /** Priorities are left out after `every` hosts tried of them; null leaves none out. */
  readonly spent: { readonly tried: readonly Host[]; readonly every: number } | null;
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
  /** Nobody in it is well enough: every host gets load. */
  readonly panic: boolean;
  /** Null when it has nobody. */
  readonly source: Source | null;
}

export interface Level {
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

/** By priority, those without hosts included; one at least. */
export function levelsOf(groups: readonly HostGroup[], now: number): Level[] {
  const last = groups.reduce((highest, { priority }) => Math.max(highest, priority), 0);
  return Array.from({ length: last + 1 }, (_, priority) =>
    levelOf(
      groups.filter((group) => group.priority === priority),
      now,
    ),
  );
}

function levelOf(groups: readonly HostGroup[], now: number): Level {
  const factor = (groups[0]?.overprovisioningPercent ?? 140) / 100;
  const hosts = groups.flatMap((group) => group.hosts);
  const counted = hosts.filter((host) => !host.excluded).length;
  const up = hosts.filter((host) => host.ejectedUntilTick <= now);
  const healthy = up.filter((host) => host.healthState === 'healthy');
  const degraded = up.filter((host) => host.healthState === 'degraded');
  const percent = (count: number) =>
    counted === 0 ? 0 : Math.min(100, Math.floor((Math.round(factor * 100) * count) / counted));
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

/** Which levels give load to every host, ill or not; none as long as all of the load can be carried. */
export function panicsOf(levels: readonly Level[], thresholdPercent: number): boolean[] {
  const available = levels.reduce((sum, { health, degradation }) => sum + health + degradation, 0);
  return levels.map((level) => available < 100 && inPanic(level, thresholdPercent));
}

/** Loads of the levels in per cent: the healthy hosts' of each, then the degraded ones' (Envoy documentation, "Priority levels"). */
export function loadsOf(
  levels: readonly Level[],
  panic: readonly boolean[],
): { healthy: number[]; degraded: number[] } {
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

function weighedAt(cluster: Cluster, hosts: readonly Host[], now: number): Weighed[] {
  return hosts.map((host) => ({ host, weight: host.endpoint.weight * slowStartShare(cluster.slowStart, host, now) }));
}

function zoneSource(cluster: Cluster, shares: readonly ZoneShare[], now: number, counters: ClusterCounters): Source {
  let total = 0;
  const places = shares.map(({ share, hosts, counter }) => {
    total += share;
    const balance = balanceOf(cluster, weighedAt(cluster, hosts, now));
    return { upTo: total, balance: counter === null ? balance : counted(balance, counter, counters) };
  });
  return { places, total };
}

/** Counts what it chooses. */
const counted = (balance: Balance, counter: NonNullable<ZoneShare['counter']>, counters: ClusterCounters): Balance => ({
  choose(hash, attempt) {
    counters[counter]++;
    return balance.choose(hash, attempt);
  },
});

function sourceOf(cluster: Cluster, level: Level, hosts: readonly Host[], now: number): Source | null {
  if (hosts.length === 0) return null;
  const weighed = (some: readonly Host[]): Weighed[] => weighedAt(cluster, some, now);
  const weighted = cluster.localityWeighted && level.groups.some(({ weight }) => weight > 0);
  if (weighted && isKeyed(cluster)) return keyedSource(cluster, level, hosts);
  if (!weighted) return { places: [{ upTo: 1, balance: balanceOf(cluster, weighed(hosts)) }], total: 1 };
  const places: Array<{ upTo: number; balance: Balance }> = [];
  const chosen = new Set(hosts);
  let total = 0;
  for (const group of level.groups) {
    const here = group.hosts.filter((host) => chosen.has(host));
    if (here.length === 0 || group.weight === 0) continue;
    total +=
      group.weight * Math.min(1, ((group.overprovisioningPercent / 100) * here.length) / Math.max(1, countedOf(group)));
    places.push({ upTo: total, balance: balanceOf(cluster, weighed(here)) });
  }
  return places.length === 0 ? null : { places, total };
}

const countedOf = ({ hosts }: HostGroup): number => hosts.filter((host) => !host.excluded).length;

/** One ring or table of all localities, in which each has the places of its weight. */
function keyedSource(cluster: Cluster, { groups }: Level, hosts: readonly Host[]): Source | null {
  const chosen = new Set(hosts);
  const weighed = groups.flatMap((group) => {
    const here = group.hosts.filter((host) => chosen.has(host));
    const sum = here.reduce((total, { endpoint }) => total + endpoint.weight, 0);
    return here.map((host) => ({ host, weight: (host.endpoint.weight * group.weight) / sum }));
  });
  const counting = weighed.filter(({ weight }) => weight > 0);
  return counting.length === 0 ? null : { places: [{ upTo: 1, balance: balanceOf(cluster, counting) }], total: 1 };
}

/** Builds the view. Ejected hosts are out until `now` passes their time. */
export function makePicker(
  cluster: Cluster,
  groups: readonly HostGroup[],
  now: number,
  counters: ClusterCounters,
  neighbours: Neighbours | null = null,
): Picker {
  const levels = levelsOf(groups, now);
  const panic = panicsOf(levels, cluster.panicThresholdPercent);
  const loads = loadsOf(levels, panic);
  const keyed = isKeyed(cluster);
  const sharesOf = ({ healthy: ofHealthy, degraded: ofDegraded }: ReturnType<typeof loadsOf>): Share[] => {
    const made: Share[] = [];
    let upTo = 0;
    const share = (i: number, load: number, well: readonly Host[]) => {
      if (load <= 0) return;
      upTo += load;
      const hosts = panic[i] ? (cluster.failsInPanic ? [] : levels[i].hosts) : well;
      const zones =
        i === 0 && !panic[i] && well === levels[i].healthy && !keyed && !cluster.localityWeighted
          ? zoneShares(cluster, levels[i], neighbours, counters)
          : null;
      const source =
        zones === null ? sourceOf(cluster, levels[i], hosts, now) : zoneSource(cluster, zones, now, counters);
      made.push({ upTo, source, panic: panic[i] });
    };
    for (const [i, { healthy }] of levels.entries()) share(i, ofHealthy[i], healthy);
    // Rings and tables hold the healthy alone, also for what is meant for the degraded (Envoy: ThreadAwareLoadBalancerBase).
    for (const [i, { healthy, degraded }] of levels.entries()) share(i, ofDegraded[i], keyed ? healthy : degraded);
    return made;
  };
  const shares = sharesOf(loads);
  /** By the priorities left out. */
  const remaining = new Map<string, readonly Share[]>();

  const wellWithout = (out: readonly boolean[]) =>
    levels.some(({ health, degradation }, i) => !out[i] && health + degradation > 0);

  /** Without the priorities of hosts that were tried; all are there again when nobody well is left (Envoy: previous_priorities). */
  function sharesWithout({ tried, every }: NonNullable<PickContext['spent']>): readonly Share[] {
    const out = levels.map(() => false);
    for (let n = every; n <= tried.length; n += every) {
      const some = tried.slice(n - every, n);
      for (const [i, { hosts }] of levels.entries()) if (some.some((host) => hosts.includes(host))) out[i] = true;
      if (!wellWithout(out)) out.fill(false);
    }
    const key = out.join();
    const known = remaining.get(key);
    if (known !== undefined) return known;
    const left = levels.map((level, i) => (out[i] ? { ...level, health: 0, degradation: 0 } : level));
    const made = out.includes(true) ? sharesOf(loadsOf(left, panic)) : shares;
    remaining.set(key, made);
    return made;
  }
  const single = shares.length === 1 && !shares[0].panic ? shares[0].source : null;
  const only = single !== null && single.places.length === 1 ? single.places[0].balance : null;

  function draw(hash: bigint | null, attempt: number): Host | null {
    return only === null ? drawFrom(shares, hash, attempt) : only.choose(hash, attempt);
  }

  function drawFrom(shares: readonly Share[], hash: bigint | null, attempt: number): Host | null {
    if (shares.length === 0) return null;
    // A key stays on its level as long as the levels stay as they are.
    const mark = keyed && hash !== null ? Number(hash % 100n) + 1 : Math.random() * 100;
    const { source, panic: panics } = shares.find((one) => mark <= one.upTo) ?? shares[shares.length - 1];
    if (panics && attempt === 0) counters.lbHealthyPanic++;
    if (source === null) return null;
    const place = Math.random() * source.total;
    for (const { upTo: end, balance } of source.places) if (place <= end) return balance.choose(hash, attempt);
    return null;
  }

  return {
    pick({ hash, avoid, spent }) {
      const from = spent === null ? null : sharesWithout(spent);
      let host = from === null ? draw(hash, 0) : drawFrom(from, hash, 0);
      if (avoid === null || host === null) return host;
      for (let attempt = 1; attempt <= maxAttempts && host !== null && avoid.includes(host); attempt++)
        host = from === null ? draw(hash, attempt) : drawFrom(from, hash, attempt);
      return host;
    },
  };
}
