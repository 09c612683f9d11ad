/**
 * What the injector is told: the mesh configuration (ConfigMap `istio`, key `mesh`) and the injection values
 * (ConfigMap `istio-sidecar-injector`, keys `values` and `config`), with Istio's names, shapes and defaults
 * (Istio: manifests/charts/istio-control/istio-discovery/values.yaml and the `injector` ConfigMap template).
 */
import { parse } from 'yaml';
import type { LabelSelector } from './selector.ts';

export type InterceptionMode = 'REDIRECT' | 'TPROXY' | 'NONE';

/** Istio's `ProxyConfig` in JSON; what is not read here passes through to the proxy. */
export interface ProxyConfig {
  [field: string]: unknown;
  /** `host:port` of the control plane. */
  discoveryAddress?: string;
  interceptionMode?: InterceptionMode;
  holdApplicationUntilProxyStarts?: boolean;
  /** Port of the agent's health and merged metrics; 15020 unless told. */
  statusPort?: number;
  /** Becomes environment of the proxy container. */
  proxyMetadata?: Record<string, string>;
  image?: { imageType?: string };
}

/** Istio's `MeshConfig` in JSON, as far as injection reads it. */
export interface MeshConfig {
  [field: string]: unknown;
  trustDomain?: string;
  defaultConfig?: ProxyConfig;
  enablePrometheusMerge?: boolean;
  proxyListenPort?: number;
  proxyInboundListenPort?: number;
}

export interface ResourceRequirements {
  requests?: Record<string, string>;
  limits?: Record<string, string>;
}

/** Key `values` of ConfigMap `istio-sidecar-injector`: Istio's Helm values, as far as injection reads them. Each field may be left out. */
export interface InjectionValues {
  /** Empty or `default` for the unnamed revision. */
  revision?: string;
  global?: {
    hub?: string;
    tag?: string;
    variant?: string;
    imagePullPolicy?: string;
    imagePullSecrets?: string[];
    istioNamespace?: string;
    meshID?: string;
    network?: string;
    trustDomain?: string;
    /** `host:port` of the certificate authority; the control plane unless told. */
    caAddress?: string;
    multiCluster?: { clusterName?: string };
    sds?: { token?: { aud?: string } };
    logging?: { level?: string };
    logAsJson?: boolean;
    proxy?: {
      image?: string;
      clusterDomain?: string;
      privileged?: boolean;
      resources?: ResourceRequirements;
      logLevel?: string;
      componentLogLevel?: string;
      includeIPRanges?: string;
      excludeIPRanges?: string;
      includeInboundPorts?: string;
      excludeInboundPorts?: string;
      includeOutboundPorts?: string;
      excludeOutboundPorts?: string;
      statusPort?: number;
      readinessInitialDelaySeconds?: number;
      readinessPeriodSeconds?: number;
      readinessFailureThreshold?: number;
      startupProbe?: { enabled?: boolean; failureThreshold?: number };
      holdApplicationUntilProxyStarts?: boolean;
      lifecycle?: object;
      seccompProfile?: object;
    };
    proxy_init?: { image?: string; resources?: ResourceRequirements };
  };
  sidecarInjectorWebhook?: {
    rewriteAppHTTPProbe?: boolean;
    neverInjectSelector?: LabelSelector[];
    alwaysInjectSelector?: LabelSelector[];
    injectedAnnotations?: Record<string, string>;
    defaultTemplates?: string[];
    /** YAML or JSON of a partial pod by name, merged over the pod; Go template actions are refused. */
    templates?: Record<string, string>;
    aliases?: Record<string, string[]>;
    /** `enabled` injects unless a label says otherwise, `disabled` only where one asks. */
    policy?: 'enabled' | 'disabled';
    /** Sidecar as a restartable init container; true unless told. */
    nativeSidecars?: boolean;
    /** Rules set by an init container of their own, as Istio does, instead of by the native sidecar when it starts; false unless told. */
    initContainer?: boolean;
  };
}

