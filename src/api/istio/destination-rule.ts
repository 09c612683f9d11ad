/** DestinationRule (networking.istio.io): what applies to traffic once its destination is known. https://istio.io/latest/docs/reference/config/networking/destination-rule/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { duration, looseDuration } from '../schema/duration.ts';
import {
  array,
  double,
  enumOf,
  type Infer,
  int32,
  integer,
  map,
  nullable,
  object,
  required,
  ruled,
  uint32,
} from '../schema/schema.ts';
import {
  flag,
  type IstioStatus,
  labelMap,
  networkingKind,
  optionalFlag,
  port,
  portSelector,
  text,
  texts,
  workloadSelector,
} from './common.ts';
import { checkDestinationRule } from './rules/destination-rule-rules.ts';
import { checkTrafficPolicy } from './rules/traffic-policy-rules.ts';

export const connectionPool = object({
  http: object({
    h2UpgradePolicy: enumOf(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']),
    http1MaxPendingRequests: int32(),
    http2KeepAlive: object({ interval: duration(), timeout: duration() }),
    http2MaxRequests: int32(),
    idleTimeout: duration(),
    maxConcurrentStreams: int32(),
    maxRequestsPerConnection: int32(),
    maxRetries: int32(),
    useClientProtocol: flag,
  }),
  tcp: object({
    connectTimeout: duration(),
    idleTimeout: looseDuration(),
    maxConnectionDuration: duration(),
    maxConnections: int32(),
    tcpKeepalive: object({ interval: duration(), probes: uint32(), time: duration() }),
  }),
});

const consistentHash = object(
  {
    httpCookie: object({
      attributes: array(object({ name: required(text), value: text })),
      name: required(text),
      path: text,
      ttl: looseDuration(),
    }),
    httpHeaderName: text,
    httpQueryParameterName: text,
    maglev: object({ tableSize: integer({ minimum: 0 }) }),
    minimumRingSize: integer({ minimum: 0 }),
    ringHash: object({ minimumRingSize: integer({ minimum: 0 }) }),
    useSourceIp: flag,
  },
  {
    oneOf: [
      ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'],
      ['ringHash', 'maglev'],
    ],
  },
);

const localityFields = {
  enabled: optionalFlag,
  failover: array(object({ from: text, to: text })),
  failoverPriority: texts,
};

/** Also the mesh's (MeshConfig). */
export const localityLbSetting = object({
  distribute: array(object({ from: text, to: map(uint32()) })),
  ...localityFields,
});

const loadBalancer = object(
  {
    backendUtilization: object({
      errorUtilizationPenaltyPercent: uint32(),
      metricNamesForComputingUtilization: texts,
      weightExpirationPeriod: looseDuration(),
      weightStabilizationPeriod: looseDuration(),
      weightUpdatePeriod: looseDuration(),
    }),
    consistentHash,
    localityLbSetting,
    simple: enumOf(['UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST']),
    warmup: object({
      aggression: nullable(double({ minimum: 0 })),
      duration: required(duration()),
      minimumPercent: nullable(double({ minimum: 0, maximum: 100 })),
    }),
    warmupDurationSecs: duration(),
    zoneAwareLbSetting: object({
      ...localityFields,
      minClusterSize: nullable(uint32({ minimum: 1 })),
    }),
  },
  { oneOf: [['simple', 'consistentHash', 'backendUtilization']] },
);

const outlierDetection = object({
  baseEjectionTime: duration(),
  consecutive5xxErrors: nullable(uint32()),
  consecutiveErrors: int32(),
  consecutiveGatewayErrors: nullable(uint32()),
  consecutiveLocalOriginFailures: nullable(uint32()),
  interval: duration(),
  maxEjectionPercent: int32(),
  minHealthPercent: int32(),
  outlierDetectionHttpErrorCodes: array(integer({ minimum: 100, maximum: 599 })),
  splitExternalLocalOriginErrors: flag,
});

const tls = object({
  caCertificates: text,
  caCrl: text,
  clientCertificate: text,
  credentialName: text,
  insecureSkipVerify: optionalFlag,
  mode: enumOf(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']),
  privateKey: text,
  sni: text,
  subjectAltNames: texts,
});

const portTrafficPolicy = object({ connectionPool, loadBalancer, outlierDetection, port: portSelector, tls });

const trafficPolicy = object({
  connectionPool,
  loadBalancer,
  outlierDetection,
  portLevelSettings: array(portTrafficPolicy, { maxItems: 4096 }),
  proxyProtocol: object({ version: enumOf(['V1', 'V2']) }),
  retryBudget: object({
    budgetInterval: looseDuration(),
    minRetryConcurrency: uint32(),
    percent: nullable(double({ minimum: 0, maximum: 100 })),
  }),
  tls,
  tunnel: object({ protocol: text, targetHost: required(text), targetPort: required(port()) }),
});

const checkedTrafficPolicy = ruled(trafficPolicy, checkTrafficPolicy);

const subset = object({ labels: labelMap, name: required(text), trafficPolicy: checkedTrafficPolicy });

const spec = object({
  exportTo: texts,
  host: required(text),
  subsets: array(subset),
  trafficPolicy: checkedTrafficPolicy,
  workloadSelector,
});

export type ConnectionPoolSettings = Infer<typeof connectionPool>;
export type ConsistentHashLb = Infer<typeof consistentHash>;
export type LoadBalancerSettings = Infer<typeof loadBalancer>;
export type LocalityLbSetting = Infer<typeof localityLbSetting>;
export type OutlierDetection = Infer<typeof outlierDetection>;
export type ClientTlsSettings = Infer<typeof tls>;
export type PortTrafficPolicy = Infer<typeof portTrafficPolicy>;
export type TrafficPolicy = Infer<typeof trafficPolicy>;
export type Subset = Infer<typeof subset>;
export type DestinationRuleSpec = Infer<typeof spec>;
export type DestinationRule = KubeObject<'DestinationRule', DestinationRuleSpec, IstioStatus>;

export const destinationRule = networkingKind({
  kind: 'DestinationRule',
  plural: 'destinationrules',
  shortName: 'dr',
  columns: columns({ Host: '.spec.host' }),
  spec,
  rules: [checkDestinationRule],
});
