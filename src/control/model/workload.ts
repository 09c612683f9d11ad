/** A pod as the mesh knows it. */
import type { NodeObject, PodObject } from './objects.ts';
import type { Labels } from './selector.ts';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export const nowhere: Locality = { region: '', zone: '', subzone: '' };

/** `region/zone/subzone`, as WorkloadEntries and the endpoints of ServiceEntries give it. */
export function localityNamed(text: string | undefined): Locality {
  if (!text) return nowhere;
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}

export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly ips: readonly string[];
  /** The Deployment or the like behind it. */
  readonly owner: string;
  /** True when its label says that a proxy of the mesh takes its traffic. */
  readonly meshed: boolean;
  readonly locality: Locality;
  /** The name of the Kubernetes node that it runs on. */
  readonly node: string;
  /** Named container ports. */
  readonly ports: Readonly<Record<string, number>>;
  /** Istio's endpoint metadata: `name;namespace;canonical name;canonical revision;cluster`. */
  readonly identity: string;
}

export function localityOf(node: NodeObject | undefined): Locality {
  const labels = node?.metadata.labels;
  if (!labels) return nowhere;
  return {
    region: labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  };
}

export function canonicalName(labels: Labels, fallback: string): string {
  return labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels.app ?? fallback;
}

export function canonicalRevision(labels: Labels): string {
  return (
    labels['service.istio.io/canonical-revision'] ?? labels['app.kubernetes.io/version'] ?? labels.version ?? 'latest'
  );
}

export function workloadOf(pod: PodObject, node: NodeObject | undefined, clusterId: string): Workload {
  const { name = '', namespace = '', labels = {} } = pod.metadata;
  const owner = ownerOf(pod);
  const ports: Record<string, number> = {};
  for (const container of pod.spec.containers ?? [])
    for (const port of container.ports ?? []) if (port.name) ports[port.name] ??= port.containerPort;
  return {
    name,
    namespace,
    labels,
    serviceAccount: pod.spec.serviceAccountName ?? 'default',
    ips: pod.status?.podIPs?.map(({ ip }) => ip) ?? (pod.status?.podIP ? [pod.status.podIP] : []),
    owner,
    meshed: labels['security.istio.io/tlsMode'] === 'istio',
    locality: localityOf(node),
    node: pod.spec.nodeName ?? '',
    ports,
    identity: [owner, namespace, canonicalName(labels, owner), canonicalRevision(labels), clusterId].join(';'),
  };
}

/** A ReplicaSet of a Deployment carries the Deployment's name and a hash; everything else is its own owner. */
function ownerOf(pod: PodObject): string {
  const owner =
    pod.metadata.ownerReferences?.find((reference) => reference.controller) ?? pod.metadata.ownerReferences?.[0];
  if (!owner) return pod.metadata.name ?? '';
  const hash = pod.metadata.labels?.['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`))
    return owner.name.slice(0, -hash.length - 1);
  if (owner.kind === 'Job') return owner.name.replace(/-\d{8,}$/, '');
  return owner.name;
}
