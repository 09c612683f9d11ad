/** A translation with the patches of EnvoyFilters in it. Messages are shared between proxies: one that a patch touches is copied first. */
import { clone } from '@bufbuild/protobuf';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { TransportSocketSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { Memo } from '../translate/memo.ts';
import { inboundCluster } from '../translate/names.ts';
import { patchedListeners } from './listeners.ts';
import { mergeInto } from './merge.ts';
import { type ClusterMatch, isInContext, type Patch, type PatchSet, type ProxyKind } from './patch.ts';
import { patchedRoutes } from './routes.ts';

export interface Patchable {
  clusters: Cluster[];
  listeners: Listener[];
  routes: RouteConfiguration[];
}

/** Whom patches are for. */
export interface Patched {
  readonly kind: ProxyKind;
  /** What it serves: by the port of the service, and by its own. */
  readonly inbound: ReadonlyArray<{
    readonly service: { readonly host: string };
    readonly port: { readonly port: number };
    readonly target: number;
  }>;
  readonly patches: PatchSet;
}

/** The same object where nothing applies. */
export function withPatches<T extends Patchable>(made: T, { kind, inbound, patches: set }: Patched): T {
  if (set.patches.length + set.plugins.length === 0) return made;
  const of = (...targets: Patch['applyTo'][]) => set.patches.filter(({ applyTo }) => targets.includes(applyTo));
  const clusters = of('CLUSTER');
  const routes = of('ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE');
  const listeners = of('LISTENER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'LISTENER_FILTER', 'HTTP_FILTER');
  // What a gateway listens on has the port of its Server as well (Istio: rc_patch.go).
  const ports =
    kind === 'router' ? new Map(inbound.map(({ port, target }) => [target, port.port])) : new Map<number, number>();
  return {
    ...made,
    clusters:
      clusters.length + set.plugins.length === 0
        ? made.clusters
        : patchedClusters(made.clusters, kind, inbound, clusters, set),
    listeners:
      listeners.length + routes.length + set.plugins.length === 0
        ? made.listeners
        : patchedListeners(made.listeners, kind, listeners, routes, set),
    routes:
      routes.length === 0
        ? made.routes
        : made.routes.map((route) =>
            patchedRoutes(route, kind === 'router' ? 'GATEWAY' : 'SIDECAR_OUTBOUND', routes, set, ports),
          ),
  };
}

const clusterMemo = new Memo<Cluster | null>();

function patchedClusters(
  clusters: readonly Cluster[],
  kind: ProxyKind,
  inbound: Patched['inbound'],
  patches: readonly Patch[],
  set: PatchSet,
): Cluster[] {
  const served = new Map(inbound.map(({ service, target }) => [inboundCluster(target), service.host]));
  const patched = clusters.flatMap((cluster) => {
    const host = served.get(cluster.name) ?? '';
    return clusterMemo.get(cluster, `${kind} ${host}`, [set], () => patchedCluster(cluster, kind, host, patches)) ?? [];
  });
  for (const { operation, context, value } of patches) {
    if (operation !== 'ADD' || value === null) continue;
    if (context === 'ANY' || (context === 'GATEWAY') === (kind === 'router')) patched.push(value as Cluster);
  }
  const modules = set.plugins.flatMap(({ cluster }) => cluster ?? []);
  return [...patched, ...new Map(modules.map((cluster) => [cluster.name, cluster])).values()];
}

/** `served` is the service that an inbound cluster leads to, which its name does not tell. */
function patchedCluster(given: Cluster, kind: ProxyKind, served: string, patches: readonly Patch[]): Cluster | null {
  const isInbound = given.name.startsWith('inbound|') || given.name === 'InboundPassthroughCluster';
  const here = kind === 'router' ? 'GATEWAY' : isInbound ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND';
  let cluster = given;
  for (const patch of patches) {
    const { operation, match, value } = patch;
    if (!isInContext(patch, here) || !matchesCluster(match.cluster, given.name, served)) continue;
    if (operation === 'REMOVE') return null;
    if (!operation.startsWith('MERGE')) continue;
    if (cluster === given) cluster = clone(ClusterSchema, given);
    mergeCluster(cluster, value as Cluster, operation === 'MERGE_AND_REPLACE_LIST');
  }
  return cluster;
}

/** A socket goes into that of its name which the cluster chooses from, where it has a choice (Istio: cluster_patch.go). */
function mergeCluster(cluster: Cluster, patch: Cluster, replacesLists: boolean): void {
  const { transportSocket, ...rest } = patch;
  if (transportSocket === undefined || cluster.transportSocketMatches.length === 0) {
    mergeInto(ClusterSchema, cluster, patch, replacesLists);
    return;
  }
  mergeInto(ClusterSchema, cluster, rest, replacesLists);
  const own = cluster.transportSocketMatches.find((each) => each.transportSocket?.name === transportSocket.name);
  if (own?.transportSocket) mergeInto(TransportSocketSchema, own.transportSocket, transportSocket, replacesLists);
}

/** By its parts, as Istio's names have them: `outbound|PORT|SUBSET|HOST`; a name counts alone. */
function matchesCluster(match: ClusterMatch | undefined, name: string, served: string): boolean {
  if (match === undefined) return true;
  if (match.name) return match.name === name;
  if (!match.service && !match.portNumber && !match.subset) return true;
  const [, port, subset, host] = name.split('|');
  if (host === undefined) return false;
  if (match.portNumber && match.portNumber !== Number(port)) return false;
  if (match.subset && match.subset !== subset) return false;
  return !match.service || match.service === (host || served);
}
