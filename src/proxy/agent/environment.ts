/** What a pod tells its proxy: environment, downward API files, flags (Istio's contract between injector and agent). */
import { readFileSync } from 'node:fs';
import { parseDurationMs } from '../../lib/duration.ts';
import { version } from '../../lib/version.ts';
import { type Interception, parseInterception } from '../net/interception.ts';

/** The parts of a ProxyConfig that this proxy reads; the rest travels as metadata. */
export interface ProxyConfig {
  discoveryAddress: string;
  concurrency: number | null;
  terminationDrainMs: number;
  drainMs: number;
  statusPort: number;
  adminPort: number;
  metadata: Readonly<Record<string, string>>;
  /** As given, for the control plane. */
  given: Record<string, unknown>;
}

export interface Environment {
  type: 'sidecar' | 'router';
  nodeId: string;
  /** Service cluster, for the node. */
  cluster: string;
  metadata: Record<string, unknown>;
  locality: { region: string; zone: string; subZone: string };
  proxyConfig: ProxyConfig;
  discovery: HostPort;
  ca: HostPort;
  /** Name that the control plane's certificate must carry, when it is not the host. */
  controlPlaneName: string | null;
  identity: string;
  podIp: string;
  tokenPath: string;
  rootsPath: string;
  certificateSeconds: number;
  readinessPort: number;
  metricsPort: number;
  appProbers: string;
  prometheus: string;
  exitOnZeroActiveConnections: boolean;
  minDrainMs: number;
  /** Null where iptables intercepts. */
  interception: Interception | null;
  /** Null where the application asks its resolvers itself. */
  dns: DnsSettings | null;
}

/** Where the application's DNS is answered (istio.io: "DNS Proxying"). */
export interface DnsSettings {
  /** `localhost` is loopback of each IP family that a resolver has. */
  at: HostPort;
  namespace: string;
  /** `shop.svc.cluster.local` */
  domain: string;
  resolvConfPath: string;
}

export interface HostPort {
  host: string;
  port: number;
}

export interface PodFiles {
  labels: string;
  annotations: string;
}

const podFolder = '/etc/istio/pod';
const tokenPath = '/var/run/secrets/tokens/istio-token';
const rootsPath = '/var/run/secrets/istio/root-cert.pem';
/** As Go reads a boolean (strconv.ParseBool). */
const isTrue = (text: unknown): boolean => /^(1|t|T|true|TRUE|True)$/.test(`${text}`);

const interceptionPath = '/etc/lateen/interception.json';

/**
 * A pod that is no container has its files below the folder LATEEN_POD_ROOT; /etc/lateen/interception.json, if it is there, then
 * takes the place of iptables. Throws an Error that names the variable or file that is wrong.
 */
export async function readEnvironment(
  args: { type: 'sidecar' | 'router'; domain: string | null },
  env: Readonly<Record<string, string | undefined>>,
  files: PodFiles = {
    labels: `${env.LATEEN_POD_ROOT ?? ''}${podFolder}/labels`,
    annotations: `${env.LATEEN_POD_ROOT ?? ''}${podFolder}/annotations`,
  },
): Promise<Environment> {
  const root = env.LATEEN_POD_ROOT ?? '';
  const podIp = env.INSTANCE_IP || '127.0.0.1';
  const podName = env.POD_NAME ?? '';
  const namespace = env.POD_NAMESPACE ?? '';
  const proxyConfig = await readProxyConfig(env.PROXY_CONFIG ?? '', env);
  const trustDomain = env.TRUST_DOMAIN || 'cluster.local';
  const interception = root === '' ? null : readInterception(`${root}${interceptionPath}`);
  const metadata = readMetadata(env, proxyConfig, files, podIp);
  // Without iptables no question comes here, so the control plane must not count on it.
  if (interception !== null) delete metadata.DNS_CAPTURE;
  const domain = args.domain ?? `${namespace}.svc.cluster.local`;
  const labels = (metadata.LABELS ?? {}) as Record<string, string>;
  const discovery = hostPort('PROXY_CONFIG discoveryAddress', proxyConfig.discoveryAddress);
  const durationOf = (name: string, fallbackMs: number) => (env[name] ? duration(name, env[name]) : fallbackMs);
  return {
    type: args.type,
    nodeId: `${args.type}~${podIp}~${podName}.${namespace}~${domain}`,
    cluster: serviceCluster(labels, metadata, namespace),
    metadata,
    locality: readLocality(labels['istio-locality'] ?? ''),
    proxyConfig,
    discovery,
    ca: env.CA_ADDR ? hostPort('CA_ADDR', env.CA_ADDR) : discovery,
    controlPlaneName: env.ISTIOD_SAN || null,
    identity: `spiffe://${trustDomain}/ns/${namespace || 'default'}/sa/${env.SERVICE_ACCOUNT || 'default'}`,
    podIp,
    tokenPath: `${root}${tokenPath}`,
    rootsPath: env.CA_ROOT_CA || `${root}${rootsPath}`,
    certificateSeconds: durationOf('SECRET_TTL', 24 * 3_600_000) / 1000,
    readinessPort: Number(env.ENVOY_STATUS_PORT || 15_021),
    metricsPort: Number(env.ENVOY_PROMETHEUS_PORT || 15_090),
    appProbers: env.ISTIO_KUBE_APP_PROBERS ?? '',
    prometheus: args.type === 'sidecar' ? (env.ISTIO_PROMETHEUS_ANNOTATIONS ?? '') : '',
    // A sidecar is told to end when its application has: waiting longer than its connections live would only hold up a Job.
    // A gateway goes on for the whole time, since load balancers learn of its end with a delay.
    exitOnZeroActiveConnections: env.EXIT_ON_ZERO_ACTIVE_CONNECTIONS
      ? env.EXIT_ON_ZERO_ACTIVE_CONNECTIONS === 'true'
      : args.type === 'sidecar',
    minDrainMs: env.EXIT_ON_ZERO_ACTIVE_CONNECTIONS === 'true' ? durationOf('MINIMUM_DRAIN_DURATION', 5000) : 0,
    interception,
    // Gateways have no application that asks (Istio).
    dns:
      args.type === 'sidecar' && isTrue(metadata.DNS_CAPTURE)
        ? {
            at: hostPort('DNS_PROXY_ADDR', env.DNS_PROXY_ADDR || 'localhost:15053'),
            namespace,
            domain,
            resolvConfPath: '/etc/resolv.conf',
          }
        : null,
  };
}

