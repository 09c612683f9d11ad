/** Tables for tests: every field at its default, what a test is about as overrides. */
import type { Http2Limits } from '../codec/http2-limits.ts';
import type {
  Cluster,
  Endpoint,
  FilterChain,
  Forward,
  HttpManager,
  Listener,
  RetryPolicy,
  Route,
  RouteTable,
  Table,
  TcpProxy,
  Thresholds,
  TlsSettings,
  VirtualHost,
} from '../config/table.ts';

const noLogOptions = { everyMs: 0, onRequest: false, onConnected: false };

export function endpointOf(port: number, overrides: Partial<Endpoint> = {}): Endpoint {
  return {
    host: '127.0.0.1',
    port,
    weight: 1,
    health: 'healthy',
    transportMatch: {},
    workload: '',
    hostname: '',
    metadata: null,
    check: null,
    ...overrides,
  };
}

export function clusterOf(name: string, endpoints: readonly Endpoint[], overrides: Partial<Cluster> = {}): Cluster {
  const cluster: Cluster = {
    name,
    altStatName: '',
    discovery: 'eds',
    parts: [],
    edsName: name,
    policy: 'roundRobin',
    leastRequestChoices: 2,
    activeRequestBias: 1,
    fullScan: false,
    hashBalancePercent: 0,
    failsInPanic: false,
    zoneAware: null,
    closesOnHostSetChange: false,
    dns: { refreshMs: 30_000, respectsTtl: false, failureRefreshMs: 30_000, family: 'any' },
    ring: { min: 1024, max: 8192, murmur: false, tableSize: 65_537, byHostname: false },
    slowStart: null,
    localityWeighted: true,
    connectTimeoutMs: 2000,
    endpoints: [{ region: '', zone: '', subzone: '', priority: 0, weight: 0, overprovisioningPercent: 140, endpoints }],
    panicThresholdPercent: 50,
    bindHosts: [],
    http: 'http1',
    http2: http2LimitsOf(),
    transports: [],
    proxyProtocol: 0,
    tls: null,
    circuit: thresholdsOf(),
    highCircuit: null,
    maxRequestsPerConnection: 0,
    maxConnectionMs: 0,
    originalDst: null,
    cleanupMs: 5000,
    waitsForWarm: true,
    idleTimeoutMs: 0,
    keepalive: null,
    outlier: null,
    healthCheck: null,
    forgetsHealthyHosts: false,
    closesUnhealthy: false,
    ignoresUncheckedHosts: false,
    subsets: null,
    hash: '',
    service: null,
    origin: '',
    metadata: null,
    ...overrides,
  };
  const { endpoints: _, hash, ...rest } = cluster;
  return { ...cluster, hash: hash || JSON.stringify(rest, (key, value) => (key === 'test' ? undefined : value)) };
}

export function thresholdsOf(overrides: Partial<Thresholds> = {}): Thresholds {
  return {
    maxConnections: 1024,
    maxPending: 1024,
    maxRequests: 1024,
    maxRetries: 3,
    retryBudgetPercent: null,
    minRetries: 3,
    tracksRemaining: false,
    ...overrides,
  };
}

export function forwardOf(cluster: string, overrides: Partial<Forward> = {}): Forward {
  return {
    clusters: [
      {
        cluster,
        weight: 1,
        requestHeaders: null,
        responseHeaders: null,
        hostRewrite: null,
        subset: null,
        filters: null,
      },
    ],
    totalWeight: 1,
    clusterHeader: null,
    prefixRewrite: null,
    regexRewrite: null,
    hostRewrite: null,
    hostRewriteHeader: null,
    hostRewritePath: null,
    autoHostRewrite: false,
    appendXForwardedHost: false,
    timeoutMs: 0,
    idleTimeoutMs: 0,
    maxStreamDurationMs: null,
    grpcMaxStreamDurationMs: null,
    grpcStreamDurationOffsetMs: 0,
    grpcMaxTimeoutMs: null,
    grpcTimeoutOffsetMs: 0,
    retry: null,
    subset: null,
    hash: [],
    mirrors: [],
    upgrades: null,
    terminatesConnect: false,
    internalRedirect: null,
    rateLimits: [],
    includesHostRateLimits: false,
    clustersHaveFilters: false,
    clusterNotFoundStatus: 503,
    highPriority: false,
    ...overrides,
  };
}

