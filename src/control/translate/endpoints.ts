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
  shares: Readonly<Record<string, number>> | null = null,
): ClusterLoadAssignment {
  const near = from ? placeOf(from) : '';
  const parts = [snapshot.endpoints(service, port), subset, snapshot.mtls, shares];
  return memo.get(port, `${clusterName} ${near}`, parts, () => {
    const assigned = made(snapshot, service, port, subset, clusterName, shares ? null : from);
    return shares ? shared(assigned, shares) : assigned;
  });
}

const placeOf = ({ region, zone, subzone }: Locality): string => `${region}/${zone}/${subzone}`;

/** Whether `region/zone/*`, `region` or `*` covers a place (Istio: LocalityLoadBalancerSetting). */
function coversPlace(pattern: string, place: string): boolean {
  const wanted = pattern.split('/');
  const given = place.split('/');
  return wanted.every((part, i) => part === '*' || part === (given[i] ?? ''));
}

/** Localities with what `distribute` gives each; one that it does not name gets nothing. Several under one pattern divide its share by their weights. */
function shared(assigned: ClusterLoadAssignment, shares: Readonly<Record<string, number>>): ClusterLoadAssignment {
  const weightOf = (locality: ClusterLoadAssignment['endpoints'][number]) => locality.loadBalancingWeight ?? 0;
  const places = assigned.endpoints.map((each) => ({
    each,
    place: placeOf({
      region: each.locality?.region ?? '',
      zone: each.locality?.zone ?? '',
      subzone: each.locality?.subZone ?? '',
    }),
  }));
  const weights = new Map<object, number>();
  for (const [pattern, percent] of Object.entries(shares)) {
    const under = places.filter(({ place }) => coversPlace(pattern, place));
    const sum = under.reduce((total, { each }) => total + weightOf(each), 0);
    for (const { each } of under)
      weights.set(each, (weights.get(each) ?? 0) + Math.round((percent * 100 * weightOf(each)) / sum));
  }
  return create(ClusterLoadAssignmentSchema, {
    ...assigned,
    endpoints: assigned.endpoints
      .filter((each) => (weights.get(each) ?? 0) > 0)
      .map((each) => ({ ...each, loadBalancingWeight: weights.get(each) })),
  });
}

/** What `distribute` says to callers at a place; null when nothing. */
export function sharesFrom(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  namespace: string,
  from: Locality,
): Readonly<Record<string, number>> | null {
  const setting = policyFor(destinationRuleOf(snapshot, service, namespace), subset, port.port).loadBalancer
    ?.localityLbSetting;
  if (!setting?.distribute?.length || setting.enabled === false || from.region === '') return null;
  return setting.distribute.find((each) => coversPlace(each.from ?? '', placeOf(from)))?.to ?? null;
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
