import { performance } from 'node:perf_hooks';
import type { KubeClient, Selection } from '../src/kube/client.ts';
import type { ApiObject, Resource } from '../src/kube/object.ts';

/**
 * Watches the objects of a selection from now on. What it returns waits until `found` holds for one of them and gives the
 * time of that, by `performance.now()`: the resolution is the watch's, not the second of the objects' own times.
 * Throws after `timeoutMs` with what was not seen.
 */
export async function watchFor<T extends ApiObject>(
  client: KubeClient,
  of: Resource<T>,
  selection: Selection,
  found: (object: T, type: 'ADDED' | 'MODIFIED' | 'DELETED') => boolean,
  timeoutMs = 120_000,
): Promise<() => Promise<number>> {
  const { resourceVersion } = await client.list(of, selection);
  const changes = client.watch(of, {
    ...selection,
    resourceVersion,
    timeoutSeconds: Math.ceil(timeoutMs / 1000) + 30,
    stallMs: timeoutMs + 30_000,
    signal: AbortSignal.timeout(timeoutMs),
  });
  const seen = (async () => {
    const missing = `${of.plural} ${selection.labelSelector ?? selection.fieldSelector ?? ''}: not seen within ${timeoutMs} ms`;
    try {
      for await (const { type, object } of changes)
        if (type !== 'BOOKMARK' && found(object, type)) return performance.now();
    } catch (error) {
      throw new Error(missing, { cause: error });
    }
    throw new Error(missing);
  })();
  // Whoever waits for it gets the error.
  seen.catch(() => {});
  return () => seen;
}
