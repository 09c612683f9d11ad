/** The resource types that are exchanged, under the names that this project uses for them. */
import type { Cluster } from './gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.js';
import type { ClusterLoadAssignment } from './gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ClusterLoadAssignmentSchema } from './gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Listener } from './gen/envoy/config/listener/v3/listener_pb.js';
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.js';
import type { RouteConfiguration } from './gen/envoy/config/route/v3/route_pb.js';
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.js';
import type { Secret } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';

import type { NameTable } from './gen/istio/networking/nds/v1/nds_pb.js';
import { NameTableSchema } from './gen/istio/networking/nds/v1/nds_pb.js';

/** The message of each type. */
export interface XdsMessages {
  cluster: Cluster;
  endpoint: ClusterLoadAssignment;
  listener: Listener;
  route: RouteConfiguration;
  secret: Secret;
  /** Istio's NDS: one resource for a proxy, all the names that it knows. */
  nameTable: NameTable;
}

/** What a client is handed: route tables as they came, since most of a large one is the same as before. */
export type XdsArrivals = Omit<XdsMessages, 'route'> & { readonly route: Uint8Array };

export type XdsType = keyof XdsMessages;

/** Types that Envoy knows too, of which a data plane's configuration is made. */
export type EnvoyType = Exclude<XdsType, 'nameTable'>;

/** Make before break: what others refer to is sent, and asked for, first (Envoy, "Eventual consistency considerations"). */
export const xdsTypes = [
  'cluster',
  'endpoint',
  'listener',
  'route',
  'secret',
  'nameTable',
] as const satisfies readonly XdsType[];

export const schemas = {
  cluster: ClusterSchema,
  endpoint: ClusterLoadAssignmentSchema,
  listener: ListenerSchema,
  route: RouteConfigurationSchema,
  secret: SecretSchema,
  nameTable: NameTableSchema,
};

export const typeUrls: { readonly [T in XdsType]: string } = {
  cluster: `type.googleapis.com/${ClusterSchema.typeName}`,
  endpoint: `type.googleapis.com/${ClusterLoadAssignmentSchema.typeName}`,
  listener: `type.googleapis.com/${ListenerSchema.typeName}`,
  route: `type.googleapis.com/${RouteConfigurationSchema.typeName}`,
  secret: `type.googleapis.com/${SecretSchema.typeName}`,
  nameTable: `type.googleapis.com/${NameTableSchema.typeName}`,
};

const byUrl = new Map<string, XdsType>(xdsTypes.map((type) => [typeUrls[type], type]));

/** Null for a type that is not spoken here. */
export const typeOfUrl = (url: string): XdsType | null => byUrl.get(url) ?? null;

/** CDS, LDS and NDS are asked for as a whole; of the others only the names that something refers to. */
export const isWildcardType = (type: XdsType): boolean =>
  type === 'cluster' || type === 'listener' || type === 'nameTable';

/** Istio gives its one table no name. */
export const nameTableName = 'names';

/** The name by which a resource of the type is asked for. */
export function nameOf<T extends XdsType>(type: T, message: XdsMessages[T]): string {
  if (type === 'nameTable') return nameTableName;
  return type === 'endpoint' ? (message as ClusterLoadAssignment).clusterName : (message as { name: string }).name;
}
