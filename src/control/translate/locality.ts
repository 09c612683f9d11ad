/**
 * Where a cluster's traffic goes first, by where the caller and the endpoints are:
 * https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting. What holds beside what is Istio's
 * pilot/pkg/networking/core/loadbalancer/loadbalancer.go (GetLocalityLbSetting, ApplyLocalityLoadBalancer), what a label means is
 * pilot/pkg/serviceregistry/util/label (AugmentLabels).
 */
import type { LocalityLbSetting, TrafficPolicy } from '../../api/istio/destination-rule.ts';
import type { Endpoint } from '../model/endpoint.ts';
import type { MeshSettings, Snapshot } from '../model/snapshot.ts';
import type { Locality } from '../model/workload.ts';
import { Memo } from './memo.ts';
import type { Scope } from './scope.ts';
import type { Policy } from './traffic-policy.ts';

/** Endpoints of one place and one priority (0 is asked first). */
export interface Group {
  readonly locality: Locality;
  readonly endpoints: readonly Endpoint[];
  /** Among the groups of its priority. */
  readonly weight: number;
  readonly priority: number;
}

/** What becomes of a cluster's endpoints for one caller. */
export interface LocalityPolicy {
  readonly setting: LocalityLbSetting;
  /** Beside the setting, all that `apply` reads of the caller and the mesh. */
  readonly variant: string;
  apply(groups: readonly Group[]): Group[];
}

/** The DestinationRule's as a whole, else the mesh's; null where the one that counts is switched off. */
export function localitySetting(
  { loadBalancer }: Pick<Policy, 'loadBalancer'>,
  mesh: MeshSettings,
): LocalityLbSetting | null {
  const setting = loadBalancer?.localityLbSetting ?? mesh.localityLbSetting;
  return setting.enabled === false ? null : setting;
}

/** Whether a cluster's localities have weights. Without, each endpoint counts alike, wherever it is. */
export function weighsLocalities(policy: Policy, mesh: MeshSettings): boolean {
  const setting = localitySetting(policy, mesh);
  if (setting?.distribute?.length) return true;
  return policy.outlierDetection !== undefined && !!(setting?.failover?.length || setting?.failoverPriority?.length);
}

/**
 * `distribute` alone counts where there is one. Else failover, and only with outlier detection: without it no endpoint would ever be found
 * to be ill, and those of a lower priority never asked. Null where all endpoints are alike.
 */
export function localityPolicy(snapshot: Snapshot, policy: Policy, scope: Whereabouts): LocalityPolicy | null {
  const setting = localitySetting(policy, snapshot.mesh);
  if (setting === null) return null;
  const from = scope.locality;
  if (setting.distribute?.length) {
    const shares = setting.distribute.find((each) => coversPlace(each.from ?? '', from))?.to;
    return shares ? { setting, variant: `shares ${placeOf(from)}`, apply: (groups) => shared(groups, shares) } : null;
  }
  if (policy.outlierDetection === undefined) return null;
  const { failover = [], failoverPriority = [] } = setting;
  const wanted = failoverPriority.map((each): Wanted => {
    const [label, value] = split(each);
    return { label, value: value ?? scope.compared[label] ?? '' };
  });
  const byPlace = wanted.length === 0 || failover.length > 0;
  const context = wanted.length > 0 ? contextOf(snapshot) : null;
  return {
    setting,
    variant: JSON.stringify([byPlace ? placeOf(from) : '', wanted, context]),
    apply(groups) {
      let ordered = [...groups];
      if (context) ordered = closedUp(ordered.flatMap((group) => byLabels(group, wanted, context)));
      if (byPlace)
        ordered = closedUp(
          ordered.map((group) => ({
            ...group,
            priority: group.priority * placeRanks + placeRank(from, group.locality, failover),
          })),
        );
      return ordered;
    },
  };
}

/** Of a caller: what failover goes by. */
export type Whereabouts = Pick<Scope, 'locality' | 'compared'>;

export const placeOf = ({ region, zone, subzone }: Locality): string => `${region}/${zone}/${subzone}`;

/** Whether `region/zone/*`, `region` or `*` covers a place. */
function coversPlace(pattern: string, { region, zone, subzone }: Locality): boolean {
  const given = [region, zone, subzone];
  return pattern.split('/').every((part, i) => part === '*' || part === (given[i] ?? ''));
}

