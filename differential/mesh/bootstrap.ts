/**
 * What a translation says of one port, as a bootstrap file for loopback: the pods' addresses become those of servers here, names of clusters
 * begin with the case's number, and there is no TLS between proxies, since there is but one.
 */
import { type DescMessage, type JsonObject, type JsonValue, type MessageShape, toJson } from '@bufbuild/protobuf';
import type { Translation } from '../../src/control/translate/translate.ts';
import { ClusterSchema } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { registry } from '../../src/xds/registry.ts';
import type { PodBackends } from './backends.ts';
import { podAt } from './world.ts';

const json = <D extends DescMessage>(schema: D, message: MessageShape<D>): JsonObject =>
  toJson(schema, message, { registry, useProtoFieldName: true }) as JsonObject;

export interface CaseConfig {
  readonly listener: JsonObject;
  readonly clusters: readonly JsonObject[];
}

/** Everything that goes where it was going comes here. */
export const outside = 'outside';

export async function caseConfig(
  number: number,
  port: number,
  { listeners, clusters, endpoints, routes }: Translation,
  backends: PodBackends,
): Promise<CaseConfig> {
  const assignments = new Map(endpoints.map((each) => [each.clusterName, json(ClusterLoadAssignmentSchema, each)]));
  const names = new Set(clusters.map(({ name }) => name));
  const renamed = (value: JsonValue): JsonValue =>
    JSON.parse(JSON.stringify(value), (_, each) =>
      typeof each === 'string' && names.has(each) ? `${number}:${each}` : each,
    ) as JsonValue;

  const made: JsonObject[] = [];
  for (const cluster of clusters) {
    const {
      eds_cluster_config: _,
      transport_socket_matches: __,
      transport_socket: ___,
      upstream_bind_config: ____,
      ...given
    } = json(ClusterSchema, cluster);
    const assignment = assignments.get(cluster.name) ?? (given.load_assignment as JsonObject | undefined);
    const toOutside = {
      cluster_name: cluster.name,
      endpoints: [{ lb_endpoints: [endpointAt(await backends.portOf(outside))] }],
    };
    const isOriginal = given.type === 'ORIGINAL_DST';
    const load = isOriginal ? toOutside : assignment ? await local(assignment, backends) : undefined;
    made.push(
      renamed({
        ...given,
        type: 'STATIC',
        // An ejection counts for the next request; Envoy else gathers what changes within a second.
        common_lb_config: { ...(given.common_lb_config as JsonObject | undefined), update_merge_window: '0s' },
        ...(isOriginal && { lb_policy: 'ROUND_ROBIN' }),
        ...(load && { load_assignment: load }),
      }) as JsonObject,
    );
  }
  const found = listeners
    .map((listener) => json(ListenerSchema, listener))
    .find((listener) => portOf(listener) === port);
  if (!found) throw new Error(`no listener is for port ${port}`);
  const manager = managerOf(found);
  const { rds, ...settings } = manager as JsonObject & { rds?: { route_config_name: string } };
  const table = routes.find(({ name }) => name === rds?.route_config_name);
  const routeConfig = table ? { route_config: json(RouteConfigurationSchema, table) } : {};
  const listener = {
    name: `case ${number}`,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: { ...settings, stat_prefix: `case${number}`, ...routeConfig },
          },
        ],
      },
    ],
  };
  return { listener: renamed(listener as JsonValue) as JsonObject, clusters: made };
}

const endpointAt = (port: number): JsonObject => ({
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
});

/** The assignment with the servers of its pods; a name outside the mesh has a server of its own. */
async function local(assignment: JsonObject, backends: PodBackends): Promise<JsonObject> {
  const copy = structuredClone(assignment) as { endpoints?: Array<{ lb_endpoints?: Array<JsonObject> }> };
  for (const { lb_endpoints = [] } of copy.endpoints ?? [])
    for (const each of lb_endpoints) {
      const { endpoint } = each as {
        endpoint: { address: { socket_address?: { address: string; port_value: number } } };
      };
      const at = endpoint.address.socket_address;
      if (at === undefined) continue;
      const name = [80, 8080].includes(at.port_value) ? at.address : `${at.address}:${at.port_value}`;
      at.port_value = await backends.portOf(podAt.get(at.address) ?? name);
      at.address = '127.0.0.1';
    }
  return copy as JsonObject;
}

type Chains = Array<{ filters?: Array<{ name: string; typed_config: JsonObject }> }>;

function portOf(listener: JsonObject): number | undefined {
  const { name, address } = listener as { name: string; address?: { socket_address?: { port_value: number } } };
  return name.startsWith('virtual') ? undefined : address?.socket_address?.port_value;
}

function managerOf(listener: JsonObject): JsonObject {
  for (const { filters = [] } of listener.filter_chains as unknown as Chains)
    for (const { name, typed_config } of filters)
      if (name === 'envoy.filters.network.http_connection_manager') return typed_config;
  throw new Error(`listener ${JSON.stringify(listener.name)} has no HTTP`);
}
