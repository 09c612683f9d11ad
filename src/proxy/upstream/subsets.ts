/** Parts of a cluster by the metadata of its hosts (Envoy documentation, "Load Balancer Subsets"). */
import type { Cluster, SubsetSelector, Subsets } from '../config/table.ts';
import type { ClusterCounters } from '../telemetry/counters.ts';
import type { Host } from './host.ts';
import { type HostGroup, makePicker, type PickContext, type Picker } from './picker.ts';

type Criteria = Readonly<Record<string, unknown>>;

const keyOf = (keys: readonly string[], values: readonly unknown[]): string =>
  JSON.stringify(keys.map((key, i) => [key, values[i]]));

/** Values that a host stands for under these keys; none when it lacks one. */
function combinations(host: Host, { keys }: SubsetSelector, listAsAny: boolean): unknown[][] {
  const metadata: Criteria = host.endpoint.metadata?.['envoy.lb'] ?? {};
  let all: unknown[][] = [[]];
  for (const key of keys) {
    if (!Object.hasOwn(metadata, key)) return [];
    const value = metadata[key];
    const values = listAsAny && Array.isArray(value) ? value : [value];
    all = all.flatMap((before) => values.map((one) => [...before, one]));
  }
  return all;
}

/** Only the hosts for which `keep` holds, in the groups where they are. */
function narrowed(groups: readonly HostGroup[], keep: (host: Host) => boolean, scales: boolean): HostGroup[] {
  return groups.map((group) => {
    const hosts = group.hosts.filter(keep);
    const share = group.hosts.length === 0 ? 0 : hosts.length / group.hosts.length;
    return { ...group, hosts, weight: scales && group.weight > 0 ? Math.max(1, group.weight * share) : group.weight };
  });
}

/** A picker that asks the subset that a request names, and falls back as configured. */
export function makeSubsetPicker(
  cluster: Cluster,
  subsets: Subsets,
  groups: readonly HostGroup[],
  now: number,
  counters: ClusterCounters,
): Picker {
  const pickers = new Map<string, Picker>();
  const members = new Map<string, Set<Host>>();
  for (const group of groups)
    for (const host of group.hosts)
      for (const selector of subsets.selectors)
        for (const values of combinations(host, selector, subsets.listAsAny)) {
          const key = keyOf(selector.keys, values);
          const among = members.get(key);
          if (among === undefined) members.set(key, new Set([host]));
          else if (!selector.singleHost) among.add(host);
        }
  for (const [key, hosts] of members)
    pickers.set(
      key,
      makePicker(
        cluster,
        narrowed(groups, (host) => hosts.has(host), subsets.scalesLocalities),
        now,
        counters,
      ),
    );
  counters.lbSubsetsCreated += Math.max(0, pickers.size - counters.lbSubsetsActive);
  counters.lbSubsetsRemoved += Math.max(0, counters.lbSubsetsActive - pickers.size);
  counters.lbSubsetsActive = pickers.size;

  const any = makePicker(cluster, groups, now, counters);
  const byDefault = makePicker(
    cluster,
    narrowed(groups, (host) => isOf(host, subsets.defaultSubset, subsets.listAsAny), subsets.scalesLocalities),
    now,
    counters,
  );

  function fallBack(kind: Subsets['fallback'], context: PickContext): Host | null {
    if (kind !== 'none') counters.lbSubsetsFallback++;
    const host = kind === 'any' ? any.pick(context) : kind === 'default' ? byDefault.pick(context) : null;
    if (host !== null || !subsets.panicModeAny) return host;
    counters.lbSubsetsFallbackPanic++;
    return any.pick(context);
  }

  function pickFrom(criteria: Criteria, context: PickContext): Host | null {
    const keys = Object.keys(criteria).sort();
    const chosen = pickers.get(
      keyOf(
        keys,
        keys.map((key) => criteria[key]),
      ),
    );
    // A subset that exists is the answer, even when nobody in it can be chosen.
    if (chosen !== undefined) {
      counters.lbSubsetsSelected++;
      return chosen.pick(context);
    }
    const selector = subsets.selectors.find(
      ({ keys: of }) => of.length === keys.length && of.every((k, i) => k === keys[i]),
    );
    if (selector === undefined || selector.fallback === null) return fallBack(subsets.fallback, context);
    if (selector.fallback !== 'keys') return fallBack(selector.fallback, context);
    return pickFrom(Object.fromEntries(selector.fallbackKeys.map((key) => [key, criteria[key]])), context);
  }

  return {
    pick(context) {
      const { subset } = context;
      return subset === null || Object.keys(subset).length === 0
        ? fallBack(subsets.fallback, context)
        : pickFrom(subset, context);
    },
  };
}

function isOf(host: Host, wanted: Criteria, listAsAny: boolean): boolean {
  const metadata: Criteria = host.endpoint.metadata?.['envoy.lb'] ?? {};
  return Object.entries(wanted).every(([key, value]) => {
    const given = metadata[key];
    const text = JSON.stringify(value);
    return (
      JSON.stringify(given) === text ||
      (listAsAny && Array.isArray(given) && given.some((one) => JSON.stringify(one) === text))
    );
  });
}
