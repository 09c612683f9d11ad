import { hash } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import type { Cluster as ClusterMessage } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { OutlierDetection } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import type { HttpProtocolOptions } from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { HttpProtocolOptionsSchema } from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { compileConfigSource } from './config-source.ts';
import { compileEndpoints, strings } from './endpoint.ts';
import { durationMs, type Field, messageName, unpack, words } from './field.ts';
import { compileHealthChecks } from './health-check.ts';
import { compileHttp2Options } from './http2-options.ts';
import { metadataOf, originOf } from './origin.ts';
import { noReferences, type References } from './references.ts';
import { compileSubsets } from './subsets.ts';
import type { Cluster, Outlier } from './table.ts';
import { compileUpstreamTls } from './tls.ts';

const known = words(`transport_socket_matches name alt_stat_name type eds_cluster_config connect_timeout
  per_connection_buffer_limit_bytes lb_policy load_assignment max_requests_per_connection circuit_breakers
  common_http_protocol_options http_protocol_options http2_protocol_options typed_extension_protocol_options dns_refresh_rate
  dns_failure_refresh_rate respect_dns_ttl dns_lookup_family wait_for_warm_on_init outlier_detection cleanup_interval
  upstream_bind_config ring_hash_lb_config maglev_lb_config original_dst_lb_config least_request_lb_config round_robin_lb_config
  common_lb_config transport_socket metadata protocol_selection upstream_connection_options
  close_connections_on_host_health_failure ignore_health_on_host_removal track_cluster_stats health_checks
  lb_subset_config`);
const discoveries = ['static', 'strictDns', 'logicalDns', 'eds', 'originalDst'] as const;
const policies = {
  0: 'roundRobin',
  1: 'leastRequest',
  2: 'ringHash',
  3: 'random',
  5: 'maglev',
  6: 'clusterProvided',
} as const;

export interface CompiledCluster {
  cluster: Cluster;
  references: References;
}

