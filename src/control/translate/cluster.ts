/** Services and their subsets as Envoy clusters. */
import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import type {
  ConnectionPoolSettings,
  ConsistentHashLb,
  DestinationRule,
  LoadBalancerSettings,
  OutlierDetection,
  Subset,
} from '../../api/istio/destination-rule.ts';
import {
  type Cluster,
  ClusterSchema,
  Cluster_DiscoveryType as Discovery,
  Cluster_RingHashLbConfig_HashFunction as HashFunction,
  Cluster_LbPolicy as Lb,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { OutlierDetectionSchema } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import { RoutingPriority } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ApiVersion } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { HttpProtocolOptionsSchema } from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { Resolution, Service, ServicePort } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { assignment, takesMutualTls } from './endpoints.ts';
import { localityPolicy, type Whereabouts, weighsLocalities } from './locality.ts';
import { Memo } from './memo.ts';
import { any, duration, milliseconds, socketAddress } from './message.ts';
import {
  apiPath,
  blackHoleCluster,
  dnsSrvName,
  inboundCluster,
  inboundPassthroughCluster,
  inboundSourceAddress,
  outboundCluster,
  passthroughCluster,
} from './names.ts';
import type { Scope } from './scope.ts';
import { meshAlpn, meshUpstream, plainUpstream, rawSocket, tellingSocket } from './tls.ts';
import { destinationRuleOf, type Policy, policyFor } from './traffic-policy.ts';

type ClusterInit = Exclude<MessageInitShape<typeof ClusterSchema>, Cluster>;

/** Istio lifts Envoy's default of 1,024: a limit is something that a user sets. */
const unlimited = 4_294_967_295;

/** A service's port, and one more cluster for each subset that its DestinationRule names. */
export function outboundClusters(snapshot: Snapshot, scope: Scope, service: Service): readonly Cluster[] {
  const rule = destinationRuleOf(snapshot, service, scope.namespace);
  const resolution = resolutionFor(scope.kind, service);
  const inMessage = resolution === 'endpoints' ? [] : service.ports.map((port) => snapshot.endpoints(service, port));
  return outboundMemo.get(
    service,
    `${resolution} ${rule?.metadata.namespace}/${rule?.metadata.name}${resolution === 'dns' ? localities(snapshot, scope, service, rule) : ''}`,
    [rule, snapshot.mesh, snapshot.identities(service), ...(inMessage.length > 0 ? [snapshot.mtls, ...inMessage] : [])],
    () =>
      service.ports
        .filter(({ protocol }) => protocol !== 'udp')
        .flatMap((port) =>
          [null, ...(rule?.spec.subsets ?? [])].map((subset) =>
            outbound(snapshot, scope, service, port, subset, rule, resolution),
          ),
        ),
  );
}

const outboundMemo = new Memo<readonly Cluster[]>();

/** What of the caller's whereabouts the endpoints in a cluster's own message go by. */
function localities(
  snapshot: Snapshot,
  scope: Whereabouts,
  { ports }: Service,
  rule: ReturnType<typeof destinationRuleOf>,
): string {
  const variants = ports.flatMap(({ port }) =>
    [null, ...(rule?.spec.subsets ?? [])].map(
      (subset) => localityPolicy(snapshot, policyFor(rule, subset, port), scope)?.variant ?? '',
    ),
  );
  return ` ${variants.join(' ')}`;
}

/**
 * For a gateway that passes the mesh's own TLS on, told where to by its SNI alone (Istio, AUTO_PASSTHROUGH): named as the SNI, with the
 * endpoints of the service's ordinary cluster, and nothing added to what comes.
 */
export function passedOnClusters(snapshot: Snapshot, scope: Scope, service: Service): readonly Cluster[] {
  const resolution = resolutionFor(scope.kind, service);
  if (resolution !== 'endpoints') return [];
  const rule = destinationRuleOf(snapshot, service, scope.namespace);
  return passedOnMemo.get(service, scope.namespace, [rule, snapshot.mesh], () =>
    service.ports
      .filter(({ protocol }) => protocol !== 'udp')
      .flatMap((port) =>
        [null, ...(rule?.spec.subsets ?? [])].map((subset) => {
          const policy = policyFor(rule, subset, port.port);
          return create(ClusterSchema, {
            name: dnsSrvName(port.port, subset?.name ?? '', service.host),
            ...discovery(
              snapshot,
              scope,
              policy,
              service,
              port,
              subset,
              outboundCluster(port.port, subset?.name ?? '', service.host),
              resolution,
            ),
            ...pool(policy, snapshot.mesh.connectTimeout),
            ...balancing({ ...policy, loadBalancer: { simple: policy.loadBalancer?.simple } }, resolution, false),
            metadata: origins(rule, service, subset?.name),
          });
        }),
      ),
  );
}

