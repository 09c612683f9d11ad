/** The environment of the proxy container (Istio's injection template). */
import { isDeepStrictEqual } from 'node:util';
import type { ProxyConfig } from './config.ts';
import { applications, type ContainerPort, type EnvVar } from './pod.ts';
import type { TemplateFacts } from './template.ts';

export function environmentOf(facts: TemplateFacts, kind: 'sidecar' | 'router'): EnvVar[] {
  const { pod, namespace, workload, settings, config, environment } = facts;
  // A gateway's ports are those of its only container.
  const open = kind === 'router' ? pod.spec.containers : applications(pod.spec);
  const ports = open.flatMap((container) => container.ports ?? []);
  const network = networkOf(facts);
  const workloadName =
    (kind === 'sidecar' ? pod.metadata?.labels?.['service.istio.io/workload-name'] : '') || workload.name;
  const env: EnvVar[] = [];
  const set = (name: string, value: string) => env.push({ name, value });
  const field = (name: string, fieldPath: string) => env.push({ name, valueFrom: { fieldRef: { fieldPath } } });

  if ((config.mesh.inboundTrafficPolicy as { mode?: string } | undefined)?.mode === 'LOCALHOST')
    set('REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION', 'true');
  set('PILOT_CERT_PROVIDER', 'istiod');
  set('CA_ADDR', config.caAddress);
  field('POD_NAME', 'metadata.name');
  field('POD_NAMESPACE', 'metadata.namespace');
  field('INSTANCE_IP', 'status.podIP');
  field('SERVICE_ACCOUNT', 'spec.serviceAccountName');
  field('HOST_IP', 'status.hostIP');
  env.push({ name: 'ISTIO_CPU_LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } } });
  set('PROXY_CONFIG', JSON.stringify(withoutDefaults(settings.proxyConfig)));
  set('ISTIO_META_POD_PORTS', JSON.stringify(ports.map(portFields)));
  set(
    'ISTIO_META_APP_CONTAINERS',
    applications(pod.spec)
      .map(({ name }) => name)
      .join(','),
  );
  set('ISTIO_META_CLUSTER_ID', environment.ISTIO_META_CLUSTER_ID || config.clusterId);
  field('ISTIO_META_NODE_NAME', 'spec.nodeName');
  set('ISTIO_META_INTERCEPTION_MODE', kind === 'sidecar' ? settings.interceptionMode : 'REDIRECT');
  if (network) set('ISTIO_META_NETWORK', network);
  if (workloadName) set('ISTIO_META_WORKLOAD_NAME', workloadName);
  if (workload.name) {
    const owner = `${workload.apiVersion}/namespaces/${namespace || 'default'}/${workload.kind.toLowerCase()}s`;
    set('ISTIO_META_OWNER', `kubernetes://apis/${owner}/${workload.name}`);
  }
  if (settings.bootstrapOverride) set('ISTIO_BOOTSTRAP_OVERRIDE', '/etc/istio/custom-bootstrap/custom_bootstrap.json');
  set('ISTIO_META_MESH_ID', config.meshId);
  set('TRUST_DOMAIN', config.trustDomain);

  // Metadata and the webhook's path are the more specific and replace what the template says.
  const asked = { ...settings.proxyConfig.proxyMetadata, ...environment };
  for (const [name, value] of Object.entries(asked)) {
    const known = env.findIndex((variable) => variable.name === name);
    if (known < 0) set(name, value);
    else env[known] = { name, value };
  }
  return env;
}

/** The pod's own label wins over the webhook's path, and that over the installation's values. */
export function networkOf({ pod, config, environment }: TemplateFacts): string {
  return pod.metadata?.labels?.['topology.istio.io/network'] || environment.ISTIO_META_NETWORK || config.network;
}

/** In the order of Kubernetes' own type. */
function portFields({ name, hostPort, containerPort, protocol, hostIP }: ContainerPort): object {
  return { name, hostPort, containerPort, protocol, hostIP };
}

const proxyConfigDefaults: Readonly<ProxyConfig> = {
  discoveryAddress: 'istiod.istio-system.svc:15012',
  drainDuration: '45s',
  terminationDrainDuration: '5s',
  proxyAdminPort: 15_000,
  statusPort: 15_020,
  statNameLength: 189,
  serviceCluster: 'istio-proxy',
  concurrency: null,
  proxyMetadata: {},
};

/** Keeps pods small: what equals Istio's default is left out. */
function withoutDefaults(config: ProxyConfig): object {
  return Object.fromEntries(
    Object.entries(config).filter(([name, value]) => !isDeepStrictEqual(value, proxyConfigDefaults[name])),
  );
}
