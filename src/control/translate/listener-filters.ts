/** What looks at a connection before a filter chain is chosen. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ListenerFilterSchema } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { HttpInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { TlsInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { any } from './message.ts';

type ListenerFilter = Exclude<MessageInitShape<typeof ListenerFilterSchema>, { $typeName: string }>;

export const originalDst: ListenerFilter = {
  name: 'envoy.filters.listener.original_dst',
  configType: { case: 'typedConfig', value: any(OriginalDstSchema, {}) },
};

/** @param without ports that take no TLS, and where a server may speak first */
export function tlsInspectorFor(without: readonly number[]): ListenerFilter {
  return {
    name: 'envoy.filters.listener.tls_inspector',
    configType: { case: 'typedConfig', value: any(TlsInspectorSchema, {}) },
    filterDisabled: onPorts(without),
  };
}

export const tlsInspector = tlsInspectorFor([]);

/** @param without ports whose protocol is known, and where a server may speak first */
export function httpInspector(without: readonly number[] = []): ListenerFilter {
  return {
    name: 'envoy.filters.listener.http_inspector',
    configType: { case: 'typedConfig', value: any(HttpInspectorSchema, {}) },
    filterDisabled: onPorts(without),
  };
}

function onPorts(ports: readonly number[]): ListenerFilter['filterDisabled'] {
  const rules = ports.map((port) => ({
    rule: { case: 'destinationPortRange' as const, value: { start: port, end: port + 1 } },
  }));
  return rules.length > 1 ? { rule: { case: 'orMatch', value: { rules } } } : rules[0];
}

/** What the HTTP inspector calls plaintext HTTP. */
export const plaintextHttp = ['http/1.0', 'http/1.1', 'h2c'];
