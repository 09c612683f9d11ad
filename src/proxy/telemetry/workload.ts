/** Who a workload is, as Istio's metrics name it. Unknown parts are ''. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
}

export const unknownWorkload: Workload = {
  name: '',
  namespace: '',
  app: '',
  version: '',
  canonicalName: '',
  canonicalRevision: '',
  cluster: '',
};

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** From the node's metadata (WORKLOAD_NAME, NAMESPACE, LABELS, CLUSTER_ID); null when it names no workload. */
export function workloadOfNode(metadata: Record<string, unknown> | undefined): Workload | null {
  const name = text(metadata?.WORKLOAD_NAME);
  if (!metadata || !name) return null;
  const labels = (metadata.LABELS ?? {}) as Record<string, unknown>;
  const app = text(labels.app) || text(labels['app.kubernetes.io/name']);
  const version = text(labels.version) || text(labels['app.kubernetes.io/version']);
  return {
    name,
    namespace: text(metadata.NAMESPACE),
    app: text(labels.app),
    version: text(labels.version),
    canonicalName: text(labels['service.istio.io/canonical-name']) || app || name,
    canonicalRevision: text(labels['service.istio.io/canonical-revision']) || version || 'latest',
    cluster: text(metadata.CLUSTER_ID),
  };
}

/** From Istio's endpoint metadata: `name;namespace;canonical name;canonical revision;cluster`. */
export function workloadOfEndpoint(metadata: string): Workload {
  if (metadata === '') return unknownWorkload;
  const [name = '', namespace = '', canonicalName = '', canonicalRevision = '', cluster = ''] = metadata.split(';');
  return { name, namespace, app: canonicalName, version: canonicalRevision, canonicalName, canonicalRevision, cluster };
}

/** What a SPIFFE identity tells: the namespace. */
export function workloadOfPrincipal(principal: string): Workload {
  const namespace = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\//.exec(principal)?.[1];
  return namespace ? { ...unknownWorkload, namespace } : unknownWorkload;
}