export function retryOf(on: string, overrides: Partial<RetryPolicy> = {}): RetryPolicy {
  return {
    on: new Set(on.split(',')),
    statuses: new Set(),
    headers: [],
    requestHeaders: [],
    retries: 2,
    perTryTimeoutMs: 0,
    perTryIdleTimeoutMs: 0,
    backoffBaseMs: 1,
    backoffMaxMs: 10,
    resetHeaders: [],
    resetMaxMs: 300_000,
    avoidPreviousHosts: true,
    hostSelectionAttempts: 5,
    previousPrioritiesEvery: 0,
    ...overrides,
  };
}

export function routeOf(prefix: string, forward: Forward | null, overrides: Partial<Route> = {}): Route {
  return {
    name: '',
    match: {
      path: { kind: 'prefix', value: prefix },
      caseSensitive: true,
      headers: [],
      query: [],
      fractionMillionths: 1_000_000,
      grpcOnly: false,
    },
    forward,
    redirect: null,
    direct: null,
    requestHeaders: null,
    responseHeaders: null,
    filters: null,
    decorator: null,
    tracing: null,
    origin: '',
    metadata: null,
    ...overrides,
  };
}

export function hostOf(routes: readonly Route[], overrides: Partial<VirtualHost> = {}): VirtualHost {
  return {
    name: 'all',
    domains: ['*'],
    routes,
    requireTls: 'none',
    requestHeaders: null,
    responseHeaders: null,
    includeAttemptCount: true,
    attemptCountInResponse: false,
    rateLimits: [],
    specificWins: false,
    metadata: null,
    ...overrides,
  };
}

export function routesOf(name: string, host: VirtualHost): RouteTable {
  return {
    name,
    hosts: [host],
    byDomain: { exact: new Map(), suffixes: [], prefixes: [], any: host, ignorePort: false },
  };
}

export function http2LimitsOf(overrides: Partial<Http2Limits> = {}): Http2Limits {
  return {
    maxStreams: 1024,
    streamWindowBytes: 1 << 20,
    connectionWindowBytes: 4 << 20,
    allowConnect: true,
    maxFieldBytes: 61_440,
    maxFields: 100,
    maxContinuations: 64,
    maxOutboundControlFrames: 1000,
    maxEmptyFrames: 1,
    maxPriorityFrames: 100,
    maxWindowUpdatesPerData: 10,
    keepalive: null,
    ...overrides,
  };
}

export function managerOf(overrides: Partial<HttpManager> = {}): HttpManager {
  return {
    statPrefix: 'test',
    codec: 'auto',
    http2: http2LimitsOf(),
    routeName: 'routes',
    filters: [],
    accessLogs: [],
    logOptions: noLogOptions,
    tracing: null,
    serverName: 'istio-envoy',
    serverHeader: 'overwrite',
    useRemoteAddress: false,
    xffNumTrustedHops: 0,
    skipXffAppend: false,
    appendForwardedPort: false,
    internalRanges: [],
    via: '',
    requestIdInResponse: false,
    underscores: 'allow',
    acceptsHttp10: true,
    defaultHost: '',
    acceptsAbsoluteUrl: true,
    maxStreamDurationMs: 0,
    maxConnectionMs: 0,
    maxRequestsPerConnection: 0,
    localReplies: null,
    stripPort: 'none',
    stripTrailingDot: false,
    clientCertDetails: { subject: true, cert: false, chain: false, dns: true, uri: true },
    forwardClientCert: 'sanitize',
    normalizePath: true,
    mergeSlashes: false,
    escapedSlashes: 'keep',
    upgrades: new Set(['websocket']),
    maxRequestHeadersBytes: 61_440,
    maxRequestHeaders: 100,
    requestHeadersTimeoutMs: 0,
    requestTimeoutMs: 0,
    streamIdleTimeoutMs: 300_000,
    idleTimeoutMs: 3_600_000,
    drainTimeoutMs: 5000,
    generateRequestId: true,
    preserveExternalRequestId: true,
    suppressEnvoyHeaders: false,
    ...overrides,
  };
}