/** Groups with what `distribute` gives each; one that it does not name gets nothing. Several under one pattern divide its share by their weights. */
function shared(groups: readonly Group[], shares: Readonly<Record<string, number>>): Group[] {
  const weights = new Map<Group, number>();
  for (const [pattern, percent] of Object.entries(shares)) {
    const under = groups.filter(({ locality }) => coversPlace(pattern, locality));
    const sum = under.reduce((total, { weight }) => total + weight, 0);
    for (const group of under)
      weights.set(group, (weights.get(group) ?? 0) + Math.round((percent * 100 * group.weight) / sum));
  }
  return groups.flatMap((group) => {
    const weight = weights.get(group) ?? 0;
    return weight > 0 ? { ...group, weight } : [];
  });
}

const placeRanks = 5;

/** Own subzone 0, zone 1, region 2, elsewhere 3; with a `failover` for the caller's region only the region that it names is 3, others 4. */
function placeRank(from: Locality, to: Locality, failover: NonNullable<LocalityLbSetting['failover']>): number {
  if (from.region === to.region) {
    if (from.zone !== to.zone) return 2;
    return from.subzone === to.subzone ? 0 : 1;
  }
  const rule = failover.find((each) => (each.from ?? '') === from.region);
  return rule === undefined || rule.to === to.region ? 3 : 4;
}

interface Wanted {
  readonly label: string;
  readonly value: string;
}

function split(entry: string): [label: string, value: string | undefined] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, undefined] : [entry.slice(0, at), entry.slice(at + 1)];
}

/** Endpoints that have all that is wanted come first, then those that lack the last of it, and so on; what follows a miss does not count. */
function byLabels(group: Group, wanted: readonly Wanted[], context: LabelContext): Group[] {
  const byRank = new Map<number, Endpoint[]>();
  for (const endpoint of group.endpoints) {
    const miss = wanted.findIndex(({ label, value }) => labelOf(endpoint, label, context) !== value);
    const rank = miss < 0 ? 0 : wanted.length - miss;
    const known = byRank.get(rank);
    if (known) known.push(endpoint);
    else byRank.set(rank, [endpoint]);
  }
  return [...byRank]
    .sort(([a], [b]) => a - b)
    .map(([priority, endpoints]) => ({ ...group, endpoints, weight: weightOf(endpoints), priority }));
}

export const weightOf = (endpoints: readonly Endpoint[]): number =>
  endpoints.reduce((sum, { weight }) => sum + weight, 0);

/** Envoy wants priorities from 0 on, without a gap. */
function closedUp(groups: readonly Group[]): Group[] {
  const levels = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: levels.indexOf(group.priority) }));
}

/** A workload or an endpoint. */
type Placed = Pick<Endpoint, 'labels' | 'locality' | 'node' | 'network'>;

interface LabelContext {
  readonly clusterId: string;
  /** Where the label of the root namespace says that the mesh is. */
  readonly network: string;
}

export function contextOf({ objects, mesh }: Snapshot): LabelContext {
  const root = objects.namespaces.get(mesh.rootNamespace);
  return { clusterId: objects.clusterId, network: root?.metadata.labels?.[networkLabel] ?? '' };
}

const networkLabel = 'topology.istio.io/network';

/** Some labels say where something runs, and are known without being set. '' for one that it does not have. */
export function labelOf({ labels, locality, node, network }: Placed, label: string, context: LabelContext): string {
  const own = labels[label] ?? '';
  switch (label) {
    case 'topology.kubernetes.io/region':
      return locality.region || own;
    case 'topology.kubernetes.io/zone':
      return locality.zone || own;
    case 'topology.istio.io/subzone':
      return locality.subzone || own;
    case 'kubernetes.io/hostname':
      return node || own;
    case 'topology.istio.io/cluster':
      return context.clusterId || own;
    case networkLabel:
      return own || network || context.network;
    default:
      return own;
  }
}

/** Labels of the caller that a `failoverPriority` somewhere in the mesh compares, sorted: what a caller has of them decides what it is sent. */
export function comparedLabels({ destinationRules, mesh }: Snapshot): readonly string[] {
  return comparedMemo.get(destinationRules, '', [mesh.localityLbSetting], () => {
    const policies: Array<Pick<TrafficPolicy, 'loadBalancer'>> = destinationRules
      .flatMap(({ spec }) => [
        spec.trafficPolicy ?? {},
        ...(spec.subsets ?? []).map((each) => each.trafficPolicy ?? {}),
      ])
      .flatMap((policy) => [policy, ...(policy.portLevelSettings ?? [])]);
    const settings = [mesh.localityLbSetting, ...policies.map(({ loadBalancer }) => loadBalancer?.localityLbSetting)];
    const entries = settings.flatMap((setting) => setting?.failoverPriority ?? []).map(split);
    return [...new Set(entries.flatMap(([label, value]) => (value === undefined ? label : [])))].sort();
  });
}

const comparedMemo = new Memo<readonly string[]>();