const passedOnMemo = new Memo<readonly Cluster[]>();

/** A gateway's callers do not know the addresses of pods, so what sidecars let through to where it goes, it must look up. */
export function resolutionFor(kind: Scope['kind'], service: Service): Resolution {
  if (service.resolution !== 'passthrough' || kind === 'sidecar') return service.resolution;
  return service.native || service.fixedEndpoints.length > 0 ? 'endpoints' : service.resolution;
}

function outbound(
  snapshot: Snapshot,
  scope: Whereabouts,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  rule: ReturnType<typeof destinationRuleOf>,
  resolution: Resolution,
): Cluster {
  const name = outboundCluster(port.port, subset?.name ?? '', service.host);
  const policy = policyFor(rule, subset, port.port);
  const init: ClusterInit = {
    name,
    ...discovery(snapshot, scope, policy, service, port, subset, name, resolution),
    ...pool(policy, snapshot.mesh.connectTimeout),
    ...balancing(policy, resolution, weighsLocalities(policy, snapshot.mesh)),
    ...telling(policy.proxyProtocol, transport(snapshot, service, port, subset, policy, resolution)),
    metadata: origins(rule, service, subset?.name),
  };
  const http = httpOptions(port, policy.connectionPool);
  if (http) init.typedExtensionProtocolOptions = { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http };
  if (policy.outlierDetection) init.outlierDetection = outlier(policy.outlierDetection);
  return create(ClusterSchema, init);
}

function discovery(
  snapshot: Snapshot,
  scope: Whereabouts,
  policy: Policy,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  name: string,
  resolution: Resolution,
): ClusterInit {
  if (resolution === 'passthrough')
    return { clusterDiscoveryType: { case: 'type', value: Discovery.ORIGINAL_DST }, lbPolicy: Lb.CLUSTER_PROVIDED };
  if (resolution === 'dns')
    return {
      clusterDiscoveryType: { case: 'type', value: Discovery.STRICT_DNS },
      dnsRefreshRate: duration(snapshot.mesh.dnsRefreshRate),
      respectDnsTtl: true,
      loadAssignment: assignment(snapshot, service, port, subset, name, localityPolicy(snapshot, policy, scope)),
    };
  return {
    clusterDiscoveryType: { case: 'type', value: Discovery.EDS },
    edsClusterConfig: {
      serviceName: name,
      edsConfig: {
        resourceApiVersion: ApiVersion.V3,
        initialFetchTimeout: milliseconds(0),
        configSourceSpecifier: { case: 'ads', value: {} },
      },
    },
  };
}

function pool({ connectionPool, retryBudget }: Policy, connectTimeout: string): ClusterInit {
  const { tcp, http } = connectionPool ?? {};
  const keepalive = tcp?.tcpKeepalive;
  const seconds = (text: string | undefined) => (text ? Number(duration(text)?.seconds ?? 0n) : undefined);
  return {
    connectTimeout: duration(tcp?.connectTimeout) ?? duration(connectTimeout),
    circuitBreakers: {
      thresholds: [
        {
          priority: RoutingPriority.DEFAULT,
          maxConnections: tcp?.maxConnections || unlimited,
          maxPendingRequests: http?.http1MaxPendingRequests || unlimited,
          maxRequests: http?.http2MaxRequests || unlimited,
          maxRetries: http?.maxRetries || unlimited,
          // Istio's defaults: a fifth of what is under way, and three at any rate.
          retryBudget: retryBudget && {
            budgetPercent: { value: retryBudget.percent ?? 20 },
            minRetryConcurrency: retryBudget.minRetryConcurrency ?? 3,
          },
          trackRemaining: true,
        },
      ],
    },
    upstreamConnectionOptions: keepalive && {
      tcpKeepalive: {
        keepaliveProbes: keepalive.probes,
        keepaliveTime: seconds(keepalive.time),
        keepaliveInterval: seconds(keepalive.interval),
      },
    },
  };
}

