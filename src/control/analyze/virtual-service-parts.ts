/** Where a VirtualService leads, and which gateways it is for. */
import type { VirtualService } from '../../api/istio/virtual-service.ts';

type Route = NonNullable<VirtualService['spec']['http']>[number];
export type Destination = NonNullable<NonNullable<Route['route']>[number]['destination']>;

interface At {
  readonly destination: Destination;
  readonly path: string;
}

export function destinationsOf({ spec }: VirtualService): At[] {
  const found: At[] = [];
  for (const [i, route] of (spec.http ?? []).entries()) {
    const at = `spec.http[${i}]`;
    for (const [j, { destination }] of (route.route ?? []).entries())
      found.push({ destination, path: `${at}.route[${j}].destination` });
    if (route.mirror) found.push({ destination: route.mirror, path: `${at}.mirror` });
    for (const [j, { destination }] of (route.mirrors ?? []).entries())
      if (destination) found.push({ destination, path: `${at}.mirrors[${j}].destination` });
  }
  for (const field of ['tls', 'tcp'] as const)
    for (const [i, { route }] of (spec[field] ?? []).entries())
      for (const [j, { destination }] of (route ?? []).entries())
        if (destination) found.push({ destination, path: `spec.${field}[${i}].route[${j}].destination` });
  return found;
}

/** `mesh`, or `NAMESPACE/NAME`. */
export function gatewaysOf({ spec, metadata }: VirtualService): Array<{ name: string; full: string; path: string }> {
  const given = spec.gateways ?? [];
  return given.map((name, i) => ({
    name,
    full: name === 'mesh' || name.includes('/') ? name : `${metadata.namespace ?? ''}/${name}`,
    path: `spec.gateways[${i}]`,
  }));
}

/** Without gateways it is for the sidecars. */
export const isForMesh = ({ spec }: VirtualService): boolean =>
  (spec.hosts?.length ?? 0) > 0 && (!spec.gateways?.length || spec.gateways.includes('mesh'));
