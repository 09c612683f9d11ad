/** IstioInstallation (lateen.dev): a control plane with its gateways, which the operator installs, upgrades, repairs and removes. */
import type { Kind } from '../kind.ts';
import { meshConfig } from '../mesh-config.ts';
import type { Condition, KubeObject } from '../meta.ts';
import {
  anyObject,
  anything,
  array,
  boolean,
  enumOf,
  type Infer,
  int32,
  integer,
  intOrString,
  map,
  object,
  required,
  type Schema,
  string,
} from '../schema/schema.ts';
import { checkInstallation } from './installation-rules.ts';

const text = string();
const labelMap = map(text);
const dnsLabel = () => string({ maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' });
const portNumber = () => int32({ minimum: 1, maximum: 65_535 });
const quantities = map(intOrString());

const envVar = object(
  { name: required(string({ minLength: 1 })), value: text, valueFrom: anything<Record<string, unknown>>() },
  { oneOf: [['value', 'valueFrom']] },
);

const toleration = object({
  effect: enumOf(['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
  key: text,
  operator: enumOf(['Exists', 'Equal']),
  tolerationSeconds: integer(),
  value: text,
});

const servicePort = object({
  name: required(string({ minLength: 1, maxLength: 63 })),
  nodePort: portNumber(),
  port: required(portNumber()),
  protocol: enumOf(['TCP', 'UDP']),
  targetPort: intOrString(),
});

const kubernetes = object({
  affinity: anything<Record<string, unknown>>(),
  env: array(envVar),
  hpa: object({
    maxReplicas: required(int32({ minimum: 1 })),
    minReplicas: int32({ minimum: 1 }),
    targetCpuUtilizationPercent: int32({ minimum: 1 }),
  }),
  imagePullPolicy: enumOf(['Always', 'IfNotPresent', 'Never']),
  nodeSelector: labelMap,
  podAnnotations: labelMap,
  podDisruptionBudget: object(
    { maxUnavailable: intOrString(), minAvailable: intOrString() },
    { oneOf: [['minAvailable', 'maxUnavailable']] },
  ),
  podLabels: labelMap,
  priorityClassName: text,
  replicas: int32({ minimum: 0 }),
  resources: object({ limits: quantities, requests: quantities }),
  service: object({
    annotations: labelMap,
    externalTrafficPolicy: enumOf(['Cluster', 'Local']),
    loadBalancerIP: text,
    loadBalancerSourceRanges: array(text),
    ports: array(servicePort, { listMapKeys: ['name'], minItems: 1 }),
    type: enumOf(['ClusterIP', 'NodePort', 'LoadBalancer']),
  }),
  tolerations: array(toleration),
  topologySpreadConstraints: array(anything<Record<string, unknown>>()),
});

const gateway = object({
  enabled: boolean(),
  k8s: kubernetes,
  labels: labelMap,
  name: required(dnsLabel()),
  namespace: dnsLabel(),
});

const spec = object({
  components: object({
    control: object({ enabled: boolean(), k8s: kubernetes }),
    egressGateways: array(gateway),
    ingressGateways: array(gateway),
  }),
  hub: text,
  imagePullSecrets: array(string({ minLength: 1 })),
  meshConfig,
  namespace: dnsLabel(),
  profile: enumOf(['default', 'demo', 'minimal', 'empty']),
  revision: dnsLabel(),
  tag: text,
  /** Istio's Helm values, as far as injection reads them: `global.proxy.resources` and the like. */
  values: anyObject(),
  version: text,
});

const state = enumOf(['Pending', 'Progressing', 'Ready', 'Degraded', 'Failed', 'Removing']);

const status = object({
  components: array(
    object({
      kind: required(text),
      message: text,
      name: required(text),
      namespace: text,
      readyReplicas: int32(),
      replicas: int32(),
      status: required(state),
    }),
  ),
  conditions: array(
    object({
      lastTransitionTime: required(string({ format: 'date-time' })),
      message: required(string({ maxLength: 32_768 })),
      observedGeneration: integer({ format: 'int64', minimum: 0 }),
      reason: required(string({ minLength: 1, maxLength: 1024 })),
      status: required(enumOf(['True', 'False', 'Unknown'])),
      type: required(string({ maxLength: 316 })),
    }) satisfies Schema<Condition>,
    { listMapKeys: ['type'] },
  ),
  message: text,
  observedGeneration: integer({ format: 'int64' }),
  revision: text,
  state,
  version: text,
});

export type KubernetesSettings = Infer<typeof kubernetes>;
export type InstallationServicePort = Infer<typeof servicePort>;
export type InstallationGateway = Infer<typeof gateway>;
export type InstallationProfile = NonNullable<IstioInstallationSpec['profile']>;
export type InstallationState = Infer<typeof state>;
export type ComponentStatus = NonNullable<IstioInstallationStatus['components']>[number];
export type IstioInstallationSpec = Infer<typeof spec>;
export type IstioInstallationStatus = Infer<typeof status>;
export type IstioInstallation = KubeObject<'IstioInstallation', IstioInstallationSpec, IstioInstallationStatus>;

export const istioInstallation: Kind<IstioInstallationSpec, IstioInstallationStatus> = {
  group: 'lateen.dev',
  stored: 0,
  versions: ['v1alpha1'],
  kind: 'IstioInstallation',
  plural: 'istioinstallations',
  shortNames: ['ii'],
  categories: ['lateen'],
  scope: 'Cluster',
  columns: [
    { name: 'Profile', type: 'string', jsonPath: '.spec.profile' },
    { name: 'Revision', type: 'string', jsonPath: '.status.revision' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'State', type: 'string', jsonPath: '.status.state' },
    { name: 'Version', type: 'string', jsonPath: '.status.version' },
    { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
  labels: { 'app.kubernetes.io/part-of': 'lateen' },
  annotations: {},
  specIsRequired: false,
  spec,
  status,
  rules: [checkInstallation],
};
