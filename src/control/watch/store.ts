/** The mesh's objects in memory, whichever source they come from: checked, reduced to what is used, by kind and key. */

import { gatewayGroup } from '../../api/gateway/common.ts';
import type { MeshConfig } from '../../api/mesh-config.ts';
import { describeProblem, validate } from '../../api/validate.ts';
import type { ApiObject } from '../../kube/object.ts';
import { keyOf } from '../../kube/object.ts';
import type { MeshObjects } from '../model/objects.ts';
import { readMeshConfig } from './mesh-config.ts';
import {
  caCertificateOf,
  configurationOf,
  endpointSliceOf,
  namespaceOf,
  nodeOf,
  podOf,
  secretOf,
  serviceOf,
} from './projection.ts';
import type { ChangeScope } from './source.ts';
import { Table } from './table.ts';

export type TableName = Exclude<keyof MeshObjects, 'meshConfig' | 'clusterDomain' | 'clusterId'>;

interface StoredKind {
  table: TableName;
  keep(object: never): unknown;
  scope: ChangeScope;
  isChecked: boolean;
}

const plain = (table: TableName, keep: StoredKind['keep'], scope: ChangeScope = 'configuration'): StoredKind => ({
  table,
  keep,
  scope,
  isChecked: false,
});
const istio = (table: TableName): StoredKind => ({
  table,
  keep: configurationOf,
  scope: 'configuration',
  isChecked: true,
});

/** The API server checks these, by the definitions that users install. */
const gatewayApi = (table: TableName): StoredKind => plain(table, configurationOf);

/** By kind, or by kind and group where Istio has one of the same name; the group is checked by whoever reads the source. */
const storedKinds: { readonly [kind: string]: StoredKind } = {
  Service: plain('services', serviceOf),
  EndpointSlice: plain('endpointSlices', endpointSliceOf, 'endpoints'),
  Pod: plain('pods', podOf),
  Namespace: plain('namespaces', namespaceOf),
  Node: plain('nodes', nodeOf),
  ServiceEntry: istio('serviceEntries'),
  VirtualService: istio('virtualServices'),
  DestinationRule: istio('destinationRules'),
  Gateway: istio('gateways'),
  AuthorizationPolicy: istio('authorizationPolicies'),
  PeerAuthentication: istio('peerAuthentications'),
  RequestAuthentication: istio('requestAuthentications'),
  Sidecar: istio('sidecars'),
  WorkloadEntry: istio('workloadEntries'),
  Telemetry: istio('telemetries'),
  EnvoyFilter: istio('envoyFilters'),
  WasmPlugin: istio('wasmPlugins'),
  ProxyConfig: istio('proxyConfigs'),
  GatewayClass: gatewayApi('gatewayClasses'),
  [`Gateway.${gatewayGroup}`]: gatewayApi('kubernetesGateways'),
  HTTPRoute: gatewayApi('httpRoutes'),
  GRPCRoute: gatewayApi('grpcRoutes'),
  TLSRoute: gatewayApi('tlsRoutes'),
  TCPRoute: gatewayApi('tcpRoutes'),
  ReferenceGrant: gatewayApi('referenceGrants'),
  BackendTLSPolicy: gatewayApi('backendTlsPolicies'),
  Secret: plain('secrets', secretOf),
  ConfigMap: plain('caCertificates', caCertificateOf),
};

const tableNames = Object.values(storedKinds).map(({ table }) => table);
const groups = new Set(['v1', 'discovery.k8s.io/v1']);

/** Whether objects of this version and kind are part of a mesh. */
export function isStored(object: ApiObject): boolean {
  const { apiVersion } = object;
  if (!Object.hasOwn(storedKinds, storedKindOf(object))) return false;
  return (
    groups.has(apiVersion) ||
    apiVersion.startsWith(`${gatewayGroup}/`) ||
    /^(networking|security|telemetry|extensions)\.istio\.io\//.test(apiVersion)
  );
}

/** How a kind is called here. */
export function storedKindOf({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  return kind === 'Gateway' && apiVersion.startsWith(`${gatewayGroup}/`) ? `${kind}.${gatewayGroup}` : kind;
}

export interface StoreOptions {
  clusterDomain: string;
  clusterId: string;
}

export class MeshStore {
  readonly #options: StoreOptions;
  readonly #tables = Object.fromEntries(tableNames.map((name) => [name, new Table<unknown>()])) as Record<
    TableName,
    Table<unknown>
  >;
  readonly #problems = new Map<string, string>();
  #meshConfig: MeshConfig = {};
  #meshText: string | null = null;
  #objects: MeshObjects | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get problems(): string[] {
    return [...this.#problems.values()];
  }

  /** Keeps the object if it is acceptable, else what was there before; null when nothing changed. */
  put(object: ApiObject): ChangeScope | null {
    const name = storedKindOf(object);
    const kind = storedKinds[name];
    const key = keyOf(object);
    const id = `${name} ${key}`;
    if (kind.isChecked) {
      const { errors } = validate(object);
      if (errors.length > 0) {
        this.#problems.set(id, describeProblem(object, errors[0]));
        return null;
      }
    }
    this.#problems.delete(id);
    return this.#changed(this.#tables[kind.table].set(key, kind.keep(object as never)), kind.scope);
  }

  remove(kindName: string, key: string): ChangeScope | null {
    const kind = storedKinds[kindName];
    this.#problems.delete(`${kindName} ${key}`);
    return this.#changed(this.#tables[kind.table].delete(key), kind.scope);
  }

  /** Takes the text of key `mesh`; null when the ConfigMap is gone. What cannot be read leaves the last good one. */
  putMeshConfig(text: string | null, where: string): ChangeScope | null {
    if (text === this.#meshText) return null;
    this.#meshText = text;
    try {
      this.#meshConfig = text === null ? {} : readMeshConfig(text, where);
      this.#problems.delete(where);
    } catch (error) {
      this.#problems.set(where, (error as Error).message);
      return null;
    }
    return this.#changed(true, 'configuration');
  }

  get meshConfig(): MeshConfig {
    return this.#meshConfig;
  }

  /** Keys of every object of the kind. */
  keys(kindName: string): string[] {
    return this.#tables[storedKinds[kindName].table].keys();
  }

  read(): MeshObjects {
    if (this.#objects) return this.#objects;
    const tables = Object.fromEntries(tableNames.map((name) => [name, this.#tables[name].read()]));
    const { clusterDomain, clusterId } = this.#options;
    this.#objects = { ...tables, meshConfig: this.#meshConfig, clusterDomain, clusterId } as unknown as MeshObjects;
    return this.#objects;
  }

  #changed(isChanged: boolean, scope: ChangeScope): ChangeScope | null {
    if (!isChanged) return null;
    this.#objects = null;
    return scope;
  }
}

export const storedKindNames: readonly string[] = Object.keys(storedKinds);
