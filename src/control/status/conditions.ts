/**
 * Tells authors what the mesh makes of their resources: condition `Reconciled` in the status of each resource that cannot take effect
 * as written, and of each that could not and now can. A resource without problems is left alone. Only the leader writes.
 */

import { apiVersions } from '../../api/kind.ts';
import { kinds } from '../../api/kinds.ts';
import type { Condition } from '../../api/meta.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/error.ts';
import { type ApiObject, type Resource, resource } from '../../kube/object.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import type { Mesh } from '../serve/mesh.ts';
import type { Problem } from '../translate/problem.ts';

const conditionType = 'Reconciled';
/** Translations for all connected proxies come after a change; it is looked at when they are through. */
const defaultSettleMs = 1_000;
const maxMessageLength = 1_000;

interface StatusObject extends ApiObject {
  status?: { conditions?: Condition[] };
}

export interface ConditionOptions {
  client: KubeClient;
  mesh: Pick<Mesh, 'isReady' | 'findProblems' | 'onProblems'>;
  /** 1 s unless told. */
  settleMs?: number;
  onError(error: Error): void;
}

const resources = new Map<string, Resource<StatusObject>>(
  kinds
    .filter(({ group }) => group.endsWith('.istio.io'))
    .map((kind) => [kind.kind, resource<StatusObject>(apiVersions(kind)[0], kind.kind, kind.plural)]),
);

/** The condition that an object should carry, or null when what it has is right already. Pure. */
export function conditionFor(object: StatusObject, problems: readonly Problem[], now: string): Condition | null {
  const known = object.status?.conditions?.find(({ type }) => type === conditionType);
  const status = problems.length > 0 ? 'False' : 'True';
  if (!known && status === 'True') return null;
  const message = problems
    .map(({ path, message }) => `${path}: ${message}`)
    .sort()
    .join('; ')
    .slice(0, maxMessageLength);
  if (known?.status === status && known.message === message) return null;
  return {
    type: conditionType,
    status,
    reason: status === 'True' ? 'Accepted' : 'Invalid',
    message,
    lastTransitionTime: known?.status === status ? known.lastTransitionTime : now,
    observedGeneration: object.metadata?.generation,
  };
}

export async function writeConditions(options: ConditionOptions, signal: AbortSignal): Promise<void> {
  const { client, mesh, onError, settleMs = defaultSettleMs } = options;
  /** What was found wrong, by `Kind namespace/name`; a key stays until its object has been told that all is well. */
  const found = new Map<string, Problem[]>();
  const queue = new WorkQueue({
    concurrency: 2,
    onError: (_, error) => onError(error),
    process: async (key) => {
      if (key === '') return look();
      const [kind, namespace, name] = key.split(' ');
      const of = resources.get(kind);
      const object = of && (await client.get(of, name, namespace));
      const problems = found.get(key) ?? [];
      if (!object) {
        found.delete(key);
        return undefined;
      }
      const condition = conditionFor(object, problems, new Date().toISOString());
      if (condition) {
        const others = (object.status?.conditions ?? []).filter(({ type }) => type !== conditionType);
        try {
          await client.patchStatus(of, name, namespace, { conditions: [...others, condition] });
        } catch (error) {
          // Deleted meanwhile, or its definition has no status.
          if (!isNotFound(error)) throw error;
        }
      }
      if (problems.length === 0) found.delete(key);
      return undefined;
    },
  });

  async function look() {
    if (!mesh.isReady) return { requeueAfterMs: settleMs };
    const now = new Map<string, Problem[]>();
    for (const problem of await mesh.findProblems()) {
      const key = `${problem.kind} ${problem.namespace} ${problem.name}`;
      now.set(key, [...(now.get(key) ?? []), problem]);
    }
    for (const [key, problems] of now) {
      if (JSON.stringify(found.get(key)) === JSON.stringify(problems)) continue;
      found.set(key, problems);
      queue.add(key);
    }
    for (const [key, problems] of found)
      if (!now.has(key) && problems.length > 0) {
        found.set(key, []);
        queue.add(key);
      }
    return undefined;
  }

  /** What an earlier leader left: looked at as if it had been found here. */
  async function recall() {
    for (const [kind, of] of resources) {
      const { items } = await client.list(of, { signal }).catch(() => ({ items: [] }));
      for (const { metadata, status } of items) {
        const told = status?.conditions?.find(({ type }) => type === conditionType);
        const { namespace = '', name = '' } = metadata ?? {};
        if (told?.status === 'False')
          found.set(`${kind} ${namespace} ${name}`, [{ kind, namespace, name, path: '', message: told.message }]);
      }
    }
  }

  await recall();
  queue.start();
  const stopListening = mesh.onProblems(() => queue.addAfter('', settleMs));
  queue.addAfter('', settleMs);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stopListening();
  await queue.stop();
}
