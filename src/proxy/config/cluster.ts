import { hash } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import type { Cluster as ClusterMessage } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  Cluster_OriginalDstLbConfigSchema,
  ClusterSchema,
  TrackClusterStatsSchema,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterConfigSchema as AggregateSchema } from '../../xds/gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.js';
import { compileBalancing } from './balancing.ts';
import { compileConfigSource } from './config-source.ts';
import { compileEndpoints, strings } from './endpoint.ts';
import { durationMs, type Field, messageName, unpack, words } from './field.ts';
import { compileHealthChecks } from './health-check.ts';
import { metadataOf, originOf } from './origin.ts';
import { compileOutlier } from './outlier.ts';
import { noReferences, type References } from './references.ts';
import type { Cluster } from './table.ts';
import { compileThresholds, defaultThresholds } from './thresholds.ts';
import { compileUpstreamProtocol } from './upstream-protocol.ts';
import { compileBindHosts, compileKeepalive } from './upstream-socket.ts';
import { compileUpstreamTransport } from './upstream-transport.ts';

const known = words(`transport_socket_matches name alt_stat_name type cluster_type eds_cluster_config connect_timeout
  per_connection_buffer_limit_bytes lb_policy load_assignment max_requests_per_connection circuit_breakers
  common_http_protocol_options http_protocol_options http2_protocol_options typed_extension_protocol_options dns_refresh_rate
  dns_failure_refresh_rate respect_dns_ttl dns_lookup_family wait_for_warm_on_init outlier_detection cleanup_interval
  upstream_bind_config ring_hash_lb_config maglev_lb_config original_dst_lb_config least_request_lb_config round_robin_lb_config
  common_lb_config transport_socket metadata protocol_selection upstream_connection_options
  close_connections_on_host_health_failure ignore_health_on_host_removal track_cluster_stats health_checks
  lb_subset_config load_balancing_policy`);
const discoveries = ['static', 'strictDns', 'logicalDns', 'eds', 'originalDst'] as const;
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
  const options = compileUpstreamProtocol(field, message);
  if (message.trackClusterStats)
    field.at('track_cluster_stats').only(TrackClusterStatsSchema, message.trackClusterStats, words(''));
  const thresholds = compileThresholds(field.at('circuit_breakers'), message.circuitBreakers);
  const transport = compileUpstreamTransport(field, message.transportSocket, references);
  const names = discovery === 'strictDns' || discovery === 'logicalDns' ? 'name' : 'ip';
  const cluster: Cluster = {
    name: message.name,
    altStatName: message.altStatName,
    discovery,
    parts: compileParts(field, message),
    edsName: message.edsClusterConfig?.serviceName || message.name,
    ...compileBalancing(field, message, discovery),
    connectTimeoutMs: durationMs(message.connectTimeout, 5000),
    endpoints: message.loadAssignment
      ? compileEndpoints(field.at('load_assignment'), message.loadAssignment, names)
      : [],
    bindHosts: compileBindHosts(field.at('upstream_bind_config'), message.upstreamBindConfig),
    http: options.http,
    http2: options.http2,
    transports: message.transportSocketMatches.map(({ name, match, transportSocket }, i) => ({
      name,
      match: strings(match),
      ...compileUpstreamTransport(field.at('transport_socket_matches', i), transportSocket, references),
    })),
    tls: withAuto(transport.tls, options),
    proxyProtocol: transport.proxyProtocol,
    circuit: thresholds[0] ?? defaultThresholds,
    highCircuit: thresholds[1] ?? null,
    maxRequestsPerConnection: options.maxRequestsPerConnection,
    maxConnectionMs: options.maxConnectionMs,
    idleTimeoutMs: options.idleTimeoutMs,
    keepalive: compileKeepalive(field.at('upstream_connection_options'), message.upstreamConnectionOptions),
    originalDst: compileOriginalDst(field.at('original_dst_lb_config'), message),
    cleanupMs: durationMs(message.cleanupInterval, 5000),
    waitsForWarm: message.waitForWarmOnInit ?? true,
    outlier: message.outlierDetection ? compileOutlier(field.at('outlier_detection'), message.outlierDetection) : null,
    healthCheck: compileHealthChecks(field, message.healthChecks),
    forgetsHealthyHosts: message.ignoreHealthOnHostRemoval,
    closesUnhealthy: message.closeConnectionsOnHostHealthFailure,
    ignoresUncheckedHosts: message.commonLbConfig?.ignoreNewHostsUntilFirstHc ?? false,
    closesOnHostSetChange: message.commonLbConfig?.closeConnectionsOnHostSetChange ?? false,
    dns: compileDns(message),
    hash: hash('sha1', toBinary(ClusterSchema, { ...message, loadAssignment: undefined }), 'base64url'),
    service: compileService(message),
    origin: originOf(message.metadata),
    metadata: metadataOf(message.metadata),
  };
  if (cluster.healthCheck?.probe.kind === 'grpc' && cluster.http !== 'http2')
    field.at('health_checks', 0).at('grpc_health_check').fail('needs a cluster that speaks HTTP/2');
  return { cluster, references };
}

