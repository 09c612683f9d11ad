import type {
  Filter,
  FilterChainMatch,
  FilterChain as FilterChainMessage,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { ConnectionLimitSchema } from '../../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import { ConfigSchema as DirectResponseSchema } from '../../xds/gen/envoy/extensions/filters/network/direct_response/v3/config_pb.js';
import { HttpConnectionManagerSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.js';
import { RBACSchema } from '../../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { SniClusterSchema } from '../../xds/gen/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.js';
import type { TcpProxy as TcpProxyMessage } from '../../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import {
  type TcpProxy_TunnelingConfig,
  TcpProxy_TunnelingConfigSchema,
  TcpProxySchema,
} from '../../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { textFormat } from '../telemetry/format.ts';
import { compileAccessLogs } from './access-log.ts';
import { compileCidr } from './address.ts';
import { readData } from './data-source.ts';
import { dispatch, durationMs, type Field, unpack, words } from './field.ts';
import { compileConnectionGate, compileRateGate } from './gate.ts';
import { compileMutation } from './header-mutation.ts';
import { compileHttpManager } from './http-manager.ts';
import { compileRbac } from './rbac.ts';
import type { References } from './references.ts';
import type {
  ChainMatch,
  FilterChain,
  Gate,
  HttpManager,
  Rbac,
  RouteTable,
  TcpProxy,
  TcpTunnel,
  WeightedCluster,
} from './table.ts';
import { compileDownstreamTls } from './tls.ts';

const known = words('filter_chain_match filters metadata transport_socket transport_socket_connect_timeout name');
const knownMatch =
  words(`destination_port prefix_ranges source_prefix_ranges source_ports server_names transport_protocol
  application_protocols direct_source_prefix_ranges source_type`);
const sourceTypes = ['any', 'sameIpOrLoopback', 'external'] as const;
const knownTcp = words(`stat_prefix cluster weighted_clusters idle_timeout access_log max_connect_attempts hash_policy
  max_downstream_connection_duration access_log_options tunneling_config`);

export function compileChain(
  field: Field,
  chain: FilterChainMessage,
  scope: string,
  refs: References,
  routeTables: Map<string, RouteTable>,
): FilterChain {
  field.only(FilterChainSchema, chain, known);
  const networkRbac: Rbac[] = [];
  let http: HttpManager | null = null;
  let tcp: TcpProxy | null = null;
  let answer: Buffer | null = null;
  let clusterBySni = false;
  const gates: Gate[] = [];
  const read = (filter: Filter, at: Field) =>
    dispatch<void>(at, filter.configType, {
      // Istio's exchange of workload metadata by ALPN: this proxy has no use for it.
      'envoy.tcp.metadataexchange.config.MetadataExchange': () => {},
      'io.istio.network.peer_metadata.Config': () => {},
      'stats.PluginConfig': () => {},
      [RBACSchema.typeName]: (config, any) => {
        const message = unpack(config, any, RBACSchema);
        if (message) networkRbac.push(...compileRbac(config, message));
      },
      [HttpConnectionManagerSchema.typeName]: (config, any) => {
        const message = unpack(config, any, HttpConnectionManagerSchema);
        if (message) http = compileHttpManager(config, message, scope, refs, routeTables);
      },
      [TcpProxySchema.typeName]: (config, any) => {
        const message = unpack(config, any, TcpProxySchema);
        if (message) tcp = compileTcp(config, message, clusterBySni);
      },
      [SniClusterSchema.typeName]: () => {
        clusterBySni = true;
      },
      [ConnectionLimitSchema.typeName]: (config, any) => {
        const message = unpack(config, any, ConnectionLimitSchema);
        if (message) gates.push(compileConnectionGate(config, message));
      },
      [LocalRateLimitSchema.typeName]: (config, any) => {
        const message = unpack(config, any, LocalRateLimitSchema);
        if (message) gates.push(compileRateGate(config, message));
      },
      [DirectResponseSchema.typeName]: (config, any) => {
        const message = unpack(config, any, DirectResponseSchema);
        if (message) answer = readData(config.at('response'), message.response);
      },
    });
  for (const [i, filter] of chain.filters.entries()) read(filter, field.at('filters', i).at('typed_config'));
  const ends = [http, tcp, answer].filter((end) => end !== null).length;
  if (ends === 0 && field.problems.length === 0)
    field.at('filters').fail('must end with http_connection_manager, tcp_proxy or direct_response');
  if (ends > 1) field.at('filters').fail('has more than one of http_connection_manager, tcp_proxy and direct_response');
  return {
    name: chain.name,
    match: compileMatch(field.at('filter_chain_match'), chain.filterChainMatch),
    tls: compileDownstreamTls(field.at('transport_socket').at('typed_config'), chain.transportSocket, refs),
    networkRbac,
    gates,
    http,
    tcp,
    answer,
  };
}

function compileMatch(field: Field, match: FilterChainMatch | undefined): ChainMatch {
  if (match) field.only(FilterChainMatchSchema, match, knownMatch);
  const protocol = match?.transportProtocol ?? '';
  for (const [i, name] of (match?.serverNames ?? []).entries())
    if (name.replace(/^\*\./, '').includes('*'))
      field.at('server_names', i).fail(`${JSON.stringify(name)}: a wildcard may only be the whole first label`);
  if (!['', 'tls', 'raw_buffer'].includes(protocol))
    field.at('transport_protocol').fail(`${JSON.stringify(protocol)} is neither tls nor raw_buffer`);
  return {
    destinationPort: match?.destinationPort ?? null,
    destinationPrefixes: match?.prefixRanges.map((r, i) => compileCidr(field.at('prefix_ranges', i), r)) ?? [],
    serverNames: match?.serverNames.map((name) => name.toLowerCase()) ?? [],
    transportProtocol: protocol === 'tls' || protocol === 'raw_buffer' ? protocol : null,
    applicationProtocols: match?.applicationProtocols ?? [],
    directSourcePrefixes:
      match?.directSourcePrefixRanges.map((r, i) => compileCidr(field.at('direct_source_prefix_ranges', i), r)) ?? [],
    sourceType: sourceTypes[match?.sourceType ?? 0] ?? 'any',
    sourcePrefixes: match?.sourcePrefixRanges.map((r, i) => compileCidr(field.at('source_prefix_ranges', i), r)) ?? [],
    sourcePorts: match?.sourcePorts ?? [],
  };
}

function compileTunnel(field: Field, message: TcpProxy_TunnelingConfig): TcpTunnel {
  field.only(TcpProxy_TunnelingConfigSchema, message, words('hostname use_post headers_to_add post_path'));
  let hostname: TcpTunnel['hostname'] = () => '';
  if (message.hostname === '') field.at('hostname').fail('is empty');
  else
    try {
      hostname = textFormat(message.hostname, '');
    } catch (error) {
      field.at('hostname').fail((error as Error).message);
    }
  if (message.postPath !== '' && !message.usePost) field.at('post_path').fail('goes with use_post');
  return {
    hostname,
    method: message.usePost ? 'POST' : 'CONNECT',
    path: message.postPath || '/',
    headers: compileMutation(field, 'request_headers', message.headersToAdd, []),
  };
}

function compileTcp(field: Field, message: TcpProxyMessage, clusterBySni: boolean): TcpProxy {
  field.only(TcpProxySchema, message, knownTcp);
  const plain = { requestHeaders: null, responseHeaders: null, hostRewrite: null, subset: null, filters: null };
  const specifier = message.clusterSpecifier;
  let clusters: WeightedCluster[] = [];
  if (specifier.case === 'cluster') clusters = [{ cluster: specifier.value, weight: 1, ...plain }];
  else if (specifier.case === 'weightedClusters')
    clusters = specifier.value.clusters.map(({ name, weight, metadataMatch }, i) => {
      const at = field.at('weighted_clusters').at('clusters', i);
      if (metadataMatch) at.at('metadata_match').fail('is not supported');
      return { cluster: name, weight, ...plain };
    });
  else field.fail('names no cluster');
  for (const [i, { policySpecifier }] of message.hashPolicy.entries())
    if (policySpecifier.case !== 'sourceIp')
      field.at('hash_policy', i).fail(`${policySpecifier.case ?? 'nothing'} is not supported; give source_ip`);
  if (message.maxConnectAttempts === 0) field.at('max_connect_attempts').fail('must be at least 1');
  const totalWeight = clusters.reduce((sum, { weight }) => sum + weight, 0);
  if (specifier.case && totalWeight === 0) field.at('weighted_clusters').fail('the weights add up to 0');
  return {
    statPrefix: message.statPrefix,
    clusters,
    totalWeight,
    clusterBySni,
    idleTimeoutMs: durationMs(message.idleTimeout, 3_600_000),
    maxDurationMs: durationMs(message.maxDownstreamConnectionDuration, 0),
    maxConnectAttempts: message.maxConnectAttempts ?? 1,
    tunnel: message.tunnelingConfig ? compileTunnel(field.at('tunneling_config'), message.tunnelingConfig) : null,
    hashesSource: message.hashPolicy.length > 0,
    accessLogs: compileAccessLogs(field, message.accessLog),
    logOptions: {
      everyMs: durationMs(message.accessLogOptions?.accessLogFlushInterval ?? message.accessLogFlushInterval, 0),
      onRequest: false,
      onConnected: message.accessLogOptions?.flushAccessLogOnConnected ?? false,
    },
  };
}
