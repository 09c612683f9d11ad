/**
 * The annotations by which a pod sets up its own proxy, checked and laid over the injection values.
 * Reference: https://istio.io/latest/docs/reference/config/annotations/
 */
import { isIP } from 'node:net';
import { parse } from 'yaml';
import {
  checkProxyConfig,
  type InjectionConfig,
  InjectionConfigError,
  type InterceptionMode,
  overlaidProxyConfig,
  type ProxyConfig,
  type ResourceRequirements,
} from './config.ts';
import { InjectionError, type Volume } from './pod.ts';

/** One pod's proxy, everything decided. */
export interface ProxySettings {
  native: boolean;
  /** Rules are set by `istio-init`, otherwise by the proxy's container before the proxy. */
  initContainer: boolean;
  interceptionMode: InterceptionMode;
  proxyConfig: ProxyConfig;
  image: string;
  initImage: string;
  resources: ResourceRequirements;
  initResources: ResourceRequirements;
  logLevel: string;
  componentLogLevel: string;
  agentLogLevel: string;
  /** Port of the agent's health and merged metrics; 0 turns its probes off. */
  statusPort: number;
  readinessInitialDelaySeconds: number;
  readinessPeriodSeconds: number;
  readinessFailureThreshold: number;
  traffic: TrafficSettings;
  rewriteProbes: boolean;
  mergeMetrics: boolean;
  holdApplication: boolean;
  bindPrivilegedPorts: boolean;
  /** ConfigMap with a custom bootstrap. */
  bootstrapOverride: string | null;
  userVolumes: Volume[];
  userVolumeMounts: Array<{ [field: string]: unknown; name: string; mountPath: string }>;
}

/** Which traffic is intercepted; lists are comma-separated as `lateen iptables` takes them, `*` means all. */
export interface TrafficSettings {
  includeOutboundIPRanges: string;
  excludeOutboundIPRanges: string;
  includeInboundPorts: string;
  excludeInboundPorts: string;
  includeOutboundPorts: string;
  excludeOutboundPorts: string;
  excludeInterfaces: string;
  rerouteInterfaces: string;
}

type Annotations = Readonly<Record<string, string>>;
/** Null when fine, otherwise reads on from "must". */
type Rule = (value: string) => string | null;