function balancing(
  { loadBalancer, outlierDetection }: Policy,
  resolution: Resolution,
  weighsPlaces: boolean,
): ClusterInit {
  const common = {
    localityConfigSpecifier: weighsPlaces ? { case: 'localityWeightedLbConfig' as const, value: {} } : undefined,
    healthyPanicThreshold: { value: outlierDetection?.minHealthPercent ?? 0 },
  };
  if (resolution === 'passthrough') return {};
  const slow = slowStart(loadBalancer);
  const hash = loadBalancer?.consistentHash;
  if (hash) return { commonLbConfig: common, ...consistentHash(hash) };
  switch (loadBalancer?.simple) {
    case 'ROUND_ROBIN':
      return {
        lbPolicy: Lb.ROUND_ROBIN,
        commonLbConfig: common,
        lbConfig: slow && { case: 'roundRobinLbConfig', value: { slowStartConfig: slow } },
      };
    case 'RANDOM':
      return { lbPolicy: Lb.RANDOM, commonLbConfig: common };
    case 'PASSTHROUGH':
      return {
        lbPolicy: Lb.CLUSTER_PROVIDED,
        clusterDiscoveryType: { case: 'type', value: Discovery.ORIGINAL_DST },
        edsClusterConfig: undefined,
        loadAssignment: undefined,
      };
    default:
      return {
        lbPolicy: Lb.LEAST_REQUEST,
        commonLbConfig: common,
        lbConfig: slow && { case: 'leastRequestLbConfig', value: { slowStartConfig: slow } },
      };
  }
}

/** Istio's `warmup`, and the duration alone that was there before it. */
function slowStart(settings: LoadBalancerSettings | undefined) {
  const { warmup, warmupDurationSecs } = settings ?? {};
  if (!warmup && !warmupDurationSecs) return undefined;
  const { aggression, minimumPercent } = warmup ?? {};
  return {
    slowStartWindow: duration(warmup?.duration ?? warmupDurationSecs),
    aggression:
      typeof aggression === 'number' ? { defaultValue: aggression, runtimeKey: 'slow_start.aggression' } : undefined,
    minWeightPercent: typeof minimumPercent === 'number' ? { value: minimumPercent } : undefined,
  };
}

function consistentHash(hash: ConsistentHashLb): ClusterInit {
  if (hash.maglev)
    return {
      lbPolicy: Lb.MAGLEV,
      lbConfig: {
        case: 'maglevLbConfig',
        value: { tableSize: hash.maglev.tableSize ? BigInt(hash.maglev.tableSize) : undefined },
      },
    };
  const minimum = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? 1024;
  return {
    lbPolicy: Lb.RING_HASH,
    lbConfig: {
      case: 'ringHashLbConfig',
      value: { minimumRingSize: BigInt(minimum), hashFunction: HashFunction.XX_HASH },
    },
  };
}

/** With the caller's address said before anything else, TLS included (DestinationRule: proxyProtocol). */
function telling(proxyProtocol: Policy['proxyProtocol'], init: ClusterInit): ClusterInit {
  if (proxyProtocol === undefined) return init;
  const version = proxyProtocol.version ?? 'V1';
  const { transportSocket, transportSocketMatches } = init;
  if (!transportSocketMatches) return { ...init, transportSocket: tellingSocket(version, transportSocket) };
  return {
    ...init,
    transportSocketMatches: transportSocketMatches.map(({ name, match, transportSocket: inner }) => ({
      name,
      match,
      transportSocket: tellingSocket(version, inner),
    })),
  };
}