export interface InjectionConfig {
  revision: string;
  istioNamespace: string;
  policy: 'enabled' | 'disabled';
  neverInjectSelector: LabelSelector[];
  alwaysInjectSelector: LabelSelector[];
  injectedAnnotations: Record<string, string>;
  defaultTemplates: string[];
  templates: Record<string, object>;
  aliases: Record<string, string[]>;
  nativeSidecars: boolean;
  initContainer: boolean;
  rewriteAppHTTPProbe: boolean;
  hub: string;
  tag: string;
  variant: string;
  imagePullPolicy: string;
  imagePullSecrets: string[];
  clusterId: string;
  network: string;
  meshId: string;
  trustDomain: string;
  /** `host:port` */
  caAddress: string;
  tokenAudience: string;
  agentLogLevel: string;
  logAsJson: boolean;
  initImage: string;
  initResources: ResourceRequirements;
  proxy: ProxyValues;
  mesh: MeshConfig & { defaultConfig: ProxyConfig };
  /** Of the pod that is asked about, over its annotation `proxy.istio.io/config`. */
  workloadConfig?: ProxyConfig;
}

/** `proxyMetadata` merges, every other field is replaced. */
export function overlaidProxyConfig(base: ProxyConfig, own: ProxyConfig): ProxyConfig {
  const proxyMetadata = { ...base.proxyMetadata, ...own.proxyMetadata };
  return { ...base, ...own, ...(Object.keys(proxyMetadata).length > 0 ? { proxyMetadata } : {}) };
}

/** `global.proxy` with every default filled in. */
export interface ProxyValues {
  image: string;
  clusterDomain: string;
  privileged: boolean;
  resources: ResourceRequirements;
  logLevel: string;
  componentLogLevel: string;
  includeIPRanges: string;
  excludeIPRanges: string;
  includeInboundPorts: string;
  excludeInboundPorts: string;
  includeOutboundPorts: string;
  excludeOutboundPorts: string;
  statusPort: number;
  readinessInitialDelaySeconds: number;
  readinessPeriodSeconds: number;
  readinessFailureThreshold: number;
  startupProbe: { enabled: boolean; failureThreshold: number };
  holdApplicationUntilProxyStarts: boolean;
  lifecycle: object | null;
  seccompProfile: object | null;
}

/** The texts of the two ConfigMaps; an absent key means defaults. */
export interface InjectionSources {
  /** `istio`, key `mesh`: YAML. */
  mesh?: string;
  /** `istio-sidecar-injector`, key `values`: JSON or YAML. */
  values?: string;
  /** `istio-sidecar-injector`, key `config`: YAML of Istio's injector configuration (policy, selectors, templates), over `values`. */
  config?: string;
  /** Where the control plane runs; `istio-system` unless told. */
  namespace?: string;
  revision?: string;
}

export class InjectionConfigError extends Error {
  override name = 'InjectionConfigError';
}

