/** How a cluster speaks to a host beneath HTTP: TLS or none, and whether it says first whose connection it is. */

import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ProxyProtocolConfigSchema } from '../../xds/gen/envoy/config/core/v3/proxy_protocol_pb.js';
import {
  type ProxyProtocolUpstreamTransport,
  ProxyProtocolUpstreamTransportSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { type Field, messageName, unpack, words } from './field.ts';
import type { References } from './references.ts';
import type { UpstreamTransport } from './table.ts';
import { compileUpstreamTls } from './tls.ts';

/** @param field where the field `transport_socket` is */
export function compileUpstreamTransport(
  field: Field,
  socket: TransportSocket | undefined,
  references: References,
): UpstreamTransport {
  const at = field.at('transport_socket').at('typed_config');
  const any = socket?.configType.case === 'typedConfig' ? socket.configType.value : null;
  if (any === null || messageName(any) !== ProxyProtocolUpstreamTransportSchema.typeName)
    return { tls: compileUpstreamTls(at, socket, references), proxyProtocol: 0 };
  const message: ProxyProtocolUpstreamTransport | null = unpack(at, any, ProxyProtocolUpstreamTransportSchema);
  if (message === null) return { tls: null, proxyProtocol: 0 };
  at.only(ProxyProtocolUpstreamTransportSchema, message, words('config transport_socket'));
  if (message.config) at.at('config').only(ProxyProtocolConfigSchema, message.config, words('version'));
  if (!message.transportSocket) at.at('transport_socket').fail('is required');
  const inner = at.at('transport_socket').at('typed_config');
  return {
    tls: compileUpstreamTls(inner, message.transportSocket, references),
    proxyProtocol: message.config?.version === 1 ? 2 : 1,
  };
}