const quantity: Rule = (value) =>
  /^\d*\.?\d+(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$/.test(value)
    ? null
    : 'be a quantity such as 100m or 128Mi';
const whole: Rule = (value) => (/^\d{1,10}$/.test(value) && Number(value) < 2 ** 31 ? null : 'be a whole number');
const port: Rule = (value) => (isPort(value) ? null : 'be a port, 0 to 65535');
const ports: Rule = (value) => (split(value).every(isPort) ? null : 'be ports with commas between');
const anyOrPorts: Rule = (value) => (value === '*' ? null : ports(value));
const ranges: Rule = (value) =>
  split(value).every(isRange) ? null : 'be IP ranges such as 10.0.0.0/8 with commas between';
const anyOrRanges: Rule = (value) => (value === '*' ? null : ranges(value));
const interfaces: Rule = (value) =>
  split(value).every((name) => /^[^\s/,]{1,15}$/.test(name)) ? null : 'be interface names with commas between';
const bool: Rule = (value) => (readFlag(value) === null ? 'be true or false' : null);
const image: Rule = (value) => (/^[\w.\-/:@]+$/.test(value) ? null : 'be an image reference');
const word: Rule = (value) => (/^[\w.:,\-=/]*$/.test(value) ? null : 'be log levels such as debug or misc:error');

const rules: Readonly<Record<string, Rule>> = {
  'sidecar.istio.io/interceptionMode': (value) =>
    ['REDIRECT', 'TPROXY', 'NONE'].includes(value) ? null : 'be REDIRECT, TPROXY or NONE',
  'sidecar.istio.io/nativeSidecar': bool,
  'lateen.dev/initContainer': bool,
  'sidecar.istio.io/rewriteAppHTTPProbers': bool,
  'sidecar.istio.io/capNetBindService': bool,
  'sidecar.istio.io/proxyImage': image,
  'sidecar.istio.io/proxyImageType': image,
  'sidecar.istio.io/proxyCPU': quantity,
  'sidecar.istio.io/proxyMemory': quantity,
  'sidecar.istio.io/proxyCPULimit': quantity,
  'sidecar.istio.io/proxyMemoryLimit': quantity,
  'sidecar.istio.io/logLevel': word,
  'sidecar.istio.io/componentLogLevel': word,
  'sidecar.istio.io/agentLogLevel': word,
  'status.sidecar.istio.io/port': port,
  'readiness.status.sidecar.istio.io/initialDelaySeconds': whole,
  'readiness.status.sidecar.istio.io/periodSeconds': whole,
  'readiness.status.sidecar.istio.io/failureThreshold': whole,
  'traffic.sidecar.istio.io/includeOutboundIPRanges': anyOrRanges,
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': ranges,
  'traffic.sidecar.istio.io/includeInboundPorts': anyOrPorts,
  'traffic.sidecar.istio.io/excludeInboundPorts': ports,
  'traffic.sidecar.istio.io/includeOutboundPorts': ports,
  'traffic.sidecar.istio.io/excludeOutboundPorts': ports,
  'traffic.sidecar.istio.io/excludeInterfaces': interfaces,
  'traffic.sidecar.istio.io/kubevirtInterfaces': interfaces,
  'istio.io/reroute-virtual-interfaces': interfaces,
  'prometheus.istio.io/merge-metrics': bool,
};

/** Throws `InjectionError` that names every annotation that does not hold. */
export function readSettings(annotations: Annotations, config: InjectionConfig): ProxySettings {
  const problems: string[] = [];
  for (const [name, rule] of Object.entries(rules)) {
    const value = annotations[name];
    const problem = value === undefined ? null : rule(value);
    if (problem) problems.push(`annotation ${name} must ${problem}, is ${JSON.stringify(value)}`);
  }
  if (problems.length > 0) throw new InjectionError(problems.join('; '));

  const { proxy } = config;
  const text = (name: string, otherwise: string) => annotations[name] ?? otherwise;
  const flag = (name: string, otherwise: boolean) => readFlag(annotations[name]) ?? otherwise;
  const whole = (name: string, otherwise: number) => (annotations[name] ? Number(annotations[name]) : otherwise);

  const annotated = overlayProxyConfig(config.mesh.defaultConfig, annotations['proxy.istio.io/config']);
  const overlaid = config.workloadConfig ? overlaidProxyConfig(annotated, config.workloadConfig) : annotated;
  const statusPort = whole('status.sidecar.istio.io/port', overlaid.statusPort ?? proxy.statusPort);
  // The agent listens where the probes will ask.
  const proxyConfig = statusPort === (overlaid.statusPort ?? 15_020) ? overlaid : { ...overlaid, statusPort };
  const imageType = annotations['sidecar.istio.io/proxyImageType'];
  return {
    native: flag('sidecar.istio.io/nativeSidecar', config.nativeSidecars),
    initContainer: flag('lateen.dev/initContainer', config.initContainer),
    interceptionMode: (annotations['sidecar.istio.io/interceptionMode'] ??
      proxyConfig.interceptionMode ??
      'REDIRECT') as InterceptionMode,
    proxyConfig,
    image: imageOf(
      text('sidecar.istio.io/proxyImage', proxy.image),
      proxy.image,
      imageType ?? proxyConfig.image?.imageType ?? config.variant,
      config,
    ),
    initImage: imageOf(
      text('sidecar.istio.io/proxyImage', config.initImage),
      config.initImage,
      imageType ?? config.variant,
      config,
    ),
    resources: resourcesOf(annotations, proxy.resources),
    initResources: resourcesOf(annotations, config.initResources),
    logLevel: text('sidecar.istio.io/logLevel', proxy.logLevel),
    componentLogLevel: text('sidecar.istio.io/componentLogLevel', proxy.componentLogLevel),
    agentLogLevel: text('sidecar.istio.io/agentLogLevel', config.agentLogLevel),
    statusPort,
    readinessInitialDelaySeconds: whole(
      'readiness.status.sidecar.istio.io/initialDelaySeconds',
      proxy.readinessInitialDelaySeconds,
    ),
    readinessPeriodSeconds: whole('readiness.status.sidecar.istio.io/periodSeconds', proxy.readinessPeriodSeconds),
    readinessFailureThreshold: whole(
      'readiness.status.sidecar.istio.io/failureThreshold',
      proxy.readinessFailureThreshold,
    ),
    traffic: {
      includeOutboundIPRanges: text('traffic.sidecar.istio.io/includeOutboundIPRanges', proxy.includeIPRanges),
      excludeOutboundIPRanges: text('traffic.sidecar.istio.io/excludeOutboundIPRanges', proxy.excludeIPRanges),
      includeInboundPorts: text('traffic.sidecar.istio.io/includeInboundPorts', proxy.includeInboundPorts),
      excludeInboundPorts: withPort(
        text('traffic.sidecar.istio.io/excludeInboundPorts', proxy.excludeInboundPorts),
        statusPort,
      ),
      includeOutboundPorts: text('traffic.sidecar.istio.io/includeOutboundPorts', proxy.includeOutboundPorts),
      excludeOutboundPorts: text('traffic.sidecar.istio.io/excludeOutboundPorts', proxy.excludeOutboundPorts),
      excludeInterfaces: text('traffic.sidecar.istio.io/excludeInterfaces', ''),
      rerouteInterfaces: text(
        'istio.io/reroute-virtual-interfaces',
        text('traffic.sidecar.istio.io/kubevirtInterfaces', ''),
      ),
    },
    rewriteProbes: flag('sidecar.istio.io/rewriteAppHTTPProbers', config.rewriteAppHTTPProbe),
    mergeMetrics: flag('prometheus.istio.io/merge-metrics', config.mesh.enablePrometheusMerge ?? true),
    holdApplication: proxyConfig.holdApplicationUntilProxyStarts ?? proxy.holdApplicationUntilProxyStarts,
    bindPrivilegedPorts: flag('sidecar.istio.io/capNetBindService', false),
    bootstrapOverride: annotations['sidecar.istio.io/bootstrapOverride'] ?? null,
    userVolumes: named(annotations, 'sidecar.istio.io/userVolume', []),
    userVolumeMounts: named(annotations, 'sidecar.istio.io/userVolumeMount', ['mountPath']) as never,
  };
}

/** The pod's `proxy.istio.io/config` over the mesh's default. */
function overlayProxyConfig(base: ProxyConfig, text: string | undefined): ProxyConfig {
  if (text === undefined) return base;
  const where = 'annotation proxy.istio.io/config';
  let overlay: unknown;
  try {
    overlay = parse(text, { logLevel: 'error' }) ?? {};
  } catch (error) {
    throw new InjectionError(`${where} must be YAML: ${(error as Error).message}`);
  }
  if (typeof overlay !== 'object' || overlay === null || Array.isArray(overlay))
    throw new InjectionError(`${where} must be a mapping`);
  try {
    checkProxyConfig(overlay as ProxyConfig, where);
  } catch (error) {
    if (error instanceof InjectionConfigError) throw new InjectionError(error.message);
    throw error;
  }
  return overlaidProxyConfig(base, overlay as ProxyConfig);
}

/** Requests and limits come wholly from the annotations as soon as one is there (Istio's template `resources`). */
function resourcesOf(annotations: Annotations, otherwise: ResourceRequirements): ResourceRequirements {
  const kinds = [
    ['requests', 'sidecar.istio.io/proxyCPU', 'sidecar.istio.io/proxyMemory'],
    ['limits', 'sidecar.istio.io/proxyCPULimit', 'sidecar.istio.io/proxyMemoryLimit'],
  ] as const;
  const found: ResourceRequirements = {};
  for (const [kind, cpu, memory] of kinds) {
    const amounts: Record<string, string> = {};
    if (annotations[cpu] !== undefined) amounts.cpu = annotations[cpu];
    if (annotations[memory] !== undefined) amounts.memory = annotations[memory];
    if (Object.keys(amounts).length > 0) found[kind] = amounts;
  }
  return Object.keys(found).length > 0 ? found : otherwise;
}

/** `registry/name:tag` is taken as it is; a bare name is an image of the installation's hub and tag. */
function imageOf(asked: string, name: string, type: string, { hub, tag }: InjectionConfig): string {
  if (asked.includes('/')) return asked;
  const plainTag = type === '' ? tag : tag.replace(/-(distroless|debug)$/, '');
  return `${hub}/${name.includes('/') ? asked : name}:${plainTag}${type === '' || type === 'default' ? '' : `-${type}`}`;
}

function withPort(list: string, port: number): string {
  const found = split(list);
  return port === 0 || found.includes(String(port)) ? list : [...found, port].join(',');
}

/** `{"name": {…}, …}` in JSON → a list of objects with a name. */
function named(annotations: Annotations, annotation: string, required: string[]): Volume[] {
  const text = annotations[annotation];
  if (text === undefined) return [];
  const where = `annotation ${annotation}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InjectionError(`${where} must be JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null) throw new InjectionError(`${where} must be a mapping`);
  const entries: Array<[string, unknown]> = Array.isArray(value)
    ? value.map((item) => [String((item as { name?: unknown } | null)?.name ?? ''), item])
    : Object.entries(value);
  return entries.map(([name, item]) => {
    if (name === '' || typeof item !== 'object' || item === null || Array.isArray(item))
      throw new InjectionError(`${where} must map names to objects`);
    for (const field of required)
      if (typeof (item as Record<string, unknown>)[field] !== 'string')
        throw new InjectionError(`${where}: ${name}.${field} must be text`);
    return { ...item, name };
  });
}

function split(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

function isRange(text: string): boolean {
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address);
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(bits ?? '') && Number(bits) <= (family === 4 ? 32 : 128);
}

/** Go's `strconv.ParseBool`. */
export function readFlag(text: string | undefined): boolean | null {
  if (text === undefined) return null;
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  return null;
}
