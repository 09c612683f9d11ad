/** Pods for what files have as Deployments alone: what would run if they were applied. */
import type { ApiObject } from '../../kube/object.ts';

type Labels = Record<string, string>;

interface Workload extends ApiObject {
  spec?: {
    template?: {
      metadata?: { labels?: Labels; annotations?: Labels };
      spec?: { serviceAccountName?: string; containers?: object[] };
    };
  };
}

interface Service extends ApiObject {
  spec?: { selector?: Labels; ports?: Array<{ name?: string; port: number; targetPort?: number | string }> };
}

const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet'];

/** The objects, and pods with their endpoints where a workload has none. */
export function withPods(objects: readonly ApiObject[]): ApiObject[] {
  const made: ApiObject[] = [];
  const injected = new Set(
    objects.flatMap((object) =>
      object.kind === 'Namespace' && takesPart(object.metadata?.labels) ? (object.metadata?.name ?? '') : [],
    ),
  );
  const hasNamespaces = objects.some(({ kind }) => kind === 'Namespace');
  const pods = objects.filter(({ kind }) => kind === 'Pod');
  let next = 0;
  for (const object of objects) {
    if (!workloadKinds.includes(object.kind)) continue;
    const { spec } = object as Workload;
    const namespace = object.metadata?.namespace ?? 'default';
    const labels = spec?.template?.metadata?.labels ?? {};
    if (pods.some((pod) => pod.metadata?.namespace === namespace && covers(labels, pod.metadata?.labels ?? {})))
      continue;
    // Files without Namespaces are those of one that takes part.
    const meshed = (!hasNamespaces || injected.has(namespace)) && labels['sidecar.istio.io/inject'] !== 'false';
    next++;
    made.push({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: object.metadata?.name,
        namespace,
        labels: { ...labels, ...(meshed && { 'security.istio.io/tlsMode': 'istio' }) },
      },
      spec: {
        serviceAccountName: spec?.template?.spec?.serviceAccountName,
        containers: spec?.template?.spec?.containers ?? [],
      },
      status: { podIP: `10.255.${next >> 8}.${next & 255}`, phase: 'Running' },
    } as ApiObject);
  }
  const slices = objects.filter(({ kind }) => kind === 'EndpointSlice');
  for (const object of objects) {
    if (object.kind !== 'Service') continue;
    const { spec } = object as Service;
    const { name = '', namespace = 'default' } = object.metadata ?? {};
    if (
      slices.some(
        ({ metadata }) =>
          metadata?.namespace === namespace && metadata?.labels?.['kubernetes.io/service-name'] === name,
      )
    )
      continue;
    const selector = spec?.selector ?? {};
    const behind = [...pods, ...made].filter(
      (pod) =>
        Object.keys(selector).length > 0 &&
        pod.metadata?.namespace === namespace &&
        covers(selector, pod.metadata?.labels ?? {}),
    );
    made.push({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: (spec?.ports ?? []).map(({ name: own, port, targetPort }) => ({
        name: own ?? '',
        port: typeof targetPort === 'number' ? targetPort : port,
      })),
      endpoints: behind.flatMap((pod) => {
        const ip = (pod as { status?: { podIP?: string } }).status?.podIP;
        return ip ? { addresses: [ip], conditions: { ready: true } } : [];
      }),
    } as ApiObject);
  }
  return [...objects, ...made];
}

const takesPart = (labels: Labels | undefined): boolean =>
  labels?.['istio-injection'] === 'enabled' || labels?.['istio.io/rev'] !== undefined;

function covers(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}
