/**
 * What a cluster's controllers would make of a folder of manifests, worked out at once: a pod for each replica of a
 * Deployment, an address for each Service, an EndpointSlice behind it. Pure: the same manifests give the same plan.
 */
/** A manifest as it was read; only the fields that the plan looks at are named. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: unknown[];
  };
  // biome-ignore lint/suspicious/noExplicitAny: manifests of any kind pass through; each reader narrows what it uses
  spec?: any;
  [key: string]: unknown;
}

export interface PlannedPod {
  /** 1 upward; decides the address. */
  index: number;
  ip: string;
  pod: Manifest;
}

export interface Plan {
  pods: PlannedPod[];
  /** Every manifest that the control plane is to see: the folder's own, completed, and those made here. */
  manifests: Manifest[];
  /** Address of every Service by `name.namespace`, for the pods' hosts files. */
  addresses: Map<string, string>;
}

const maxPods = 200;

export interface Admission {
  /** The address of the pod with that index, from 1. */
  podAddress(index: number): string;
  /** What the webhook would do to each pod on its way in. */
  inject(pod: Manifest): Manifest;
}

export function plan(manifests: Manifest[], { podAddress, inject }: Admission): Plan {
  const placed = manifests.map((manifest) => inNamespace(manifest));
  const pods: PlannedPod[] = [];
  for (const deployment of placed.filter((m) => m.kind === 'Deployment')) {
    for (let replica = 0; replica < (deployment.spec.replicas ?? 1); replica++) {
      const index = pods.length + 1;
      if (index > maxPods)
        throw new Error(
          `the folder asks for more than ${maxPods} pods; lower the replicas of ${deployment.metadata.name}`,
        );
      const ip = podAddress(index);
      pods.push({ index, ip, pod: inject(podOf(deployment, replica, ip)) });
    }
  }
  const addresses = new Map<string, string>();
  const services = placed
    .filter((m) => m.kind === 'Service')
    .map((service, i) => {
      const clusterIP = service.spec.clusterIP ?? `10.78.${(i + 1) >> 8}.${(i + 1) & 255}`;
      if (clusterIP !== 'None') addresses.set(`${service.metadata.name}.${service.metadata.namespace}`, clusterIP);
      return { ...service, spec: { type: 'ClusterIP', ...service.spec, clusterIP, clusterIPs: [clusterIP] } };
    });
  const namespaces = new Set(
    placed.filter((m) => m.kind !== 'Namespace').map((m) => m.metadata.namespace ?? 'default'),
  );
  const named = new Set(placed.filter((m) => m.kind === 'Namespace').map((m) => m.metadata.name));
  return {
    pods,
    addresses,
    manifests: [
      ...[...namespaces]
        .filter((name) => !named.has(name))
        .map((name) => ({
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name, labels: { 'kubernetes.io/metadata.name': name, 'istio-injection': 'enabled' } },
        })),
      ...placed.filter((m) => m.kind !== 'Service' && m.kind !== 'Deployment'),
      ...services,
      ...pods.map(({ pod }) => pod),
      ...services.flatMap((service) => sliceOf(service, pods)),
    ],
  };
}

const clusterScoped = new Set([
  'Namespace',
  'IstioInstallation',
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
]);

function inNamespace(manifest: Manifest): Manifest {
  if (clusterScoped.has(manifest.kind) || manifest.metadata.namespace) return manifest;
  return { ...manifest, metadata: { ...manifest.metadata, namespace: 'default' } };
}

function podOf(deployment: Manifest, replica: number, ip: string): Manifest {
  const { template } = deployment.spec;
  const name = `${deployment.metadata.name}-${replica}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: deployment.metadata.namespace,
      uid: name,
      labels: template.metadata?.labels ?? {},
      annotations: template.metadata?.annotations ?? {},
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: deployment.metadata.name,
          uid: deployment.metadata.name,
          controller: true,
        },
      ],
    },
    spec: { serviceAccountName: 'default', nodeName: 'local', ...template.spec },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      hostIP: '127.0.0.1',
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

function selects(selector: Record<string, string> | undefined, labels: Record<string, string> | undefined): boolean {
  return selector !== undefined && Object.entries(selector).every(([key, value]) => labels?.[key] === value);
}

function sliceOf(service: Manifest, pods: PlannedPod[]): Manifest[] {
  const { namespace, name } = service.metadata;
  const chosen = pods.filter(
    ({ pod }) => pod.metadata.namespace === namespace && selects(service.spec.selector, pod.metadata.labels),
  );
  if (chosen.length === 0) return [];
  return [
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: service.spec.ports.map(
        (port: { name?: string; port: number; targetPort?: number | string; protocol?: string }) => ({
          name: port.name ?? '',
          port: targetPort(port, chosen[0].pod),
          protocol: port.protocol ?? 'TCP',
        }),
      ),
      endpoints: chosen.map(({ pod, ip }) => ({
        addresses: [ip],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: 'local',
        targetRef: { kind: 'Pod', name: pod.metadata.name, namespace, uid: pod.metadata.uid },
      })),
    },
  ];
}

function targetPort(port: { port: number; targetPort?: number | string }, pod: Manifest): number {
  if (typeof port.targetPort !== 'string') return port.targetPort ?? port.port;
  for (const container of pod.spec.containers)
    for (const candidate of container.ports ?? [])
      if (candidate.name === port.targetPort) return candidate.containerPort;
  throw new Error(`pod ${pod.metadata.name}: no container port is named "${port.targetPort}"`);
}
