import type {
  Endpoint_HealthCheckConfig,
  LbEndpoint,
} from '../../xds/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import {
  EndpointSchema,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '../../xds/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import {
  ClusterLoadAssignment_PolicySchema,
  ClusterLoadAssignmentSchema,
} from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { compileAddress } from './address.ts';
import { type Field, words } from './field.ts';
import { metadataOf } from './origin.ts';
import type { Endpoint, Locality } from './table.ts';

// Proximity and metadata of a locality tell nobody how to balance.
const knownLocality = words('locality metadata lb_endpoints load_balancing_weight priority proximity');
const knownEndpoint = words('endpoint health_status metadata load_balancing_weight');

/** By HealthStatus: unknown, healthy, unhealthy, draining, timeout, degraded. */
const healths = ['healthy', 'healthy', 'unhealthy', 'draining', 'unhealthy', 'degraded'] as const;

/** `names` allows host names: clusters that resolve by DNS. */
export function compileEndpoints(field: Field, assignment: ClusterLoadAssignment, names: 'ip' | 'name'): Locality[] {
  field.only(ClusterLoadAssignmentSchema, assignment, words('cluster_name endpoints policy'));
  const { policy } = assignment;
  if (policy) field.at('policy').only(ClusterLoadAssignment_PolicySchema, policy, words('overprovisioning_factor'));
  return assignment.endpoints.map((group, i) => {
    const at = field.at('endpoints', i);
    at.only(LocalityLbEndpointsSchema, group, knownLocality);
    return {
      region: group.locality?.region ?? '',
      zone: group.locality?.zone ?? '',
      subzone: group.locality?.subZone ?? '',
      priority: group.priority,
      weight: group.loadBalancingWeight ?? 0,
      overprovisioningPercent: policy?.overprovisioningFactor ?? 140,
      endpoints: group.lbEndpoints.map((endpoint, j) => compileEndpoint(at.at('lb_endpoints', j), endpoint, names)),
    };
  });
}

function compileEndpoint(field: Field, message: LbEndpoint, names: 'ip' | 'name'): Endpoint {
  const endpoint = message.hostIdentifier.case === 'endpoint' ? message.hostIdentifier.value : undefined;
  field.only(LbEndpointSchema, message, knownEndpoint);
  if (!endpoint) field.fail('has no endpoint');
  else field.at('endpoint').only(EndpointSchema, endpoint, words('address health_check_config hostname'));
  const metadata = message.metadata?.filterMetadata;
  const workload = metadata?.istio?.workload;
  return {
    ...compileAddress(field.at('endpoint').at('address'), endpoint?.address, names),
    weight: message.loadBalancingWeight ?? 1,
    health: healths[message.healthStatus] ?? 'healthy',
    transportMatch: strings(metadata?.['envoy.transport_socket_match']),
    workload: typeof workload === 'string' ? workload : '',
    hostname: endpoint?.hostname ?? '',
    metadata: metadataOf(message.metadata),
    check: compileCheck(field.at('endpoint').at('health_check_config'), endpoint?.healthCheckConfig),
  };
}

function compileCheck(field: Field, config: Endpoint_HealthCheckConfig | undefined): Endpoint['check'] {
  if (!config) return null;
  const address = config.address ? compileAddress(field.at('address'), config.address, 'ip') : null;
  return {
    disabled: config.disableActiveHealthCheck,
    host: address?.host ?? '',
    port: config.portValue || (address?.port ?? 0),
    hostname: config.hostname,
  };
}

const nothing: Readonly<Record<string, string>> = Object.freeze({});

/** The members of a struct that are strings, numbers or booleans, as text. */
export function strings(struct: Record<string, unknown> | undefined): Readonly<Record<string, string>> {
  if (!struct) return nothing;
  return Object.fromEntries(Object.entries(struct).map(([name, value]) => [name, `${value}`]));
}
