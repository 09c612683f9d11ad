/** Keeps load within the proxy's own locality, as far as that one can carry it (Envoy documentation, "Zone aware routing"). */
import type { Cluster, Locality } from '../config/table.ts';
import type { ClusterCounters } from '../telemetry/counters.ts';
import type { Host } from './host.ts';
import type { HostGroup, Level } from './picker.ts';

/** The cluster that this proxy itself belongs to (Envoy: cluster_manager.local_cluster_name). */
export interface Neighbours {
  /** Of this proxy. */
  readonly place: string;
  /** Grows whenever what `level` tells changes. */
  readonly version: number;
  /** The first priority of the proxy's own cluster; null when that one is not there. */
  level(): Level | null;
}

/** A share of the load, in ten-thousandths, and who gets it. */
export interface ZoneShare {
  readonly share: number;
  readonly hosts: readonly Host[];
  readonly counter: 'lbZoneRoutingAllDirectly' | 'lbZoneRoutingSampled' | 'lbZoneRoutingCrossZone' | null;
}

const whole = 10_000;

export const placeOf = ({ region, zone, subzone }: Pick<Locality, 'region' | 'zone' | 'subzone'>): string =>
  `${region}/${zone}/${subzone}`;

function byPlace(groups: readonly HostGroup[], chosen: readonly Host[]): Map<string, Host[]> {
  const set = new Set(chosen);
  const places = new Map<string, Host[]>();
  for (const { place, hosts } of groups) {
    const here = hosts.filter((host) => set.has(host));
    if (here.length > 0) places.set(place, [...(places.get(place) ?? []), ...here]);
  }
  return places;
}

/** How the first priority's healthy hosts share the load; null when localities make no difference. */
export function zoneShares(
  { zoneAware, panicThresholdPercent }: Cluster,
  { groups, healthy }: Level,
  neighbours: Neighbours | null,
  counters: ClusterCounters,
): ZoneShare[] | null {
  if (zoneAware === null || neighbours === null || zoneAware.enabledPercent === 0) return null;
  const there = byPlace(groups, healthy);
  const { place } = neighbours;
  const near = there.get(place);
  if (there.size < 2 || near === undefined) return null;
  if (healthy.length < zoneAware.minHosts) {
    counters.lbZoneClusterTooSmall++;
    return null;
  }
  const own = neighbours.level();
  const wellPercent =
    own === null || own.counted === 0 ? 0 : (100 * (own.healthy.length + own.degraded.length)) / own.counted;
  if (
    own === null ||
    wellPercent < panicThresholdPercent ||
    !own.groups.some((group) => group.place === place && group.hosts.length > 0)
  ) {
    counters.lbLocalClusterNotOk++;
    return null;
  }
  const here = byPlace(own.groups, own.healthy);
  const ownShare = (name: string) =>
    Math.floor((whole * (here.get(name)?.length ?? 0)) / Math.max(1, own.healthy.length));
  const theirShare = (hosts: readonly Host[]) => Math.floor((whole * hosts.length) / healthy.length);
  const enabled = zoneAware.enabledPercent / 100;
  const shares: ZoneShare[] = enabled < 1 ? [{ share: whole * (1 - enabled), hosts: healthy, counter: null }] : [];
  if (theirShare(near) >= ownShare(place)) {
    shares.push({ share: whole * enabled, hosts: near, counter: 'lbZoneRoutingAllDirectly' });
    return shares;
  }
  // What the own locality cannot carry goes to where there is more than their own callers need.
  const direct = Math.floor((whole * theirShare(near)) / ownShare(place));
  shares.push({ share: direct * enabled, hosts: near, counter: 'lbZoneRoutingSampled' });
  const others = [...there].filter(([name]) => name !== place);
  const spare = others.map(([name, hosts]) => Math.max(0, theirShare(hosts) - ownShare(name)));
  const capacity = spare.reduce((sum, part) => sum + part, 0);
  for (const [i, [, hosts]] of others.entries()) {
    const part = capacity === 0 ? 1 / others.length : spare[i] / capacity;
    if (part > 0) shares.push({ share: (whole - direct) * part * enabled, hosts, counter: 'lbZoneRoutingCrossZone' });
  }
  return shares;
}
