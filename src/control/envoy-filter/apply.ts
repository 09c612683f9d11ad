/** A translation with the patches of EnvoyFilters in it. Messages are shared between proxies: one that a patch touches is copied first. */
import { clone } from '@bufbuild/protobuf';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { Memo } from '../translate/memo.ts';
import { patchedListeners } from './listeners.ts';
import { mergeInto } from './merge.ts';
import { type ClusterMatch, isInContext, type Patch, type PatchSet, type ProxyKind } from './patch.ts';
import { patchedRoutes } from './routes.ts';

export interface Patchable {
  clusters: Cluster[];
  listeners: Listener[];
  routes: RouteConfiguration[];
}

/** The same object where nothing applies. */
export function withPatches<T extends Patchable>(made: T, kind: ProxyKind, set: PatchSet): T {
  if (set.patches.length + set.plugins.length === 0) return made;
  const of = (...targets: Patch['applyTo'][]) => set.patches.filter(({ applyTo }) => targets.includes(applyTo));
  const clusters = of('CLUSTER');
  const routes = of('ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE');
  const listeners = of('LISTENER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'LISTENER_FILTER', 'HTTP_FILTER');
  return {
    ...made,
    clusters:
      clusters.length + set.plugins.length === 0 ? made.clusters : patchedClusters(made.clusters, kind, clusters, set),
    listeners:
      listeners.length + routes.length + set.plugins.length === 0
        ? made.listeners
        : patchedListeners(made.listeners, kind, listeners, routes, set),
    routes:
      routes.length === 0
        ? made.routes
        : made.routes.map((route) =>
            patchedRoutes(route, kind === 'router' ? 'GATEWAY' : 'SIDECAR_OUTBOUND', routes, set),
          ),
  };
}

const clusterMemo = new Memo<Cluster | null>();

function patchedClusters(
  clusters: readonly Cluster[],
  kind: ProxyKind,
  patches: readonly Patch[],
  set: PatchSet,
): Cluster[] {
  const patched = clusters.flatMap(
    (cluster) => clusterMemo.get(cluster, kind, [set], () => patchedCluster(cluster, kind, patches)) ?? [],
  );
  for (const { operation, context, value } of patches) {
    if (operation !== 'ADD' || value === null) continue;
    if (context === 'ANY' || (context === 'GATEWAY') === (kind === 'router')) patched.push(value as Cluster);
  }
  const modules = set.plugins.flatMap(({ cluster }) => cluster ?? []);
  return [...patched, ...new Map(modules.map((cluster) => [cluster.name, cluster])).values()];
}

function patchedCluster(given: Cluster, kind: ProxyKind, patches: readonly Patch[]): Cluster | null {
  const isInbound = given.name.startsWith('inbound|') || given.name === 'InboundPassthroughCluster';
  const here = kind === 'router' ? 'GATEWAY' : isInbound ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND';
  let cluster = given;
  for (const patch of patches) {
    const { operation, match, value } = patch;
    if (!isInContext(patch, here) || !matchesCluster(match.cluster, cluster.name)) continue;
    if (operation === 'REMOVE') return null;
    if (!operation.startsWith('MERGE')) continue;
    if (cluster === given) cluster = clone(ClusterSchema, given);
    mergeInto(ClusterSchema, cluster, value as Cluster, operation === 'MERGE_AND_REPLACE_LIST');
  }
  return cluster;
}

/** By its parts, as Istio's names have them: `outbound|PORT|SUBSET|HOST`. */
function matchesCluster(match: ClusterMatch | undefined, name: string): boolean {
  if (match === undefined) return true;
  if (match.name && match.name !== name) return false;
  if (!match.service && !match.portNumber && !match.subset) return true;
  const [direction, port, subset, host] = name.split('|');
  if (host === undefined) return false;
  if (match.portNumber && match.portNumber !== Number(port)) return false;
  if (match.subset && match.subset !== subset) return false;
  // An inbound cluster names no host: its workload is the service.
  return !match.service || match.service === host || (direction === 'inbound' && match.service === '*');
}
