/** What running control planes say about themselves on their port 15014, asked through the API server. */
import type { KubeClient } from '../kube/client.ts';
import { ApiError } from '../kube/error.ts';
import { type Pod, pods } from '../kube/object.ts';

const monitoringPort = 15_014;
const timeoutMs = 10_000;

/** One entry of `/debug/syncz`: what was last sent to a proxy and what it last took, as nonces. Istio's names. */
export interface SyncStatus {
  cluster_id?: string;
  proxy?: string;
  proxy_type?: string;
  istio_version?: string;
  cluster_sent?: string;
  cluster_acked?: string;
  listener_sent?: string;
  listener_acked?: string;
  route_sent?: string;
  route_acked?: string;
  endpoint_sent?: string;
  endpoint_acked?: string;
  extensionconfig_sent?: string;
  extensionconfig_acked?: string;
}

export interface ControlPlaneAnswer<T> {
  pod: string;
  revision: string;
  /** `null` when the pod did not answer; `problem` says why. */
  answer: T | null;
  problem: string | null;
}

/** Asks every running control-plane pod of a namespace for a path. */
export async function askControlPlanes<T>(
  kube: KubeClient,
  namespace: string,
  path: string,
  read: (body: string, pod: Pod) => T,
  signal?: AbortSignal,
): Promise<ControlPlaneAnswer<T>[]> {
  const { items } = await kube.list(pods, {
    namespace,
    labelSelector: 'app=istiod',
    fieldSelector: 'status.phase=Running',
    timeoutMs,
    signal,
  });
  return Promise.all(
    items.map(async (pod) => {
      const name = pod.metadata?.name ?? '';
      const revision = pod.metadata?.labels?.['istio.io/rev'] ?? 'default';
      try {
        const body = await kube.getFromPod(name, namespace, monitoringPort, path, { timeoutMs, signal });
        return { pod: name, revision, answer: read(body, pod), problem: null };
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof SyntaxError)) throw error;
        return { pod: name, revision, answer: null, problem: error.message };
      }
    }),
  );
}

export function readSyncStatus(body: string): SyncStatus[] {
  const list: unknown = JSON.parse(body);
  if (!Array.isArray(list)) throw new SyntaxError('/debug/syncz did not answer with a list');
  return list.filter((entry): entry is SyncStatus => typeof entry === 'object' && entry !== null);
}
