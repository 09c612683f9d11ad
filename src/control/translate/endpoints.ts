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
import { type Group, type LocalityPolicy, placeOf, weightOf } from './locality.ts';
import { Memo } from './memo.ts';
import { socketAddress } from './message.ts';

/** @param locality what orders or weighs the endpoints for a caller; null when all are alike */
export function assignment(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  clusterName: string,
  locality: LocalityPolicy | null,
): ClusterLoadAssignment {
  const parts = [snapshot.endpoints(service, port), subset, snapshot.mtls, locality?.setting];
  return memo.get(port, `${clusterName} ${locality?.variant ?? ''}`, parts, () =>
    made(snapshot, service, port, subset, clusterName, locality),
  );
}

const memo = new Memo<ClusterLoadAssignment>();

function made(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  clusterName: string,
  policy: LocalityPolicy | null,
): ClusterLoadAssignment {
  const byPlace = new Map<string, { locality: Locality; endpoints: Endpoint[] }>();
  for (const endpoint of snapshot.endpoints(service, port)) {
    if (!matchesLabels(subset?.labels, endpoint.labels)) continue;
    const { locality } = endpoint;
    const known = byPlace.get(placeOf(locality));
    if (known) known.endpoints.push(endpoint);
    else byPlace.set(placeOf(locality), { locality, endpoints: [endpoint] });
  }
  const groups = [...byPlace]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]): Group => ({ ...group, weight: weightOf(group.endpoints), priority: 0 }));
  return create(ClusterLoadAssignmentSchema, {
    clusterName,
    endpoints: (policy ? policy.apply(groups) : groups).map(({ locality, endpoints, weight, priority }) => ({
      locality: { region: locality.region, zone: locality.zone, subZone: locality.subzone },
      loadBalancingWeight: weight,
      priority,
      lbEndpoints: endpoints.map((endpoint) => lbEndpoint(snapshot, endpoint)),
    })),
  });
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