/** Reads the ConfigMaps' texts. Throws `InjectionConfigError` that names the key and the field. */
export function parseInjectionConfig(sources: InjectionSources = {}): InjectionConfig {
  const mesh = new Fields('istio/mesh', document('ConfigMap istio, key mesh', sources.mesh));
  const values = new Fields('values', document('ConfigMap istio-sidecar-injector, key values', sources.values));
  const injector = new Fields('config', document('ConfigMap istio-sidecar-injector, key config', sources.config));
  const webhook = values.at('sidecarInjectorWebhook');
  const global = values.at('global');
  const proxy = global.at('proxy');
  const init = global.at('proxy_init');
  const startup = proxy.at('startupProbe');

  const revision = sources.revision || values.text('revision', '') || 'default';
  const istioNamespace = global.text('istioNamespace', sources.namespace ?? 'istio-system');
  const trustDomain = mesh.text('trustDomain', '') || global.text('trustDomain', 'cluster.local');
  const image = proxy.text('image', 'lateen');
  const resources = proxy.resources({
    requests: { cpu: '100m', memory: '128Mi' },
    limits: { cpu: '2000m', memory: '1024Mi' },
  });
  const discovery = `istiod${revision === 'default' ? '' : `-${revision}`}.${istioNamespace}.svc:15012`;
  const defaultConfig: ProxyConfig = { discoveryAddress: discovery, ...mesh.at('defaultConfig').record };
  checkProxyConfig(defaultConfig, 'ConfigMap istio, key mesh: defaultConfig');

  return {
    revision,
    istioNamespace,
    policy: injector.has('policy') ? injector.policy() : webhook.policy(),
    neverInjectSelector: selectors(injector, webhook, 'neverInjectSelector'),
    alwaysInjectSelector: selectors(injector, webhook, 'alwaysInjectSelector'),
    injectedAnnotations: { ...webhook.texts('injectedAnnotations'), ...injector.texts('injectedAnnotations') },
    defaultTemplates: nonEmpty(injector.list('defaultTemplates')) ??
      nonEmpty(webhook.list('defaultTemplates')) ?? ['sidecar'],
    templates: { ...webhook.overlays(), ...injector.overlays() },
    aliases: { ...webhook.lists('aliases'), ...injector.lists('aliases') },
    nativeSidecars: webhook.flag('nativeSidecars', true),
    initContainer: webhook.flag('initContainer', false),
    rewriteAppHTTPProbe: webhook.flag('rewriteAppHTTPProbe', true),
    hub: global.text('hub', 'docker.io/lateen'),
    tag: global.text('tag', '0.1.0'),
    variant: global.text('variant', ''),
    imagePullPolicy: global.text('imagePullPolicy', 'IfNotPresent'),
    imagePullSecrets: global.list('imagePullSecrets'),
    clusterId: global.at('multiCluster').text('clusterName', '') || 'Kubernetes',
    network: global.text('network', ''),
    meshId: global.text('meshID', '') || trustDomain,
    trustDomain,
    caAddress: global.text('caAddress', '') || discovery,
    tokenAudience: global.at('sds').at('token').text('aud', 'istio-ca'),
    agentLogLevel: global.at('logging').text('level', 'default:info'),
    logAsJson: global.flag('logAsJson', false),
    initImage: init.text('image', image),
    initResources: init.has('resources') ? init.resources({}) : resources,
    proxy: {
      image,
      clusterDomain: proxy.text('clusterDomain', 'cluster.local'),
      privileged: proxy.flag('privileged', false),
      resources,
      logLevel: proxy.text('logLevel', 'warning'),
      componentLogLevel: proxy.text('componentLogLevel', 'misc:error'),
      includeIPRanges: proxy.text('includeIPRanges', '*'),
      excludeIPRanges: proxy.text('excludeIPRanges', ''),
      includeInboundPorts: proxy.text('includeInboundPorts', '*'),
      excludeInboundPorts: proxy.text('excludeInboundPorts', ''),
      includeOutboundPorts: proxy.text('includeOutboundPorts', ''),
      excludeOutboundPorts: proxy.text('excludeOutboundPorts', ''),
      statusPort: proxy.integer('statusPort', defaultConfig.statusPort ?? 15020),
      readinessInitialDelaySeconds: proxy.integer('readinessInitialDelaySeconds', 0),
      readinessPeriodSeconds: proxy.integer('readinessPeriodSeconds', 15),
      readinessFailureThreshold: proxy.integer('readinessFailureThreshold', 4),
      startupProbe: {
        enabled: startup.flag('enabled', true),
        failureThreshold: startup.integer('failureThreshold', 600),
      },
      holdApplicationUntilProxyStarts: proxy.flag('holdApplicationUntilProxyStarts', false),
      lifecycle: proxy.object('lifecycle'),
      seccompProfile: proxy.object('seccompProfile'),
    },
    mesh: { ...mesh.record, defaultConfig },
  };
}

const interceptionModes: readonly unknown[] = ['REDIRECT', 'TPROXY', 'NONE'];

/** Checks the fields of a `ProxyConfig` that injection reads; `where` begins the error's message. */
export function checkProxyConfig(config: ProxyConfig, where: string): void {
  const fields = new Fields(where, config);
  fields.text('discoveryAddress', '');
  fields.integer('statusPort', 15020);
  fields.flag('holdApplicationUntilProxyStarts', false);
  fields.texts('proxyMetadata');
  fields.at('image').text('imageType', '');
  if (config.interceptionMode !== undefined && !interceptionModes.includes(config.interceptionMode))
    fields.fail('interceptionMode', 'must be REDIRECT, TPROXY or NONE');
}

function nonEmpty(list: string[]): string[] | undefined {
  return list.length > 0 ? list : undefined;
}

function selectors(injector: Fields, webhook: Fields, name: string): LabelSelector[] {
  return [...injector.selectors(name), ...webhook.selectors(name)];
}

