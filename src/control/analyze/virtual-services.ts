/** VirtualServices beside each other and beside Gateways: IST0109, IST0132, IST0140, LAT0001, LAT0003. */
import type { Gateway } from '../../api/istio/gateway.ts';
import { overlaps } from '../../api/istio/rules/host-name.ts';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import { isHttp } from '../model/protocol.ts';
import { isVisible } from '../model/selector.ts';
import { nameOf, type Tell } from './finding.ts';
import type { View } from './view.ts';
import { gatewaysOf, isForMesh } from './virtual-service-parts.ts';

export function analyzeVirtualServices(view: View, tell: Tell): void {
  conflictsInMesh(view, tell);
  for (const resource of view.of('VirtualService')) {
    hostsOfGateways(view, resource, tell);
    rulesForAnotherProtocol(view, resource, tell);
  }
}

/** VirtualServices are not merged on sidecars: of one host the oldest counts (Istio: "Split large virtual services"). */
function conflictsInMesh(view: View, tell: Tell): void {
  const byHost = new Map<string, VirtualService[]>();
  for (const resource of view.of('VirtualService')) {
    if (!isForMesh(resource)) continue;
    for (const given of new Set(resource.spec.hosts)) {
      const host = view.host(given, resource.metadata.namespace ?? '');
      byHost.set(host, [...(byHost.get(host) ?? []), resource]);
    }
  }
  for (const [host, resources] of byHost)
    for (const [i, resource] of resources.entries()) {
      const own = resource.metadata.namespace ?? '';
      const seen = (other: VirtualService) => {
        const from = other.metadata.namespace ?? '';
        return isVisible(other.spec.exportTo, from, own) && isVisible(resource.spec.exportTo, own, from);
      };
      const others = resources.filter((other) => other !== resource && seen(other));
      if (others.length === 0) continue;
      const at = `spec.hosts[${resource.spec.hosts?.findIndex((given) => view.host(given, own) === host) ?? 0}]`;
      const names = [resource, ...others].map(nameOf).sort();
      tell(
        'IST0109',
        resource,
        at,
        `The VirtualServices ${names.join(',')} associated with mesh gateway define the same host ${host} which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource.`,
      );
      const older = resources.slice(0, i).find(seen);
      if (older)
        tell(
          'LAT0001',
          resource,
          at,
          `has no effect in the mesh for host ${host}: ${nameOf(older)} is older and takes it`,
        );
    }
}

function hostsOfGateways(view: View, resource: VirtualService, tell: Tell): void {
  const namespace = resource.metadata.namespace ?? '';
  for (const { full, path } of gatewaysOf(resource)) {
    if (full === 'mesh') continue;
    const [place, name] = full.split('/');
    const gateway = view.find('Gateway', place, name);
    if (!gateway) continue;
    const strangers = (resource.spec.hosts ?? []).filter((host) => !isServed(gateway, host, namespace));
    if (strangers.length > 0)
      tell(
        'IST0132',
        resource,
        path,
        `one or more host [${strangers.join(' ')}] defined in VirtualService ${nameOf(resource)} not found in Gateway ${full}.`,
      );
  }
  for (const [i, host] of (resource.spec.hosts ?? []).entries()) {
    const gateways = gatewaysOf(resource).filter(({ full }) => full !== 'mesh');
    if (gateways.length === 0 || isForMesh(resource) || host.includes('*')) continue;
    subsetsAtIngress(view, resource, host, i, tell);
  }
}

function isServed(gateway: Gateway, host: string, namespace: string): boolean {
  return (gateway.spec.servers ?? []).some((server) =>
    server.hosts.some((given) => {
      const slash = given.indexOf('/');
      const place = slash < 0 ? '*' : given.slice(0, slash);
      const own = place === '.' ? (gateway.metadata.namespace ?? '') : place;
      return (own === '*' || own === namespace) && overlaps(given.slice(slash + 1), host);
    }),
  );
}

/**
 * A host that is a service's own, served by a gateway alone: its subsets are told apart at the gateway, and callers within the mesh go
 * past them.
 */
function subsetsAtIngress(view: View, resource: VirtualService, host: string, i: number, tell: Tell): void {
  const service = view.service(view.host(host, resource.metadata.namespace ?? ''));
  if (!service?.native) return;
  const subset = resource.spec.http?.flatMap(({ route }) => route ?? []).find(({ destination }) => destination.subset);
  if (!subset) return;
  tell(
    'IST0140',
    resource,
    `spec.hosts[${i}]`,
    `Subset in virtual service ${nameOf(resource)} has no effect on requests within the mesh to ${service.host}: add "mesh" to its gateways`,
  );
}

/** `http` rules of a host whose ports are all opaque never see a request. */
function rulesForAnotherProtocol(view: View, resource: VirtualService, tell: Tell): void {
  if (!isForMesh(resource)) return;
  const { http = [], tls = [], tcp = [] } = resource.spec;
  for (const [i, given] of (resource.spec.hosts ?? []).entries()) {
    const service = view.service(view.host(given, resource.metadata.namespace ?? ''));
    if (!service || service.ports.length === 0) continue;
    const protocols = service.ports.map(({ protocol }) => protocol);
    const takesHttp = protocols.some((protocol) => isHttp(protocol) || protocol === 'auto');
    const takesOthers = protocols.some((protocol) => !isHttp(protocol));
    const ports = service.ports.map(({ name, port }) => (name ? `${port} (${name})` : `${port}`)).join(', ');
    if (http.length > 0 && !takesHttp && tls.length + tcp.length === 0)
      tell(
        'LAT0003',
        resource,
        'spec.http',
        `has no effect on ${service.host}: none of its ports is HTTP (${ports}); name the port http, http-…, grpc or http2, or set appProtocol`,
      );
    if (http.length === 0 && tls.length + tcp.length > 0 && !takesOthers)
      tell(
        'LAT0003',
        resource,
        `spec.hosts[${i}]`,
        `has no effect on ${service.host}: all its ports are HTTP (${ports})`,
      );
  }
}
