import { anyIs, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import type { Filter } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';

/** What a network filter says of HTTP: a copy, for `setManager`; null for another filter. */
export const managerOf = ({ configType }: Filter): HttpConnectionManager | null =>
  configType.case === 'typedConfig' && anyIs(configType.value, HttpConnectionManagerSchema)
    ? (anyUnpack(configType.value, HttpConnectionManagerSchema) ?? null)
    : null;

export function setManager(filter: Filter, manager: HttpConnectionManager): void {
  filter.configType = { case: 'typedConfig', value: anyPack(HttpConnectionManagerSchema, manager) };
}

/** 0 where it is none of TCP's. */
export function portOf({ address }: Listener): number {
  const at = address?.address;
  return at?.case === 'socketAddress' && at.value.portSpecifier.case === 'portValue' ? at.value.portSpecifier.value : 0;
}