/** Automatic mutual TLS goes by the endpoint: one whose pod has a proxy is labelled `tlsMode: istio`. */
function transport(
  snapshot: Snapshot,
  service: Service,
  port: ServicePort,
  subset: Subset | null,
  { tls }: Policy,
  resolution: Resolution,
): ClusterInit {
  const sni = dnsSrvName(port.port, subset?.name ?? '', service.host);
  const { trustDomain, trustDomainAliases } = snapshot.mesh;
  const names = snapshot
    .identities(service)
    .flatMap((path) => [trustDomain, ...trustDomainAliases].map((domain) => `spiffe://${domain}/${path}`));
  const mesh = () =>
    meshUpstream(
      tls?.sni || sni,
      alpnOf(port),
      tls?.subjectAltNames?.length
        ? tls.subjectAltNames
        : service.subjectAltNames.length
          ? service.subjectAltNames
          : names,
    );
  if (!tls?.mode) {
    if (service.external || !snapshot.mesh.enableAutoMtls) return {};
    // Without endpoints of its own a cluster has one way for all: mutual TLS when every pod takes it (Istio).
    if (resolution === 'passthrough') {
      const endpoints = snapshot.endpoints(service, port);
      const all = endpoints.length > 0 && endpoints.every((endpoint) => takesMutualTls(snapshot, endpoint));
      return all ? { transportSocket: mesh() } : {};
    }
    return {
      transportSocketMatches: [
        { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transportSocket: mesh() },
        { name: 'tlsMode-disabled', match: {}, transportSocket: rawSocket },
      ],
    };
  }
  if (tls.mode === 'DISABLE') return {};
  if (tls.mode === 'ISTIO_MUTUAL') return { transportSocket: mesh() };
  return {
    transportSocket: plainUpstream({
      sni: tls.sni || (service.native ? '' : service.host),
      subjectAltNames: tls.subjectAltNames ?? service.subjectAltNames,
      alpn: port.protocol === 'http2' || port.protocol === 'grpc' ? ['h2'] : [],
      credentialName: tls.credentialName ?? '',
      caCertificates: tls.caCertificates ?? '',
      clientCertificate: tls.mode === 'MUTUAL' ? (tls.clientCertificate ?? '') : '',
      privateKey: tls.mode === 'MUTUAL' ? (tls.privateKey ?? '') : '',
      insecureSkipVerify: tls.insecureSkipVerify === true,
    }),
  };
}

function alpnOf({ protocol }: ServicePort): readonly string[] {
  if (protocol === 'http') return meshAlpn.http;
  if (protocol === 'http2' || protocol === 'grpc') return meshAlpn.http2;
  return meshAlpn.tcp;
}

function httpOptions({ protocol }: ServicePort, settings: ConnectionPoolSettings | undefined) {
  const http = settings?.http;
  const isHttp2 =
    protocol === 'http2' || protocol === 'grpc' || (http?.h2UpgradePolicy === 'UPGRADE' && protocol === 'http');
  if (protocol === 'tcp' || protocol === 'tls' || protocol === 'https') return null;
  const followsCaller = http?.useClientProtocol === true || protocol === 'auto';
  const lasting = settings?.tcp?.maxConnectionDuration;
  if (!isHttp2 && !followsCaller && !http && !lasting) return null;
  return any(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: {
      idleTimeout: duration(http?.idleTimeout),
      maxConnectionDuration: duration(lasting),
      maxRequestsPerConnection: http?.maxRequestsPerConnection || undefined,
    },
    upstreamProtocolOptions: followsCaller
      ? { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } }
      : {
          case: 'explicitHttpConfig',
          value: {
            protocolConfig: isHttp2
              ? {
                  case: 'http2ProtocolOptions',
                  value: { maxConcurrentStreams: http?.maxConcurrentStreams || undefined },
                }
              : { case: 'httpProtocolOptions', value: {} },
          },
        },
  });
}

/** What is not set is Envoy's default, as in Istio: ejection after five errors; 0 switches a kind of it off. */
function outlier(settings: OutlierDetection): MessageInitShape<typeof OutlierDetectionSchema> {
  const gateway = settings.consecutiveGatewayErrors;
  const any5xx = settings.consecutive5xxErrors ?? (settings.consecutiveErrors || undefined);
  const isSet = (value: number | null | undefined): value is number => value !== undefined && value !== null;
  const split = settings.splitExternalLocalOriginErrors === true;
  const localOrigin = split ? settings.consecutiveLocalOriginFailures || undefined : undefined;
  return {
    interval: duration(settings.interval),
    baseEjectionTime: duration(settings.baseEjectionTime),
    maxEjectionPercent: settings.maxEjectionPercent || undefined,
    consecutive5xx: any5xx ?? undefined,
    enforcingConsecutive5xx: isSet(any5xx) ? (any5xx > 0 ? 100 : 0) : undefined,
    consecutiveGatewayFailure: gateway ?? undefined,
    enforcingConsecutiveGatewayFailure: isSet(gateway) ? (gateway > 0 ? 100 : 0) : undefined,
    enforcingSuccessRate: 0,
    splitExternalLocalOriginErrors: split,
    consecutiveLocalOriginFailure: localOrigin,
    enforcingConsecutiveLocalOriginFailure: localOrigin ? 100 : undefined,
    enforcingLocalOriginSuccessRate: split ? 0 : undefined,
  };
}