function readInterception(path: string): Interception | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  try {
    return parseInterception(text);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`);
  }
}

function duration(name: string, text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null || ms < 0) throw new Error(`${name}: ${JSON.stringify(text)} is no duration such as 45s`);
  return ms;
}

function hostPort(name: string, text: string): HostPort {
  const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text);
  if (!match || Number(match[2]) > 65_535) throw new Error(`${name}: ${JSON.stringify(text)} is not host:port`);
  return { host: match[1], port: Number(match[2]) };
}

async function readProxyConfig(text: string, env: Readonly<Record<string, string | undefined>>): Promise<ProxyConfig> {
  let given: unknown;
  try {
    given = text.trim() === '' ? {} : await parseYaml(text);
  } catch (error) {
    throw new Error(`PROXY_CONFIG: ${(error as Error).message}`);
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Error('PROXY_CONFIG: is no object');
  const config = given as Record<string, unknown>;
  const text_ = (name: string, fallback: string) => (typeof config[name] === 'string' ? config[name] : fallback);
  const number = (name: string, fallback: number) => (typeof config[name] === 'number' ? config[name] : fallback);
  const proxyMetadata = (config.proxyMetadata ?? {}) as Record<string, string>;
  return {
    discoveryAddress: text_('discoveryAddress', env.ISTIOD_ADDR || 'istiod.istio-system.svc:15012'),
    concurrency: typeof config.concurrency === 'number' ? config.concurrency : null,
    terminationDrainMs: duration('PROXY_CONFIG terminationDrainDuration', text_('terminationDrainDuration', '5s')),
    drainMs: duration('PROXY_CONFIG drainDuration', text_('drainDuration', '45s')),
    statusPort: number('statusPort', 15_020),
    adminPort: number('proxyAdminPort', 15_000),
    metadata: proxyMetadata,
    given: config,
  };
}

/** The injector writes JSON; the YAML parser is loaded for those who write by hand. */
async function parseYaml(text: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch {
    const { parse } = await import('yaml');
    return parse(text);
  }
}

/** ISTIO_META_NAME=value becomes NAME, ISTIO_METAJSON_* are objects laid over; then what Istio's agent adds. */
function readMetadata(
  env: Readonly<Record<string, string | undefined>>,
  proxyConfig: ProxyConfig,
  files: PodFiles,
  podIp: string,
): Record<string, unknown> {
  const metadata: Record<string, unknown> = {};
  let staticLabels: Record<string, string> = {};
  for (const [name, value] of [...Object.entries(proxyConfig.metadata), ...Object.entries(env)])
    if (name.startsWith('ISTIO_META_')) metadata[name.slice('ISTIO_META_'.length)] = value;
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('ISTIO_METAJSON_')) continue;
    try {
      const parsed = JSON.parse(value ?? '');
      if (name === 'ISTIO_METAJSON_LABELS') staticLabels = parsed;
      else Object.assign(metadata, parsed);
    } catch {
      throw new Error(`${name}: is no JSON object`);
    }
  }
  const { 'pod-template-hash': _, ...podLabels } = readDownward(files.labels);
  const annotations = readDownward(files.annotations);
  return {
    ...metadata,
    ISTIO_VERSION: version,
    INSTANCE_IPS: podIp,
    NAME: env.POD_NAME ?? '',
    NAMESPACE: env.POD_NAMESPACE ?? '',
    SERVICE_ACCOUNT: env.SERVICE_ACCOUNT ?? '',
    LABELS: { ...staticLabels, ...podLabels },
    ...(Object.keys(annotations).length > 0 && { ANNOTATIONS: annotations }),
    PROXY_CONFIG: proxyConfig.given,
  };
}

/** A file of the downward API: lines of `name="escaped value"`. Empty when there is none. */
export function readDownward(path: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return {};
  }
  const values: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const cut = line.indexOf('=');
    if (cut < 0) continue;
    try {
      values[line.slice(0, cut)] = JSON.parse(line.slice(cut + 1));
    } catch {
      values[line.slice(0, cut)] = line.slice(cut + 1).replace(/^"|"$/g, '');
    }
  }
  return values;
}

/** `region.zone.subzone` of the label `istio-locality`; slashes do as well. */
function readLocality(label: string): Environment['locality'] {
  const [region = '', zone = '', subZone = ''] = label.split(label.includes('/') ? '/' : '.');
  return { region, zone, subZone };
}

function serviceCluster(labels: Record<string, string>, metadata: Record<string, unknown>, namespace: string): string {
  const app = labels['service.istio.io/canonical-name'] || labels['app.kubernetes.io/name'] || labels.app;
  const name = app || (typeof metadata.WORKLOAD_NAME === 'string' ? metadata.WORKLOAD_NAME : '') || 'istio-proxy';
  return namespace ? `${name}.${namespace}` : name;
}