export function chainOf(overrides: Partial<FilterChain>): FilterChain {
  return {
    name: 'chain',
    match: {
      destinationPort: null,
      destinationPrefixes: [],
      serverNames: [],
      transportProtocol: null,
      applicationProtocols: [],
      directSourcePrefixes: [],
      sourceType: 'any',
      sourcePrefixes: [],
      sourcePorts: [],
    },
    tls: null,
    networkRbac: [],
    gates: [],
    http: null,
    tcp: null,
    answer: null,
    ...overrides,
  };
}

export function tcpOf(cluster: string, overrides: Partial<TcpProxy> = {}): TcpProxy {
  return {
    statPrefix: 'tcp',
    clusters: [
      {
        cluster,
        weight: 1,
        requestHeaders: null,
        responseHeaders: null,
        hostRewrite: null,
        subset: null,
        filters: null,
      },
    ],
    totalWeight: 1,
    clusterBySni: false,
    idleTimeoutMs: 3_600_000,
    maxDurationMs: 0,
    maxConnectAttempts: 1,
    tunnel: null,
    hashesSource: false,
    accessLogs: [],
    ...overrides,
    logOptions: noLogOptions,
  };
}

export function listenerOf(chains: readonly FilterChain[], overrides: Partial<Listener> = {}): Listener {
  return {
    name: 'listener',
    statPrefix: '',
    bind: { host: '127.0.0.1', port: 0 },
    address: { host: '127.0.0.1', port: 0 },
    moreAddresses: [],
    backlog: 4096,
    useOriginalDst: false,
    direction: 'inbound',
    inspect: { originalDst: false, tls: false, http: false },
    proxyProtocol: null,
    ignoresGlobalLimit: false,
    drainsWhenUnhealthy: true,
    bypassesOverload: false,
    acceptGate: null,
    originalDstDisabledPorts: [],
    httpInspectDisabledPorts: [],
    tlsInspectDisabledPorts: [],
    inspectTimeoutMs: 0,
    continueOnInspectTimeout: true,
    chains,
    defaultChain: null,
    accessLogs: [],
    metadata: null,
    hash: '',
    ...overrides,
  };
}

/** Of both sides, without what each needs of its own. */
export const tlsDefaults: TlsSettings = {
  alpn: [],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  parameters: null,
  trust: null,
  subjectAltNames: [],
  pins: null,
  acceptUntrusted: false,
};

export interface TableParts {
  readonly listeners: readonly Listener[];
  readonly clusters?: readonly Cluster[];
  readonly routes?: readonly RouteTable[];
}

let version = 0;

export function tableOf({ listeners, clusters = [], routes = [] }: TableParts): Table {
  return {
    version: ++version,
    listeners: new Map(listeners.map((listener) => [listener.name, listener])),
    clusters: new Map(clusters.map((cluster) => [cluster.name, cluster])),
    routeTables: new Map(routes.map((table) => [table.name, table])),
  };
}

/** One HTTP listener whose routes are these. */
export function httpTable(
  routes: readonly Route[],
  clusters: readonly Cluster[],
  manager: Partial<HttpManager> = {},
): Table {
  return tableOf({
    listeners: [listenerOf([chainOf({ http: managerOf(manager) })])],
    clusters,
    routes: [routesOf('routes', hostOf(routes))],
  });
}