export function compileCluster(field: Field, message: ClusterMessage): CompiledCluster {
  field.only(ClusterSchema, message, known);
  if (!message.name) field.at('name').fail('is empty');
  const references = noReferences();
  const discovery = compileDiscovery(field, message);
  const eds = field.at('eds_cluster_config').at('eds_config');
  if (discovery === 'eds') compileConfigSource(eds, message.edsClusterConfig?.edsConfig, references);
  const policy = policies[message.lbPolicy as keyof typeof policies];
  if (!policy) field.at('lb_policy').fail(`${message.lbPolicy} is not supported`);
  const options = compileProtocolOptions(field, message);
  const thresholds = message.circuitBreakers?.thresholds.find(({ priority }) => priority === 0);
  const ring = message.lbConfig.case === 'ringHashLbConfig' ? message.lbConfig.value : undefined;
  const tlsAt = (at: Field) => at.at('transport_socket').at('typed_config');
  const names = discovery === 'strictDns' || discovery === 'logicalDns' ? 'name' : 'ip';
  const cluster: Cluster = {
    name: message.name,
    altStatName: message.altStatName,
    discovery,
    edsName: message.edsClusterConfig?.serviceName || message.name,
    policy: policy ?? 'roundRobin',
    leastRequestChoices:
      message.lbConfig.case === 'leastRequestLbConfig' ? (message.lbConfig.value.choiceCount ?? 2) : 2,
    ring: {
      min: Number(ring?.minimumRingSize ?? 1024),
      max: Number(ring?.maximumRingSize ?? 8 << 20),
      murmur: ring?.hashFunction === 1,
      tableSize: compileTableSize(field, message),
      byHostname: message.commonLbConfig?.consistentHashingLbConfig?.useHostnameForHashing ?? false,
    },
    slowStart: compileSlowStart(message),
    localityWeighted: message.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig',
    overprovisioningPercent: message.loadAssignment?.policy?.overprovisioningFactor ?? 140,
    connectTimeoutMs: durationMs(message.connectTimeout, 5000),
    endpoints: message.loadAssignment
      ? compileEndpoints(field.at('load_assignment'), message.loadAssignment, names)
      : [],
    panicThresholdPercent: message.commonLbConfig?.healthyPanicThreshold?.value ?? 50,
    bindHost: message.upstreamBindConfig?.sourceAddress?.address || null,
    http: options.http,
    http2: options.http2,
    transports: message.transportSocketMatches.map(({ name, match, transportSocket }, i) => ({
      name,
      match: strings(match),
      tls: compileUpstreamTls(tlsAt(field.at('transport_socket_matches', i)), transportSocket, references),
    })),
    tls: withAutoSni(compileUpstreamTls(tlsAt(field), message.transportSocket, references), options.autoSni),
    circuit: {
      maxConnections: thresholds?.maxConnections ?? 1024,
      maxPending: thresholds?.maxPendingRequests ?? 1024,
      maxRequests: thresholds?.maxRequests ?? 1024,
      maxRetries: thresholds?.maxRetries ?? 3,
      retryBudgetPercent: thresholds?.retryBudget ? (thresholds.retryBudget.budgetPercent?.value ?? 20) : null,
    },
    maxRequestsPerConnection: options.maxRequestsPerConnection ?? message.maxRequestsPerConnection ?? 0,
    idleTimeoutMs: durationMs(options.idleTimeout ?? message.commonHttpProtocolOptions?.idleTimeout, 3_600_000),
    keepalive: message.upstreamConnectionOptions?.tcpKeepalive
      ? { idleSeconds: message.upstreamConnectionOptions.tcpKeepalive.keepaliveTime ?? 7200 }
      : null,
    outlier: message.outlierDetection ? compileOutlier(message.outlierDetection) : null,
    healthCheck: compileHealthChecks(field, message.healthChecks),
    forgetsHealthyHosts: message.ignoreHealthOnHostRemoval,
    closesUnhealthy: message.closeConnectionsOnHostHealthFailure,
    ignoresUncheckedHosts: message.commonLbConfig?.ignoreNewHostsUntilFirstHc ?? false,
    subsets: message.lbSubsetConfig ? compileSubsets(field.at('lb_subset_config'), message.lbSubsetConfig) : null,
    hash: hash('sha1', toBinary(ClusterSchema, { ...message, loadAssignment: undefined }), 'base64url'),
    service: compileService(message),
    origin: originOf(message.metadata),
    metadata: metadataOf(message.metadata),
  };
  if (cluster.healthCheck?.probe.kind === 'grpc' && cluster.http !== 'http2')
    field.at('health_checks', 0).at('grpc_health_check').fail('needs a cluster that speaks HTTP/2');
  return { cluster, references };
}

const withAutoSni = (tls: Cluster['tls'], autoSni: boolean): Cluster['tls'] =>
  tls && autoSni ? { ...tls, autoSni } : tls;

function compileDiscovery(field: Field, message: ClusterMessage): Cluster['discovery'] {
  const type = message.clusterDiscoveryType;
  const discovery = type.case === 'type' ? discoveries[type.value] : type.case ? undefined : 'static';
  if (!discovery) field.at(type.case === 'clusterType' ? 'cluster_type' : 'type').fail('is not supported');
  if (message.dnsLookupFamily === 2) field.at('dns_lookup_family').fail('V6_ONLY is not supported');
  return discovery ?? 'static';
}

