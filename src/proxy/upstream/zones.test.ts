import test from 'ava';
import type { Cluster } from '../config/table.ts';
import { ClusterCounters } from '../telemetry/counters.ts';
import { clusterOf, endpointOf } from '../testing/tables.ts';
import { Host, hostKey } from './host.ts';
import { type HostGroup, levelsOf, makePicker } from './picker.ts';
import { placeOf } from './zones.ts';

const place = (zone: string) => placeOf({ region: 'r', zone, subzone: '' });
let port = 0;

/** Localities by zone, with so many hosts each. */
function zones(counts: Readonly<Record<string, number>>): HostGroup[] {
  const cluster = clusterOf('a', []);
  return Object.entries(counts).map(([zone, count]) => ({
    priority: 0,
    weight: 0,
    overprovisioningPercent: 140,
    place: place(zone),
    hosts: Array.from({ length: count }, () => {
      const endpoint = endpointOf(++port);
      return new Host(hostKey(endpoint), endpoint, cluster);
    }),
  }));
}

/** Shares of the zones, seen from zone x among callers like these. */
function shares(theirs: HostGroup[], callers: HostGroup[] | null, zoneAware: Cluster['zoneAware']) {
  const counters = new ClusterCounters();
  const neighbours = {
    place: place('x'),
    version: 0,
    level: () => (callers === null ? null : levelsOf(callers, 0)[0]),
  };
  const cluster = clusterOf('a', [], { zoneAware, localityWeighted: false });
  const picker = makePicker(cluster, theirs, 0, counters, neighbours);
  const draws = 20_000;
  const counts: Record<string, number> = {};
  for (let i = 0; i < draws; i++) {
    const host = picker.pick({ hash: null, avoid: null, subset: null, spent: null })!;
    const { place: at } = theirs.find(({ hosts }) => hosts.includes(host))!;
    counts[at.split('/')[1]] = (counts[at.split('/')[1]] ?? 0) + 1 / draws;
  }
  return { counts, counters };
}

const near = (actual: number | undefined, expected: number) => Math.abs((actual ?? 0) - expected) < 0.03;
const always = { enabledPercent: 100, minHosts: 2 };

test('everything stays in the own zone where that has hosts enough for its callers', (t) => {
  const { counts, counters } = shares(zones({ x: 2, y: 2 }), zones({ x: 1, y: 1 }), always);
  t.deepEqual(Object.keys(counts), ['x']);
  t.is(counters.lbZoneRoutingAllDirectly, 20_000);
});

test('what the own zone cannot carry goes to where there is more than is needed', (t) => {
  const { counts, counters } = shares(zones({ x: 1, y: 1, z: 2 }), zones({ x: 2, y: 1, z: 1 }), always);
  t.true(near(counts.x, 0.5), JSON.stringify(counts));
  t.true(near(counts.z, 0.5), JSON.stringify(counts));
  t.false('y' in counts);
  t.is(counters.lbZoneRoutingSampled + counters.lbZoneRoutingCrossZone, 20_000);
});

test('a share of the requests is routed by zone, the others anywhere', (t) => {
  const { counts } = shares(zones({ x: 1, y: 1 }), zones({ x: 1, y: 1 }), { enabledPercent: 50, minHosts: 2 });
  t.true(near(counts.x, 0.75), JSON.stringify(counts));
});

test('zones make no difference for few hosts, without the own cluster, or when the own zone has nobody', (t) => {
  const even = (counts: Record<string, number>) => t.true(near(counts.x, 0.5), JSON.stringify(counts));
  const few = shares(zones({ x: 1, y: 1 }), zones({ x: 1, y: 1 }), { enabledPercent: 100, minHosts: 6 });
  even(few.counts);
  t.is(few.counters.lbZoneClusterTooSmall, 1);
  const alone = shares(zones({ x: 1, y: 1 }), null, always);
  even(alone.counts);
  t.is(alone.counters.lbLocalClusterNotOk, 1);
  even(shares(zones({ x: 1, y: 1 }), zones({ y: 1 }), always).counts);
  even(shares(zones({ x: 1, y: 1 }), zones({ x: 1, y: 1 }), null).counts);
  t.true(near(shares(zones({ y: 1, z: 1 }), zones({ x: 1 }), always).counts.y, 0.5));
});