/** Istio's metadata: the resource that decided, and the service that the cluster stands for. */
function origins(rule: DestinationRule | null, service: Service, subset: string | undefined) {
  const istio: JsonObject = {
    services: [{ host: service.host, name: service.name, namespace: service.namespace }],
  };
  if (rule) istio.config = apiPath(rule, 'destination-rule');
  if (subset !== undefined) istio.subset = subset;
  return { filterMetadata: { istio } };
}

/** Every proxy's own: where traffic goes that no service claims, and nowhere. */
export function fixedClusters(kind: Scope['kind'], connectTimeout: string): Cluster[] {
  const blackHole = create(ClusterSchema, {
    name: blackHoleCluster,
    clusterDiscoveryType: { case: 'type', value: Discovery.STATIC },
    connectTimeout: duration(connectTimeout),
    loadAssignment: { clusterName: blackHoleCluster },
  });
  if (kind === 'router') return [blackHole];
  const unboundLimits = {
    thresholds: [
      {
        maxConnections: unlimited,
        maxPendingRequests: unlimited,
        maxRequests: unlimited,
        maxRetries: unlimited,
        trackRemaining: true,
      },
    ],
  };
  const wire = {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
      },
    }),
  };
  const toOriginal: ClusterInit = {
    clusterDiscoveryType: { case: 'type', value: Discovery.ORIGINAL_DST },
    lbPolicy: Lb.CLUSTER_PROVIDED,
    connectTimeout: duration(connectTimeout),
    circuitBreakers: unboundLimits,
    typedExtensionProtocolOptions: wire,
  };
  return [
    blackHole,
    create(ClusterSchema, { name: passthroughCluster, ...toOriginal }),
    create(ClusterSchema, { name: inboundPassthroughCluster, ...toOriginal, upstreamBindConfig: fromInbound }),
  ];
}

const fromInbound = {
  sourceAddress: { address: inboundSourceAddress, portSpecifier: { case: 'portValue' as const, value: 0 } },
};

/** The address that the caller meant, or what a Sidecar names: another port of it (0.0.0.0), one of loopback, or a Unix socket. */
function localDestination(name: string, endpoint: string | null): ClusterInit {
  const toOriginal = {
    clusterDiscoveryType: { case: 'type' as const, value: Discovery.ORIGINAL_DST },
    lbPolicy: Lb.CLUSTER_PROVIDED,
  };
  if (endpoint === null) return toOriginal;
  const colon = endpoint.lastIndexOf(':');
  const [address, port] = [endpoint.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), Number(endpoint.slice(colon + 1))];
  if (address === '0.0.0.0' || address === '::')
    return {
      ...toOriginal,
      lbConfig: { case: 'originalDstLbConfig', value: { upstreamPortOverride: port } },
    };
  const at = endpoint.startsWith('unix://')
    ? { address: { case: 'pipe' as const, value: { path: endpoint.slice('unix://'.length) } } }
    : socketAddress(address, port);
  return {
    clusterDiscoveryType: { case: 'type', value: Discovery.STATIC },
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: at } } }] }],
    },
  };
}

/** The application's own port, at the address that the caller meant. */
export function inboundClusters(scope: Scope, connectTimeout: string): Cluster[] {
  return scope.inbound.map(({ service, port, target, endpoint }) =>
    create(ClusterSchema, {
      name: inboundCluster(target),
      ...localDestination(inboundCluster(target), endpoint),
      connectTimeout: duration(connectTimeout),
      circuitBreakers: {
        thresholds: [
          {
            maxConnections: unlimited,
            maxPendingRequests: unlimited,
            maxRequests: unlimited,
            maxRetries: unlimited,
            trackRemaining: true,
          },
        ],
      },
      upstreamBindConfig: endpoint?.startsWith('unix://') ? undefined : fromInbound,
      typedExtensionProtocolOptions:
        port.protocol === 'http'
          ? {}
          : {
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(HttpProtocolOptionsSchema, {
                upstreamProtocolOptions:
                  port.protocol === 'http2' || port.protocol === 'grpc'
                    ? {
                        case: 'explicitHttpConfig',
                        value: { protocolConfig: { case: 'http2ProtocolOptions', value: {} } },
                      }
                    : {
                        case: 'useDownstreamProtocolConfig',
                        value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
                      },
              }),
            },
      metadata: {
        filterMetadata: {
          istio: { services: [{ host: service.host, name: service.name, namespace: service.namespace }] },
        },
      },
    }),
  );
}
