/** MeshConfig: what holds for the whole mesh (the key `mesh` of ConfigMap `istio`). https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/ */
import { localityLbSetting } from './istio/destination-rule.ts';
import { httpRetry } from './istio/virtual-service.ts';
import { duration, looseDuration } from './schema/duration.ts';
import {
  anything,
  array,
  boolean,
  double,
  enumOf,
  type Infer,
  int32,
  map,
  nullable,
  object,
  required,
  string,
  uint32,
} from './schema/schema.ts';

const text = string();
const texts = array(text);
const labelMap = map(text);

const labelSelector = object({
  matchLabels: labelMap,
  matchExpressions: array(
    object({
      key: required(text),
      operator: required(enumOf(['In', 'NotIn', 'Exists', 'DoesNotExist'])),
      values: texts,
    }),
  ),
});

export const proxyConfig = object(
  {
    concurrency: nullable(int32({ minimum: 0 })),
    discoveryAddress: text,
    drainDuration: duration(),
    holdApplicationUntilProxyStarts: boolean(),
    image: object({ imageType: text }, { unlisted: 'warn' }),
    privateKeyProvider: anything(),
    proxyAdminPort: int32({ minimum: 0, maximum: 65_535 }),
    proxyHeaders: anything(),
    proxyMetadata: labelMap,
    proxyStatsMatcher: object({ inclusionPrefixes: texts, inclusionRegexps: texts, inclusionSuffixes: texts }),
    readinessProbe: anything(),
    serviceCluster: text,
    statNameLength: int32({ minimum: 1 }),
    statusPort: int32({ minimum: 0, maximum: 65_535 }),
    terminationDrainDuration: looseDuration(),
    tracing: object({ sampling: double({ minimum: 0, maximum: 100 }) }, { unlisted: 'keep' }),
  },
  { unlisted: 'warn' },
);

export const meshConfig = object(
  {
    accessLogEncoding: enumOf(['TEXT', 'JSON']),
    accessLogFile: text,
    accessLogFormat: text,
    connectTimeout: duration(),
    defaultConfig: proxyConfig,
    defaultDestinationRuleExportTo: texts,
    defaultHttpRetryPolicy: httpRetry,
    defaultProviders: object({ accessLogging: texts, metrics: texts, tracing: texts }),
    defaultServiceExportTo: texts,
    defaultVirtualServiceExportTo: texts,
    discoverySelectors: array(labelSelector),
    dnsRefreshRate: duration(),
    enableAutoMtls: nullable(boolean()),
    enablePrometheusMerge: nullable(boolean()),
    enableTracing: boolean(),
    extensionProviders: array(object({ name: required(text) }, { unlisted: 'keep' })),
    h2UpgradePolicy: enumOf(['DO_NOT_UPGRADE', 'UPGRADE']),
    inboundTrafficPolicy: object({ mode: enumOf(['PASSTHROUGH', 'LOCALHOST']) }),
    ingressClass: text,
    ingressControllerMode: enumOf(['UNSPECIFIED', 'OFF', 'DEFAULT', 'STRICT']),
    ingressSelector: text,
    ingressService: text,
    localityLbSetting,
    meshMTLS: object({ minProtocolVersion: enumOf(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']) }, { unlisted: 'warn' }),
    outboundTrafficPolicy: object({ mode: enumOf(['REGISTRY_ONLY', 'ALLOW_ANY']) }),
    pathNormalization: object({
      normalization: enumOf(['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']),
    }),
    protocolDetectionTimeout: looseDuration(),
    proxyHttpPort: int32({ minimum: 0, maximum: 65_535 }),
    proxyListenPort: int32({ minimum: 1, maximum: 65_535 }),
    rootNamespace: text,
    serviceSettings: array(anything()),
    tcpKeepalive: object({ interval: duration(), probes: uint32(), time: duration() }),
    trustDomain: text,
    trustDomainAliases: texts,
    verifyCertificateAtClient: nullable(boolean()),
  },
  { unlisted: 'warn' },
);

export type LabelSelector = Infer<typeof labelSelector>;
export type ProxyConfig = Infer<typeof proxyConfig>;
export type MeshConfig = Infer<typeof meshConfig>;

const proxyDefaults = {
  concurrency: null,
  discoveryAddress: 'istiod.istio-system.svc:15012',
  drainDuration: '45s',
  holdApplicationUntilProxyStarts: false,
  proxyAdminPort: 15_000,
  proxyMetadata: {},
  serviceCluster: 'istio-proxy',
  statNameLength: 189,
  statusPort: 15_020,
  terminationDrainDuration: '5s',
} satisfies ProxyConfig;

const meshDefaults = {
  accessLogEncoding: 'TEXT',
  accessLogFile: '',
  accessLogFormat: '',
  connectTimeout: '10s',
  defaultHttpRetryPolicy: { attempts: 2, retryOn: 'connect-failure,refused-stream,unavailable,cancelled,503' },
  discoverySelectors: [],
  dnsRefreshRate: '60s',
  enableAutoMtls: true,
  enablePrometheusMerge: true,
  enableTracing: true,
  ingressClass: 'istio',
  ingressControllerMode: 'STRICT',
  ingressSelector: 'ingressgateway',
  ingressService: 'istio-ingressgateway',
  localityLbSetting: { enabled: true },
  outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
  pathNormalization: { normalization: 'BASE' },
  protocolDetectionTimeout: '0s',
  proxyListenPort: 15_001,
  rootNamespace: 'istio-system',
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
} satisfies MeshConfig;

type Defaulted<T, D> = T & { [K in keyof D & keyof T]-?: NonNullable<T[K]> };

/** A ProxyConfig in which everything with a default in Istio is set; `concurrency` stays `null` for "from the CPU limit". */
export type ResolvedProxyConfig = Defaulted<ProxyConfig, Omit<typeof proxyDefaults, 'concurrency'>> & {
  concurrency: number | null;
};

/** A MeshConfig in which everything with a default in Istio is set. */
export type ResolvedMeshConfig = Defaulted<MeshConfig, typeof meshDefaults> & { defaultConfig: ResolvedProxyConfig };

/** Lays `given` over `base`; fields that are absent or `null` leave the base's value. */
function laidOver<B extends object>(base: B, given: object | undefined): B {
  const result = { ...base } as Record<string, unknown>;
  for (const [key, value] of Object.entries(given ?? {}))
    if (value !== undefined && value !== null) result[key] = value;
  return result as B;
}

/** Istio's defaults under what the user gave. */
export function resolveMeshConfig(given: MeshConfig = {}): ResolvedMeshConfig {
  return {
    ...laidOver(meshDefaults, given),
    defaultConfig: resolveProxyConfig(given.defaultConfig),
  } as ResolvedMeshConfig;
}

/** A workload's ProxyConfig: Istio's defaults, under the mesh's, under the workload's own; `proxyMetadata` is merged by key. */
export function resolveProxyConfig(...layers: Array<ProxyConfig | undefined>): ResolvedProxyConfig {
  let result = proxyDefaults as ResolvedProxyConfig;
  for (const layer of layers)
    result = { ...laidOver(result, layer), proxyMetadata: { ...result.proxyMetadata, ...layer?.proxyMetadata } };
  return result;
}