function document(where: string, text: string | undefined): object {
  let value: unknown;
  try {
    value = parse(text ?? '', { logLevel: 'error' });
  } catch (error) {
    throw new InjectionConfigError(`${where}: is not valid YAML: ${(error as Error).message}`);
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw new InjectionConfigError(`${where}: must be a mapping, is ${JSON.stringify(value)}`);
  return value;
}

/** Reads typed fields out of an untyped mapping; null counts as absent, as in Helm values. */
class Fields {
  readonly record: Record<string, unknown>;
  private readonly path: string;

  constructor(path: string, record: object) {
    this.path = path;
    this.record = record as Record<string, unknown>;
  }

  fail(name: string, problem: string): never {
    const shown = JSON.stringify(this.record[name]) ?? 'nothing';
    throw new InjectionConfigError(
      `${this.path}.${name} ${problem}, is ${shown.length > 80 ? `${shown.slice(0, 77)}…` : shown}`,
    );
  }

  has(name: string): boolean {
    return Object.hasOwn(this.record, name) && this.record[name] !== null && this.record[name] !== undefined;
  }

  object(name: string): object | null {
    if (!this.has(name)) return null;
    const value = this.record[name];
    return typeof value === 'object' && !Array.isArray(value) ? value : this.fail(name, 'must be a mapping');
  }

  at(name: string): Fields {
    return new Fields(`${this.path}.${name}`, this.object(name) ?? {});
  }

  /** Numbers are taken as text: YAML reads a tag such as `1.32` as one. */
  text(name: string, otherwise: string): string {
    if (!this.has(name)) return otherwise;
    const value = this.record[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : this.fail(name, 'must be text');
  }

  flag(name: string, otherwise: boolean): boolean {
    if (!this.has(name)) return otherwise;
    const value = this.record[name];
    if (value === 'true' || value === 'false') return value === 'true';
    return typeof value === 'boolean' ? value : this.fail(name, 'must be true or false');
  }

  integer(name: string, otherwise: number): number {
    if (!this.has(name)) return otherwise;
    const value = Number(this.record[name]);
    return Number.isInteger(value) && value >= 0 ? value : this.fail(name, 'must be a whole number');
  }

  list(name: string): string[] {
    if (!this.has(name)) return [];
    const value = this.record[name];
    return Array.isArray(value) && value.every((item) => typeof item === 'string')
      ? value
      : this.fail(name, 'must be a list of texts');
  }

  texts(name: string): Record<string, string> {
    const entries = Object.entries(this.object(name) ?? {});
    if (entries.some(([, value]) => value !== null && typeof value === 'object'))
      this.fail(name, 'must map text to text');
    return Object.fromEntries(entries.map(([key, value]) => [key, String(value ?? '')]));
  }

  lists(name: string): Record<string, string[]> {
    const inner = this.at(name);
    return Object.fromEntries(Object.keys(inner.record).map((key) => [key, inner.list(key)]));
  }

  policy(): 'enabled' | 'disabled' {
    const policy = this.text('policy', 'enabled');
    return policy === 'enabled' || policy === 'disabled' ? policy : this.fail('policy', 'must be enabled or disabled');
  }

  resources(otherwise: ResourceRequirements): ResourceRequirements {
    if (!this.has('resources')) return otherwise;
    const inner = this.at('resources');
    const found: ResourceRequirements = {};
    if (inner.has('requests')) found.requests = inner.texts('requests');
    if (inner.has('limits')) found.limits = inner.texts('limits');
    return found;
  }

  selectors(name: string): LabelSelector[] {
    if (!this.has(name)) return [];
    const value = this.record[name];
    return Array.isArray(value) && value.every((item) => item !== null && typeof item === 'object')
      ? (value as LabelSelector[])
      : this.fail(name, 'must be a list of label selectors');
  }

  overlays(): Record<string, object> {
    const found: Record<string, object> = {};
    for (const [name, text] of Object.entries(this.texts('templates'))) {
      if (text.includes('{{'))
        this.fail('templates', `must not hold Go template actions: template "${name}" does; write a plain partial pod`);
      found[name] = document(`${this.path}.templates["${name}"]`, text);
    }
    return found;
  }
}
