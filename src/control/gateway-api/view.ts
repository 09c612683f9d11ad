/** What the Gateway API's kinds are read with. */
import { gatewayGroup } from '../../api/gateway/common.ts';
import type { MeshObjects } from '../model/objects.ts';
import type { Service } from '../model/service.ts';
import { Grants } from './grants.ts';

/** Istio's name: a GatewayClass that names it is ours. */
export const controllerName = 'istio.io/gateway-controller';

export interface View {
  readonly objects: MeshObjects;
  readonly serviceByHost: ReadonlyMap<string, Service>;
  readonly grants: Pick<Grants, 'allows'>;
  /** See `BackendTls`. */
  readonly unreachable: ReadonlySet<string>;
}

export function viewOf(objects: MeshObjects, serviceByHost: ReadonlyMap<string, Service>): View {
  return { objects, serviceByHost, grants: new Grants(objects.referenceGrants.values()), unreachable: new Set() };
}

/** An absent group of a parent or of a route's kind is the Gateway API's own. */
export const groupOf = ({ group }: { group?: string }): string => group ?? gatewayGroup;

export const keyOf = ({ metadata }: { metadata: { namespace?: string; name?: string } }): string =>
  `${metadata.namespace}/${metadata.name}`;
