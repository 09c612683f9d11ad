/** The endpoints of a cluster, grouped by where they are. */
import { create } from '@bufbuild/protobuf';
import type { Subset } from '../../api/istio/destination-rule.ts';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Endpoint } from '../model/endpoint.ts';
import { matchesLabels } from '../model/selector.ts';
import type { Service, ServicePort } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Locality } from '../model/workload.ts';
import { Memo } from './memo.ts';
import { socketAddress } from './message.ts';
import { destinationRuleOf, policyFor } from './traffic-policy.ts';

/**
 * @param from the caller's locality, when failover goes by nearness: its own region, zone and subzone first, then the zone, the region,
 * and the rest (Envoy priorities 0–3, closed up). Istio orders so only with outlier detection.
 */
export function assignment(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  clusterName: string,
  from: Locality | null = null,
): ClusterLoadAssignment {
  const near = from ? `${from.region}/${from.zone}/${from.subzone}` : '';
  return memo.get(port, `${clusterName} ${near}`, [snapshot.endpoints(service, port), subset, snapshot.mtls], () =>
    made(snapshot, service, port, subset, clusterName, from),
  );
}

const memo = new Memo<ClusterLoadAssignment>();

function made(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  clusterName: string,
  from: Locality | null,
): ClusterLoadAssignment {
  const groups = new Map<string, { locality: Locality; endpoints: Endpoint[] }>();
  for (const endpoint of snapshot.endpoints(service, port)) {
    if (!matchesLabels(subset?.labels, endpoint.labels)) continue;
    const { locality } = endpoint;
    const key = `${locality.region}/${locality.zone}/${locality.subzone}`;
    const group = groups.get(key);
    if (group) group.endpoints.push(endpoint);
    else groups.set(key, { locality, endpoints: [endpoint] });
  }
  const sorted = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  const distances = from ? sorted.map(({ locality }) => distance(from, locality)) : sorted.map(() => 0);
  const levels = [...new Set(distances)].sort();
  return create(ClusterLoadAssignmentSchema, {
    clusterName,
    endpoints: sorted.map(({ locality, endpoints }, i) => ({
      locality: { region: locality.region, zone: locality.zone, subZone: locality.subzone },
      loadBalancingWeight: endpoints.reduce((sum, { weight }) => sum + weight, 0),
      priority: levels.indexOf(distances[i]),
      lbEndpoints: endpoints.map((endpoint) => lbEndpoint(snapshot, endpoint)),
    })),
  });
}

function distance(a: Locality, b: Locality): number {
  if (a.region !== b.region) return 3;
  if (a.zone !== b.zone) return 2;
  return a.subzone === b.subzone ? 0 : 1;
}

function lbEndpoint(snapshot: Snapshot, endpoint: Endpoint) {
  const meshed = takesMutualTls(snapshot, endpoint);
  return {
    hostIdentifier: {
      case: 'endpoint' as const,
      value: {
        address: socketAddress(endpoint.address, endpoint.port),
        hostname: endpoint.podName,
      },
    },
    loadBalancingWeight: endpoint.weight,
    metadata: {
      filterMetadata: {
        ...(meshed ? { 'envoy.transport_socket_match': { tlsMode: 'istio' } } : {}),
        ...(endpoint.workload ? { istio: { workload: endpoint.workload } } : {}),
      },
    },
  };
}

/** By its pod's label, unless a PeerAuthentication has switched it off. */
export function takesMutualTls(snapshot: Snapshot, { meshed, namespace, labels, port }: Endpoint): boolean {
  return meshed && snapshot.mtls.modeOf(namespace, labels, port) !== 'DISABLE';
}

/** Whether nearness orders a cluster's endpoints for a caller. */
export function goesByLocality(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  namespace: string,
): boolean {
  const policy = policyFor(destinationRuleOf(snapshot, service, namespace), subset, port.port);
  return policy.outlierDetection !== undefined && policy.loadBalancer?.localityLbSetting?.enabled !== false;
}
