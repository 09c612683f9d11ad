/** A snapshot and a scope to what the proxies of that scope are sent. Pure: nothing is asked but the two arguments. */
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import type { NameTable } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { withPatches } from '../envoy-filter/apply.ts';
import type { Service } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { fixedClusters, inboundClusters, outboundClusters, resolutionFor } from './cluster.ts';
import { assignment } from './endpoints.ts';
import { gatewayResources } from './gateway.ts';
import { virtualInbound } from './inbound.ts';
import { localityPolicy } from './locality.ts';
import { withMetricRules } from './metrics.ts';
import { nameTable } from './name-table.ts';
import { outboundCluster } from './names.ts';
import { outboundListeners } from './outbound.ts';
import { type Problem, Problems } from './problem.ts';
import type { Scope } from './scope.ts';
import { tailored } from './tailored.ts';
import { destinationRuleOf, policyFor } from './traffic-policy.ts';
import { httpPorts, outboundRouteConfiguration, visibleServices } from './virtual-hosts.ts';

export interface Translation {
  clusters: Cluster[];
  /** For the clusters that ask for theirs by EDS. */
  endpoints: ClusterLoadAssignment[];
  listeners: Listener[];
  routes: RouteConfiguration[];
  /** One for those who answer DNS, none for others. */
  nameTables: NameTable[];
  problems: Problem[];
}

export function translate(snapshot: Snapshot, scope: Scope): Translation {
  return withPatches(translated(snapshot, scope), scope);
}

function translated(whole: Snapshot, scope: Scope): Translation {
  const problems = new Problems();
  const snapshot = tailored(whole, scope, problems);
  tellUnsupported(scope, problems);
  if (scope.capturesDns)
    for (const entry of snapshot.withoutAddress)
      problems.add(entry, 'spec.addresses', 'is not set, and no address of 240.240.0.0/16 is left for it: set one');
  const services = visibleServices(snapshot, scope);
  const { connectTimeout } = snapshot.mesh;
  const clusters = fixedClusters(scope.kind, connectTimeout);
  if (scope.kind === 'sidecar') clusters.push(...inboundClusters(scope, connectTimeout));
  for (const service of services) clusters.push(...outboundClusters(snapshot, scope, service));

  let listeners: Listener[];
  let routes: RouteConfiguration[];
  if (scope.kind === 'sidecar') {
    listeners = [virtualInbound(snapshot, scope, problems), ...outboundListeners(snapshot, scope, problems)];
    routes = httpPorts(services).map((port) => outboundRouteConfiguration(snapshot, scope, port, problems));
  } else {
    const own = gatewayResources(snapshot, scope, problems);
    ({ listeners, routes } = own);
    clusters.push(...own.clusters);
  }

  return {
    clusters,
    endpoints: endpoints(snapshot, scope),
    listeners: withMetricRules(snapshot, scope, listeners, problems),
    routes,
    nameTables: scope.capturesDns ? [nameTable(snapshot, scope)] : [],
    problems: problems.list(),
  };
}

/** What a Sidecar asks for and does not get. */
function tellUnsupported({ sidecar }: Scope, problems: Problems): void {
  if (sidecar === null) return;
  for (const [i, { bind, captureMode }] of (sidecar.spec.egress ?? []).entries()) {
    if (bind) problems.add(sidecar, `spec.egress[${i}].bind`, 'is not used: traffic is taken where it is intercepted');
    if (captureMode === 'NONE')
      problems.add(sidecar, `spec.egress[${i}].captureMode`, 'is not used: traffic is taken where it is intercepted');
  }
  for (const [i, { bind, captureMode, tls }] of (sidecar.spec.ingress ?? []).entries()) {
    if (bind) problems.add(sidecar, `spec.ingress[${i}].bind`, 'is not used: traffic is taken where it is intercepted');
    if (captureMode === 'NONE')
      problems.add(sidecar, `spec.ingress[${i}].captureMode`, 'is not used: traffic is taken where it is intercepted');
    if (tls) problems.add(sidecar, `spec.ingress[${i}].tls`, 'is not used: PeerAuthentication says who may call');
  }
  if (sidecar.spec.outboundTrafficPolicy?.egressProxy)
    problems.add(sidecar, 'spec.outboundTrafficPolicy.egressProxy', 'is not used: traffic goes where it was going');
}

function endpoints(snapshot: Snapshot, scope: Scope): ClusterLoadAssignment[] {
  return visibleServices(snapshot, scope).flatMap((service) => endpointsOf(snapshot, scope, service));
}

/** Of one service; none when a proxy of the scope does not ask for them. */
export function endpointsOf(snapshot: Snapshot, scope: Scope, service: Service): ClusterLoadAssignment[] {
  if (resolutionFor(scope.kind, service) !== 'endpoints') return [];
  const found: ClusterLoadAssignment[] = [];
  const rule = destinationRuleOf(snapshot, service, scope.namespace);
  const subsets = rule?.spec.subsets ?? [];
  for (const port of service.ports) {
    if (port.protocol === 'udp') continue;
    for (const subset of [null, ...subsets]) {
      const locality = localityPolicy(snapshot, policyFor(rule, subset, port.port), scope);
      const name = outboundCluster(port.port, subset?.name ?? '', service.host);
      found.push(assignment(snapshot, service, port, subset, name, locality));
    }
  }
  return found;
}
