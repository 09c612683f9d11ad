/** Keeps ConfigMap `istio-ca-root-cert` in every namespace, as Istio's namespace controller does. One replica writes: the leader. */
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/error.ts';
import { Informer } from '../../kube/informer.ts';
import { type ConfigMap, configMaps, type Namespace, namespaces } from '../../kube/object.ts';
import { WorkQueue } from '../../kube/work-queue.ts';

export const rootConfigMap = 'istio-ca-root-cert';
const rootKey = 'root-cert.pem';

/** kube-system is not among them, as in Istio: node agents may live there. */
const skipped = new Set(['kube-public', 'kube-node-lease', 'local-path-storage']);

export interface RootDistributionOptions {
  client: KubeClient;
  /** PEM; read at each write. */
  roots(): string;
  onError(error: Error): void;
}

/** Writes, and repairs what others write, until `signal` aborts. */
export async function distributeRoot(options: RootDistributionOptions, signal: AbortSignal): Promise<void> {
  const { client, roots, onError } = options;
  const terminating = (namespace: Namespace) => namespace.status?.phase === 'Terminating';
  const spaces = new Informer(client, namespaces, { onError, project: terminating });
  const maps = new Informer(client, configMaps, {
    onError,
    fieldSelector: `metadata.name=${rootConfigMap}`,
    project: (map: ConfigMap) => map.data?.[rootKey],
  });
  const queue = new WorkQueue({
    concurrency: 4,
    onError: (_, error) => onError(error),
    process: async (namespace) => {
      if (spaces.get(namespace) !== false || skipped.has(namespace)) return undefined;
      const wanted = roots();
      if (maps.get(`${namespace}/${rootConfigMap}`) === wanted) return undefined;
      const metadata = { name: rootConfigMap, namespace, labels: { 'istio.io/config': 'true' } };
      const map = { apiVersion: 'v1' as const, kind: 'ConfigMap' as const, metadata, data: { [rootKey]: wanted } };
      try {
        await client.apply(configMaps, map, { fieldManager: 'lateen-control' });
      } catch (error) {
        // The namespace went away meanwhile.
        if (!isNotFound(error)) throw error;
      }
      return undefined;
    },
  });
  const namespaceOf = (key: string) => key.slice(0, key.indexOf('/'));
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  spaces.start();
  maps.start();
  await Promise.race([Promise.all([spaces.synced, maps.synced]), stopped]);
  const forNamespace = (_: unknown, key: string) => queue.add(key);
  const forMap = (key: string) => queue.add(namespaceOf(key));
  spaces.on({ add: forNamespace, update: (now, _, key) => forNamespace(now, key) });
  maps.on({ update: (_, __, key) => forMap(key), delete: (_, key) => forMap(key) });
  if (!signal.aborted) queue.start();
  await stopped;
  await Promise.all([queue.stop(), spaces.stop(), maps.stop()]);
}