/** What the options of HTTP say of TLS. */
const withAuto = (tls: Cluster['tls'], { autoSni, autoSan }: { autoSni: boolean; autoSan: boolean }): Cluster['tls'] =>
  tls && (autoSni || autoSan) ? { ...tls, autoSni, autoSan } : tls;

function compileOriginalDst(field: Field, { lbConfig }: ClusterMessage): Cluster['originalDst'] {
  if (lbConfig.case !== 'originalDstLbConfig') return null;
  const { value } = lbConfig;
  field.only(
    Cluster_OriginalDstLbConfigSchema,
    value,
    words('use_http_header http_header_name upstream_port_override'),
  );
  const port = value.upstreamPortOverride ?? 0;
  if (port > 65_535) field.at('upstream_port_override').fail(`${port} is no port`);
  const header = (value.httpHeaderName || 'x-envoy-original-dst-host').toLowerCase();
  return { header: value.useHttpHeader ? header : null, port };
}

/** The one cluster type that is no plain one: a cluster of clusters. */
function compileParts(field: Field, { clusterDiscoveryType: type, lbPolicy }: ClusterMessage): readonly string[] {
  if (type.case !== 'clusterType') return [];
  const at = field.at('cluster_type').at('typed_config');
  const any = type.value.typedConfig;
  if (!any || messageName(any) !== AggregateSchema.typeName) {
    at.fail(any ? `type ${messageName(any)} is not supported` : 'is missing');
    return [];
  }
  if (lbPolicy !== 6) field.at('lb_policy').fail('must be CLUSTER_PROVIDED for an aggregate cluster');
  const clusters = unpack(at, any, AggregateSchema)?.clusters ?? [];
  if (clusters.length === 0) at.at('clusters').fail('is empty');
  return clusters;
}

function compileDiscovery(field: Field, message: ClusterMessage): Cluster['discovery'] {
  const type = message.clusterDiscoveryType;
  if (type.case === 'clusterType') return 'aggregate';
  const discovery = type.case === 'type' ? discoveries[type.value] : 'static';
  if (!discovery) field.at('type').fail('is not supported');
  return discovery ?? 'static';
}

/** By DnsLookupFamily: AUTO (addresses of version 6 if there are any), V4_ONLY, V6_ONLY, V4_PREFERRED, ALL. */
const families = ['v6First', 'v4', 'v6', 'v4First', 'any'] as const;

function compileDns(message: ClusterMessage): Cluster['dns'] {
  const refreshMs = durationMs(message.dnsRefreshRate, 5000);
  return {
    refreshMs,
    respectsTtl: message.respectDnsTtl,
    failureRefreshMs: durationMs(message.dnsFailureRefreshRate?.baseInterval, refreshMs),
    family: families[message.dnsLookupFamily] ?? 'v6First',
  };
}

function compileService(message: ClusterMessage): Cluster['service'] {
  const services = message.metadata?.filterMetadata.istio?.services;
  const first = Array.isArray(services) ? services[0] : undefined;
  if (typeof first !== 'object' || first === null || Array.isArray(first)) return null;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return { host: text(first.host), name: text(first.name), namespace: text(first.namespace) };
}
