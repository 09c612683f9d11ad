/** The debug pages, in the shapes that Istio's tools read. */

import type { JsonValue } from '@bufbuild/protobuf';
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { type EnvoyType, schemas, typeUrls, type XdsType, xdsTypes } from '../../xds/type-urls.ts';
import type { Page } from './admin.ts';
import type { ConnectionStatus, Discovery } from './discovery.ts';
import type { Mesh } from './mesh.ts';
import type { TypeStatus } from './session.ts';

export interface DebugOptions {
  mesh: Mesh;
  discovery: Discovery;
  clusterId: string;
  version: string;
}

type SyncState = 'SYNCED' | 'NOT SENT' | 'STALE' | 'ERROR' | 'IGNORED';

/** Where a proxy stands with one type, in istioctl's words. */
export function syncState(status: TypeStatus | undefined): SyncState {
  if (!status) return 'IGNORED';
  if (status.error !== null) return 'ERROR';
  if (status.sentNonce === '') return 'NOT SENT';
  return status.sentNonce === status.ackedNonce ? 'SYNCED' : 'STALE';
}

const prefixes: Record<Exclude<EnvoyType, 'secret'>, string> = {
  cluster: 'cluster',
  listener: 'listener',
  route: 'route',
  endpoint: 'endpoint',
};

function syncOf(connection: ConnectionStatus, { clusterId, version }: DebugOptions) {
  const { proxy, types, protocol, connectedAtMs } = connection;
  const perType = Object.entries(prefixes).flatMap(([type, prefix]) => {
    const status = types[type as XdsType];
    return [
      [`${prefix}_sent`, status?.sentNonce ?? ''],
      [`${prefix}_acked`, status?.ackedNonce ?? ''],
      [`${prefix}_status`, syncState(status)],
      ...(status?.error ? [[`${prefix}_error`, status.error]] : []),
    ];
  });
  return {
    proxy: `${proxy.pod}.${proxy.namespace}`,
    proxy_type: proxy.kind,
    proxy_version: proxy.version,
    istio_version: proxy.version || version,
    cluster_id: proxy.clusterId || clusterId,
    protocol,
    connected_at: new Date(connectedAtMs).toISOString(),
    ...Object.fromEntries(perType),
  };
}

export function debugPages(options: DebugOptions): { [path: string]: Page } {
  const { mesh, discovery } = options;
  const find = (query: URLSearchParams) => {
    const id = query.get('proxyID') ?? '';
    return discovery.connections.find(({ proxy }) => proxy.id === id || `${proxy.pod}.${proxy.namespace}` === id);
  };
  const noProxy = { status: 404, body: 'no such proxy is connected here; give ?proxyID=POD.NAMESPACE\n' };
  return {
    '/debug/syncz': () => ({ body: discovery.connections.map((each) => syncOf(each, options)) }),
    '/debug/connections': () => ({
      body: discovery.connections.map(({ proxy, types, connectedAtMs }) => ({
        id: proxy.id,
        connected_at: new Date(connectedAtMs).toISOString(),
        types,
      })),
    }),
    '/debug/config_dump': async (query) => {
      const { registry } = await import('../../xds/registry.ts');
      const connection = find(query);
      const set = connection && mesh.resourcesFor(connection.proxy, true);
      if (!set) return noProxy;
      const dump = xdsTypes
        // Private keys stay where they are.
        .filter((type) => type !== 'secret')
        .map((type) => ({
          '@type': typeUrls[type],
          resources: Array.from(set.types[type].values(), ({ name, version, any }): JsonValue => {
            const schema = schemas[type] as typeof schemas.cluster;
            return {
              name,
              version,
              resource: readable(() => toJson(schema, fromBinary(schema, any.value), { registry })),
            };
          }),
        }));
      return { body: { version: set.version, configs: dump } };
    },
    '/debug/endpointz': () => ({
      body: (mesh.snapshot?.services ?? []).map((service) => ({
        host: service.host,
        ports: service.ports.map((port) => ({
          port: port.port,
          endpoints: mesh.snapshot?.endpoints(service, port) ?? [],
        })),
      })),
    }),
    '/debug/registryz': () => ({ body: mesh.snapshot?.services ?? [] }),
    '/debug/problemz': () => ({ body: mesh.problems }),
  };
}

/** Extensions that this build has no schema of cannot be written as JSON. */
function readable(write: () => JsonValue): JsonValue {
  try {
    return write();
  } catch (error) {
    return { unreadable: (error as Error).message };
  }
}
