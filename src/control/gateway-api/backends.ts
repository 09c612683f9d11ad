/** Where a route's requests go. https://gateway-api.sigs.k8s.io/reference/spec/#backendobjectreference */
import { type BackendReference, gatewayGroup } from '../../api/gateway/common.ts';
import type { Destination } from '../../api/istio/virtual-service.ts';
import { targetKey } from './backend-tls.ts';
import { type Fact, fails } from './condition.ts';
import type { View } from './view.ts';

export interface Backend {
  /** Leads to a cluster that does not exist where the reference is at fault, so that its share is answered with 500. */
  readonly destination: Destination;
  readonly fault: Fact | null;
}

const istioGroup = 'networking.istio.io';
const nowhere = 'invalid-backend-reference.invalid';

export function backendOf(
  view: View,
  reference: BackendReference,
  route: { kind: string; metadata: { namespace?: string } },
): Backend {
  const { namespace: own = '' } = route.metadata;
  const { group = '', kind = 'Service', name, namespace = own, port } = reference;
  const at = (host: string): Backend => ({ destination: destinationAt(host, port), fault: null });
  const unusable = (reason: string, message: string): Backend => ({
    destination: destinationAt(nowhere, port ?? 1),
    fault: fails('ResolvedRefs', reason, message),
  });
  // Istio: a host of its registry, by name.
  if (group === istioGroup && kind === 'Hostname')
    return view.serviceByHost.has(name) ? at(name) : unusable('BackendNotFound', `no service is known as "${name}"`);
  if (group !== '' || kind !== 'Service')
    return unusable('InvalidKind', `${group === '' ? kind : `${group}/${kind}`} "${name}" is no Service`);
  const from = { group: gatewayGroup, kind: route.kind, namespace: own };
  if (!view.grants.allows(from, { group, kind, namespace, name }))
    return unusable(
      'RefNotPermitted',
      `no ReferenceGrant of namespace ${namespace} lets ${route.kind}s of ${own} refer to Service "${name}"`,
    );
  const host = `${name}.${namespace}.svc.${view.objects.clusterDomain}`;
  const service = view.serviceByHost.get(host);
  if (!service) return unusable('BackendNotFound', `there is no Service "${namespace}/${name}"`);
  if (port === undefined) return unusable('UnsupportedValue', `Service "${namespace}/${name}": a port is needed`);
  const servicePort = service.ports.find((each) => each.port === port);
  if (!servicePort) return unusable('BackendNotFound', `Service "${namespace}/${name}" has no port ${port}`);
  // The reference is well, and so is the route; what it leads to cannot be trusted.
  if (view.unreachable.has(host) || view.unreachable.has(targetKey(host, servicePort.name)))
    return { destination: destinationAt(nowhere, port), fault: null };
  return at(host);
}

const destinationAt = (host: string, port: number | undefined): Destination =>
  port === undefined ? { host } : { host, port: { number: port } };
