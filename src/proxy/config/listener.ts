import { hash } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import type {
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener as ListenerMessage } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { HttpInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { ProxyProtocolSchema } from '../../xds/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
import { TlsInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { compileAccessLogs } from './access-log.ts';
import { compileAddress } from './address.ts';
import { dispatch, durationMs, type Field, words } from './field.ts';
import { compileChain } from './filter-chain.ts';
import { metadataOf } from './origin.ts';
import { noReferences, type References } from './references.ts';
import type { Listener, PortRange, RouteTable } from './table.ts';

const known =
  words(`name address stat_prefix filter_chains use_original_dst default_filter_chain per_connection_buffer_limit_bytes
  metadata deprecated_v1 drain_type listener_filters listener_filters_timeout continue_on_listener_filters_timeout socket_options
  traffic_direction connection_balance_config enable_reuse_port reuse_port access_log tcp_backlog_size
  max_connections_to_accept_per_socket_event bind_to_port tcp_fast_open_queue_length ignore_global_conn_limit bypass_overload_manager
  freebind`);
const directions = ['unspecified', 'inbound', 'outbound'] as const;

export interface CompiledListener {
  listener: Listener;
  references: References;
  /** The routes that came inside the listener. */
  routeTables: ReadonlyMap<string, RouteTable>;
}

export function compileListener(field: Field, message: ListenerMessage): CompiledListener {
  field.only(ListenerSchema, message, known);
  if (!message.name) field.at('name').fail('is empty');
  const references = noReferences();
  const routeTables = new Map<string, RouteTable>();
  const address = compileAddress(field.at('address'), message.address);
  const binds = (message.bindToPort ?? message.deprecatedV1?.bindToPort) !== false;
  const filters = compileListenerFilters(field, message.listenerFilters);
  const chain = (at: Field, index: string, given: ListenerMessage['filterChains'][number]) =>
    compileChain(at, given, `${message.name}/${index}`, references, routeTables);
  const chains = message.filterChains.map((given, i) => chain(field.at('filter_chains', i), `${i}`, given));
  const fallback = message.defaultFilterChain;
  if (chains.length === 0 && !fallback && !message.useOriginalDst) field.at('filter_chains').fail('is empty');
  const listener: Listener = {
    name: message.name,
    statPrefix: message.statPrefix,
    bind: binds ? address : null,
    address,
    useOriginalDst: message.useOriginalDst ?? false,
    direction: directions[message.trafficDirection] ?? 'unspecified',
    inspect: filters.inspect,
    httpInspectDisabledPorts: filters.httpDisabled,
    tlsInspectDisabledPorts: filters.tlsDisabled,
    inspectTimeoutMs: durationMs(message.listenerFiltersTimeout, 15_000),
    continueOnInspectTimeout: message.continueOnListenerFiltersTimeout,
    chains,
    defaultChain: fallback ? chain(field.at('default_filter_chain'), 'default', fallback) : null,
    accessLogs: compileAccessLogs(field, message.accessLog),
    metadata: metadataOf(message.metadata),
    hash: hash('sha1', toBinary(ListenerSchema, message), 'base64url'),
  };
  return { listener, references, routeTables };
}

function compileListenerFilters(field: Field, filters: readonly ListenerFilter[]) {
  const inspect = { originalDst: false, tls: false, http: false, proxyProtocol: false };
  let httpDisabled: PortRange[] = [];
  let tlsDisabled: PortRange[] = [];
  for (const [i, filter] of filters.entries()) {
    const at = field.at('listener_filters', i);
    const disabled = filter.filterDisabled ? compileDisabled(at.at('filter_disabled'), filter.filterDisabled) : [];
    dispatch<void>(at.at('typed_config'), filter.configType, {
      [OriginalDstSchema.typeName]: () => {
        inspect.originalDst = true;
      },
      [TlsInspectorSchema.typeName]: () => {
        inspect.tls = true;
        tlsDisabled = disabled;
      },
      [HttpInspectorSchema.typeName]: () => {
        inspect.http = true;
        httpDisabled = disabled;
      },
      [ProxyProtocolSchema.typeName]: () => {
        inspect.proxyProtocol = true;
      },
    });
  }
  return { inspect, httpDisabled, tlsDisabled };
}

function compileDisabled(field: Field, { rule }: ListenerFilterChainMatchPredicate): PortRange[] {
  switch (rule.case) {
    case 'destinationPortRange':
      return [{ from: rule.value.start, to: rule.value.end }];
    case 'orMatch':
      return rule.value.rules.flatMap((r, i) => compileDisabled(field.at('or_match').at('rules', i), r));
    case 'anyMatch':
      return rule.value ? [{ from: 0, to: 65_536 }] : [];
    default:
      field.fail(`${rule.case ?? 'nothing'} is not supported; give destination_port_range or or_match`);
      return [];
  }
}
