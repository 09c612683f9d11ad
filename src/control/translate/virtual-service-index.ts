/** Which VirtualService speaks for a host to the proxies of a namespace. */
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import { coversHost, fullHost, isVisible, type Labels } from '../model/selector.ts';
import { letsIn, type Viewer } from '../model/sidecar-scope.ts';
import type { Snapshot } from '../model/snapshot.ts';

interface Index {
  exact: ReadonlyMap<string, readonly VirtualService[]>;
  /** Longest pattern first. */
  wildcards: ReadonlyArray<readonly [string, VirtualService]>;
  /** Names of the labels by which any rule chooses its callers. */
  callerLabels: readonly string[];
}

const indices = new WeakMap<readonly VirtualService[], Index>();

/**
 * On sidecars VirtualServices do not merge. An exact host counts before a wildcard; of several for one, what its namespace keeps to itself
 * before what is exported to it by name, before what is for all, and of those the oldest (Istio).
 */
export function virtualServiceFor(snapshot: Snapshot, host: string, viewer: Viewer): VirtualService | null {
  const { exact, wildcards } = indexOf(snapshot);
  const seen = (exact.get(host) ?? []).filter((resource) => isSeenFrom(snapshot, resource, viewer));
  if (seen.length > 0) return mostPrivate(snapshot, seen);
  for (const [pattern, resource] of wildcards)
    if (coversHost(pattern, host) && isSeenFrom(snapshot, resource, viewer)) return resource;
  return null;
}

function mostPrivate({ mesh }: Snapshot, seen: readonly VirtualService[]): VirtualService {
  const rank = ({ spec }: VirtualService): number => {
    const exportTo = spec.exportTo?.length ? spec.exportTo : (mesh.defaultVirtualServiceExportTo ?? []);
    if (exportTo.length === 0 || exportTo.includes('*')) return 2;
    return exportTo.includes('.') ? 0 : 1;
  };
  return seen.reduce((best, each) => (rank(each) < rank(best) ? each : best));
}

/** Whether a VirtualService is for sidecars, and for those of a viewer. */
export function appliesToMesh(snapshot: Snapshot, resource: VirtualService, viewer: Viewer): boolean {
  return isForMesh(resource) && isSeenFrom(snapshot, resource, viewer);
}

/** Tells callers apart as far as any VirtualService does. */
export function callerKey(snapshot: Snapshot, labels: Labels): string {
  return JSON.stringify(indexOf(snapshot).callerLabels.map((name) => labels[name] ?? null));
}

/** `mesh`, or a Gateway's `namespace/name`; a bare name is in the resource's own namespace. */
export function gatewayName(name: string, resource: VirtualService): string {
  return name === 'mesh' || name.includes('/') ? name : `${resource.metadata.namespace}/${name}`;
}

function isForMesh(resource: VirtualService): boolean {
  const { gateways } = resource.spec;
  return !gateways?.length || gateways.some((name) => gatewayName(name, resource) === 'mesh');
}

function isSeenFrom(snapshot: Snapshot, { metadata, spec }: VirtualService, viewer: Viewer): boolean {
  const exportTo = spec.exportTo?.length ? spec.exportTo : snapshot.mesh.defaultVirtualServiceExportTo;
  const place = metadata.namespace ?? '';
  return isVisible(exportTo, place, viewer.namespace) && letsIn(viewer, place, spec.hosts ?? [], snapshot);
}

function indexOf({ virtualServices, domain }: Snapshot): Index {
  const known = indices.get(virtualServices);
  if (known) return known;
  const exact = new Map<string, VirtualService[]>();
  const wildcards: Array<[string, VirtualService]> = [];
  const callerLabels = new Set<string>();
  for (const resource of virtualServices) {
    if (!isForMesh(resource)) continue;
    for (const given of resource.spec.hosts ?? []) {
      const host = fullHost(given, resource.metadata.namespace ?? '', domain);
      const list = exact.get(host);
      if (host.startsWith('*')) wildcards.push([host, resource]);
      else if (list) list.push(resource);
      else exact.set(host, [resource]);
    }
    const { http = [], tcp = [], tls = [] } = resource.spec;
    for (const { match } of [...http, ...tcp, ...tls])
      for (const { sourceLabels } of match ?? [])
        for (const name of Object.keys(sourceLabels ?? {})) callerLabels.add(name);
  }
  // Stable: of equal lengths the older stays first.
  wildcards.sort(([a], [b]) => b.length - a.length);
  const index = { exact, wildcards, callerLabels: [...callerLabels].sort() };
  indices.set(virtualServices, index);
  return index;
}
