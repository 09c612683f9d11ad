/** What `lateen control` is told: flags and environment under the names that Istio's pilot-discovery has. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { parseDurationMs } from '../lib/duration.ts';

export interface ControlFlags {
  kubeconfig: string | undefined;
  context: string | undefined;
  namespace: string;
  podName: string;
  revision: string;
  clusterId: string;
  domain: string;
  logLevel: string;
  /** Ports; null is off. */
  securePort: number;
  plaintextPort: number | null;
  webhookPort: number;
  monitoringPorts: number[];
  defaultCertificateSeconds: number;
  maxCertificateSeconds: number;
}

export const usage = `usage: lateen control [flags]

  --kubeconfig FILE, --context NAME   the cluster; the pod's own unless told
  --namespace NAME                    where the control plane is; POD_NAMESPACE unless told
  --domain NAME                       the cluster's DNS domain (cluster.local)
  --clusterID NAME                    CLUSTER_ID unless told (Kubernetes)
  --secureGRPCAddr ADDR               discovery and CA over TLS (:15012)
  --grpcAddr ADDR                     discovery without TLS (off)
  --httpsAddr ADDR                    webhooks (:15017)
  --monitoringAddr ADDR               metrics, readiness, debug pages (:15014)
  --httpAddr ADDR                     the same once more (:8080)
  --log_output_level LEVEL            trace, debug, info, warn, error (info)

environment: REVISION, POD_NAME, POD_NAMESPACE, CLUSTER_ID, DEFAULT_WORKLOAD_CERT_TTL (24h), MAX_WORKLOAD_CERT_TTL (24h)
`;

/** Throws an error that names the flag at fault. */
export function readFlags(args: string[], env: NodeJS.ProcessEnv): ControlFlags {
  const { values } = parseArgs({
    args: args[0] === 'discovery' ? args.slice(1) : args,
    options: {
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      namespace: { type: 'string', default: env.POD_NAMESPACE ?? 'istio-system' },
      domain: { type: 'string', default: 'cluster.local' },
      clusterID: { type: 'string', default: env.CLUSTER_ID ?? 'Kubernetes' },
      secureGRPCAddr: { type: 'string', default: ':15012' },
      grpcAddr: { type: 'string', default: '' },
      httpsAddr: { type: 'string', default: ':15017' },
      monitoringAddr: { type: 'string', default: ':15014' },
      httpAddr: { type: 'string', default: ':8080' },
      log_output_level: { type: 'string', default: env.LOG_LEVEL ?? 'info' },
    },
  });
  const port = (flag: 'secureGRPCAddr' | 'grpcAddr' | 'httpsAddr' | 'monitoringAddr' | 'httpAddr') =>
    portOf(values[flag], `--${flag}`);
  const required = (flag: 'secureGRPCAddr' | 'httpsAddr') => {
    const found = port(flag);
    if (found === null) throw new Error(`--${flag}: a port is needed, e.g. :15012`);
    return found;
  };
  const seconds = (name: string) => {
    const ms = parseDurationMs(env[name] ?? '24h');
    if (ms === null || ms < 60_000) throw new Error(`${name}: "${env[name]}" is not a duration of a minute or more`);
    return Math.floor(ms / 1000);
  };
  const level = values.log_output_level.replace(/^default:/, '');
  if (!['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].includes(level))
    throw new Error(`--log_output_level: "${level}" is not one of trace, debug, info, warn, error`);
  return {
    kubeconfig: values.kubeconfig,
    context: values.context,
    namespace: values.namespace,
    podName: env.POD_NAME ?? hostname(),
    revision: env.REVISION || 'default',
    clusterId: values.clusterID,
    domain: values.domain,
    logLevel: level,
    securePort: required('secureGRPCAddr'),
    plaintextPort: port('grpcAddr'),
    webhookPort: required('httpsAddr'),
    monitoringPorts: [port('monitoringAddr'), port('httpAddr')].filter((each) => each !== null),
    defaultCertificateSeconds: seconds('DEFAULT_WORKLOAD_CERT_TTL'),
    maxCertificateSeconds: seconds('MAX_WORKLOAD_CERT_TTL'),
  };
}

/** `:15012` or `15012`; empty is off. */
function portOf(text: string, flag: string): number | null {
  if (text === '') return null;
  const match = /^:?(\d{1,5})$/.exec(text);
  const port = match ? Number(match[1]) : Number.NaN;
  if (!(port <= 65_535)) throw new Error(`${flag}: "${text}" is not of the form :PORT`);
  return port;
}
