import { hash } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import type {
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener as ListenerMessage } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { HttpInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit_pb.js';
import { OriginalDstSchema } from '../../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import type { ProxyProtocol as ProxyProtocolMessage } from '../../xds/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
import { ProxyProtocolSchema } from '../../xds/gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
import { TlsInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { compileAccessLogs } from './access-log.ts';
import { compileAddress } from './address.ts';
import { dispatch, durationMs, type Field, unpack, words } from './field.ts';
import { compileChain } from './filter-chain.ts';
import { compileAcceptGate } from './gate.ts';
import { metadataOf } from './origin.ts';
import { noReferences, type References } from './references.ts';
import type { FilterChain, Gate, Listener, PortRange, ProxyProtocol, RouteTable } from './table.ts';

const known =
  words(`name address stat_prefix filter_chains use_original_dst default_filter_chain per_connection_buffer_limit_bytes
  metadata deprecated_v1 drain_type listener_filters listener_filters_timeout continue_on_listener_filters_timeout socket_options
  traffic_direction connection_balance_config enable_reuse_port reuse_port access_log tcp_backlog_size
  max_connections_to_accept_per_socket_event bind_to_port tcp_fast_open_queue_length ignore_global_conn_limit bypass_overload_manager
  freebind additional_addresses`);
const knownProxyProtocol = words('allow_requests_without_proxy_protocol disallowed_versions stat_prefix');
/** Of one filter chain: its criteria multiply. */
const maxMatches = 100_000;
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
  refuseSameMatches(field, chains);
  const listener: Listener = {
    name: message.name,
    statPrefix: message.statPrefix,
    bind: binds ? address : null,
    address,
    moreAddresses: binds ? moreAddresses(field, message) : [],
    backlog: message.tcpBacklogSize ?? 4096,
    useOriginalDst: message.useOriginalDst ?? false,
    direction: directions[message.trafficDirection] ?? 'unspecified',
    ...filters,
    drainsWhenUnhealthy: message.drainType === 0,
    ignoresGlobalLimit: message.ignoreGlobalConnLimit,
    bypassesOverload: message.bypassOverloadManager,
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

/** Two chains for the same connections leave open which one takes them: Envoy refuses such a listener. */
function refuseSameMatches(field: Field, chains: readonly FilterChain[]): void {
  const known = new Map<string, number>();
  const orAny = <T>(values: readonly T[]): readonly (T | null)[] => (values.length > 0 ? values : [null]);
  for (const [i, { match }] of chains.entries()) {
    const range = (ranges: typeof match.sourcePrefixes) =>
      orAny(ranges.map(({ address, bits }) => `${address}/${bits}`));
    const one = [match.destinationPort, match.transportProtocol, match.sourceType];
    const lists = [
      range(match.destinationPrefixes),
      orAny(match.serverNames),
      orAny(match.applicationProtocols),
      range(match.directSourcePrefixes),
      range(match.sourcePrefixes),
      orAny(match.sourcePorts),
    ];
    if (lists.reduce((product, { length }) => product * length, 1) > maxMatches) {
      field.at('filter_chains', i).at('filter_chain_match').fail(`stands for more than ${maxMatches} matches`);
      continue;
    }
    let keys: string[] = [JSON.stringify(one)];
    for (const values of lists) keys = keys.flatMap((key) => values.map((value) => `${key} ${JSON.stringify(value)}`));
    for (const key of new Set(keys)) {
      const other = known.get(key);
      if (other !== undefined) {
        field.at('filter_chains', i).fail(`matches the same connections as filter_chains[${other}]`);
        break;
      }
      known.set(key, i);
    }
  }
}

function moreAddresses(field: Field, message: ListenerMessage): Array<{ host: string; port: number }> {
  return message.additionalAddresses.map(({ address, socketOptions }, i) => {
    const at = field.at('additional_addresses', i);
    if (socketOptions) at.at('socket_options').fail('is not supported');
    return compileAddress(at.at('address'), address);
  });
}

function compileListenerFilters(field: Field, filters: readonly ListenerFilter[]) {
  const inspect = { originalDst: false, tls: false, http: false };
  let proxyProtocol: ProxyProtocol | null = null;
  let acceptGate: Gate | null = null;
  let httpInspectDisabledPorts: PortRange[] = [];
  let tlsInspectDisabledPorts: PortRange[] = [];
  let originalDstDisabledPorts: PortRange[] = [];
  for (const [i, filter] of filters.entries()) {
    const at = field.at('listener_filters', i);
    const disabled = filter.filterDisabled ? compileDisabled(at.at('filter_disabled'), filter.filterDisabled) : [];
    dispatch<void>(at.at('typed_config'), filter.configType, {
      [OriginalDstSchema.typeName]: () => {
        inspect.originalDst = true;
        originalDstDisabledPorts = disabled;
        if (proxyProtocol) proxyProtocol = { ...proxyProtocol, yieldsToOriginalDst: true };
      },
      [TlsInspectorSchema.typeName]: () => {
        inspect.tls = true;
        tlsInspectDisabledPorts = disabled;
      },
      [HttpInspectorSchema.typeName]: () => {
        inspect.http = true;
        httpInspectDisabledPorts = disabled;
      },
      [LocalRateLimitSchema.typeName]: (config, any) => {
        const message = unpack(config, any, LocalRateLimitSchema);
        if (message) acceptGate = compileAcceptGate(config, message);
        if (filter.filterDisabled) at.at('filter_disabled').fail('is not supported');
      },
      [ProxyProtocolSchema.typeName]: (config, any) => {
        if (inspect.tls || inspect.http) at.fail('proxy_protocol must come before tls_inspector and http_inspector');
        const message = unpack(config, any, ProxyProtocolSchema);
        if (message) proxyProtocol = compileProxyProtocol(config, message, disabled);
      },
    });
  }
  return {
    inspect,
    proxyProtocol,
    acceptGate,
    httpInspectDisabledPorts,
    tlsInspectDisabledPorts,
    originalDstDisabledPorts,
  };
}

function compileProxyProtocol(field: Field, message: ProxyProtocolMessage, disabledPorts: PortRange[]): ProxyProtocol {
  field.only(ProxyProtocolSchema, message, knownProxyProtocol);
  const refuses = (version: number) => message.disallowedVersions.includes(version);
  return {
    optional: message.allowRequestsWithoutProxyProtocol,
    refusesV1: refuses(0),
    refusesV2: refuses(1),
    disabledPorts,
    yieldsToOriginalDst: false,
  };
}

const allPorts: PortRange[] = [{ from: 0, to: 65_536 }];

/** The destination ports for which the predicate holds: it can speak of nothing else. */
function compileDisabled(field: Field, { rule }: ListenerFilterChainMatchPredicate): PortRange[] {
  switch (rule.case) {
    case 'destinationPortRange':
      return [{ from: rule.value.start, to: rule.value.end }];
    case 'orMatch':
      return rule.value.rules.flatMap((r, i) => compileDisabled(field.at('or_match').at('rules', i), r));
    case 'andMatch':
      return rule.value.rules
        .map((r, i) => compileDisabled(field.at('and_match').at('rules', i), r))
        .reduce(intersection, allPorts);
    case 'notMatch':
      return compileDisabled(field.at('not_match'), rule.value).reduce(without, allPorts);
    case 'anyMatch':
      return rule.value ? allPorts : [];
    default:
      field.fail('says nothing');
      return [];
  }
}

function intersection(a: PortRange[], b: PortRange[]): PortRange[] {
  return a
    .flatMap((x) => b.map((y) => ({ from: Math.max(x.from, y.from), to: Math.min(x.to, y.to) })))
    .filter(({ from, to }) => from < to);
}

function without(ranges: PortRange[], { from, to }: PortRange): PortRange[] {
  return intersection(ranges, [
    { from: 0, to: from },
    { from: to, to: 65_536 },
  ]);
}