function compileProtocolOptions(field: Field, message: ClusterMessage) {
  let http: Cluster['http'] = message.http2ProtocolOptions ? 'http2' : 'http1';
  if (message.protocolSelection === 1) http = 'useDownstream';
  let options: HttpProtocolOptions | null = null;
  for (const [name, any] of Object.entries(message.typedExtensionProtocolOptions)) {
    const at = field.at(`typed_extension_protocol_options[${JSON.stringify(name)}]`);
    if (messageName(any) === HttpProtocolOptionsSchema.typeName) options = unpack(at, any, HttpProtocolOptionsSchema);
    else at.fail(`type ${messageName(any)} is not supported`);
  }
  const upstream = options?.upstreamProtocolOptions;
  if (upstream?.case === 'useDownstreamProtocolConfig') http = 'useDownstream';
  else if (upstream?.case === 'autoConfig') http = 'alpn';
  else if (upstream?.case === 'explicitHttpConfig')
    http = upstream.value.protocolConfig.case === 'http2ProtocolOptions' ? 'http2' : 'http1';
  const common = options?.commonHttpProtocolOptions;
  let http2 = message.http2ProtocolOptions;
  if (upstream?.case === 'explicitHttpConfig' && upstream.value.protocolConfig.case === 'http2ProtocolOptions')
    http2 = upstream.value.protocolConfig.value;
  else if (upstream?.case === 'autoConfig' || upstream?.case === 'useDownstreamProtocolConfig')
    http2 = upstream.value.http2ProtocolOptions;
  return {
    http,
    http2: compileHttp2Options(field.at('http2_protocol_options'), http2, {
      maxFieldBytes: 65_536,
      maxFields: common?.maxHeadersCount ?? 200,
    }),
    autoSni: options?.upstreamHttpProtocolOptions?.autoSni ?? false,
    idleTimeout: common?.idleTimeout,
    maxRequestsPerConnection: common?.maxRequestsPerConnection,
  };
}

function compileTableSize(field: Field, { lbConfig }: ClusterMessage): number {
  const size = Number((lbConfig.case === 'maglevLbConfig' ? lbConfig.value.tableSize : undefined) ?? 65_537);
  let prime = size > 2;
  for (let i = 2; i * i <= size && prime; i++) prime = size % i !== 0;
  if (prime && size <= 5_000_011) return size;
  field.at('maglev_lb_config').at('table_size').fail(`${size} is no prime up to 5,000,011`);
  return 65_537;
}

function compileSlowStart({ lbConfig }: ClusterMessage): Cluster['slowStart'] {
  const slow =
    lbConfig.case === 'roundRobinLbConfig' || lbConfig.case === 'leastRequestLbConfig'
      ? lbConfig.value.slowStartConfig
      : undefined;
  if (!slow?.slowStartWindow) return null;
  return {
    windowMs: durationMs(slow.slowStartWindow, 0),
    aggression: slow.aggression?.defaultValue ?? 1,
    leastShare: (slow.minWeightPercent?.value ?? 10) / 100,
  };
}

/** Defaults as Envoy documents them for OutlierDetection. */
function compileOutlier(message: OutlierDetection): Outlier {
  const baseEjectionMs = durationMs(message.baseEjectionTime, 30_000);
  return {
    consecutive5xx: message.consecutive5xx ?? 5,
    consecutiveGatewayFailure: message.consecutiveGatewayFailure ?? 5,
    enforcing5xxPercent: message.enforcingConsecutive5xx ?? 100,
    enforcingGatewayPercent: message.enforcingConsecutiveGatewayFailure ?? 0,
    intervalMs: durationMs(message.interval, 10_000),
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, durationMs(message.maxEjectionTime, 300_000)),
    maxEjectionPercent: message.maxEjectionPercent ?? 10,
    splitExternalLocal: message.splitExternalLocalOriginErrors,
    consecutiveLocalOrigin: message.consecutiveLocalOriginFailure ?? 5,
  };
}

function compileService(message: ClusterMessage): Cluster['service'] {
  const services = message.metadata?.filterMetadata.istio?.services;
  const first = Array.isArray(services) ? services[0] : undefined;
  if (typeof first !== 'object' || first === null || Array.isArray(first)) return null;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return { host: text(first.host), name: text(first.name), namespace: text(first.namespace) };
}
