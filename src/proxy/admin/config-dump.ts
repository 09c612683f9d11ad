/** /config_dump in Envoy's shape: the resources as they were taken over. Loaded when it is asked for. */
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { schemas, type XdsType } from '../../xds/type-urls.ts';
import type { ResourceStore } from '../config/compile.ts';
import { registry } from '../config/registry.ts';

export interface DumpSource {
  /** The bootstrap file's. */
  fixed: ResourceStore | null;
  /** The control plane's. */
  arrived: ResourceStore | null;
  /** Version of each type as the control plane named it. */
  versions: Readonly<Partial<Record<XdsType, string>>>;
}

const typeUrl = (type: XdsType): string => `type.googleapis.com/${schemas[type].typeName}`;

function messages(store: ResourceStore | null, type: XdsType): Array<{ name: string; value: object }> {
  return (store?.raw(type) ?? []).map(([name, bytes]) => {
    const value = toJson(schemas[type], fromBinary(schemas[type] as never, bytes), {
      registry,
      useProtoFieldName: true,
    });
    return { name, value: { '@type': typeUrl(type), ...(value as object) } };
  });
}

const dumpUrl = (kind: string): string => `type.googleapis.com/envoy.admin.v3.${kind}ConfigDump`;

/** Secrets are left out: keys do not leave the process this way. */
export function configDump({ fixed, arrived, versions }: DumpSource): object {
  const clusters = messages(arrived, 'cluster');
  const listeners = messages(arrived, 'listener');
  return {
    configs: [
      {
        '@type': dumpUrl('Clusters'),
        version_info: versions.cluster ?? '',
        static_clusters: messages(fixed, 'cluster').map(({ value }) => ({ cluster: value })),
        dynamic_active_clusters: clusters.map(({ value }) => ({
          version_info: versions.cluster ?? '',
          cluster: value,
        })),
      },
      {
        '@type': dumpUrl('Listeners'),
        version_info: versions.listener ?? '',
        static_listeners: messages(fixed, 'listener').map(({ value }) => ({ listener: value })),
        dynamic_listeners: listeners.map(({ name, value }) => ({
          name,
          active_state: { version_info: versions.listener ?? '', listener: value },
        })),
      },
      {
        '@type': dumpUrl('Routes'),
        dynamic_route_configs: messages(arrived, 'route').map(({ value }) => ({
          version_info: versions.route ?? '',
          route_config: value,
        })),
      },
      {
        '@type': dumpUrl('Endpoints'),
        dynamic_endpoint_configs: messages(arrived, 'endpoint').map(({ value }) => ({
          version_info: versions.endpoint ?? '',
          endpoint_config: value,
        })),
      },
    ],
  };
}
