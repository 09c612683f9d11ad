/** Makes the cluster hold what was rendered: one write for what is missing or differs, none for the rest. */
import { createHash } from 'node:crypto';
import type { KubeClient } from '../kube/client.ts';
import { ApiError } from '../kube/error.ts';
import type { ApiObject } from '../kube/object.ts';
import { firstDifference } from './difference.ts';
import { resourceOf, sharedKinds, title } from './kinds.ts';
import { appliedAnnotation, fieldManager, ownerLabel, sharedLabel } from './labels.ts';
import type { LiveObjects } from './live-objects.ts';

export interface Change {
  object: ApiObject;
  /** `missing` when it had to be made, `changed` when it was rendered otherwise before, or the path of a field that someone changed. */
  reason: string;
}

export interface Application {
  changes: Change[];
  /** One line for each object that could not be applied. */
  problems: string[];
  /** Objects of another owner that stand where ours should. */
  conflicts: string[];
}

const concurrency = 6;

/** What is rendered now, as it is sent: with the digest of itself. */
export function withDigest(object: ApiObject): ApiObject {
  const digest = createHash('sha256').update(JSON.stringify(object)).digest('hex').slice(0, 16);
  const annotations = { ...object.metadata?.annotations, [appliedAnnotation]: digest };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Why the live object must be written, null when it need not be. */
export function reasonToApply(live: ApiObject | undefined, wanted: ApiObject): string | null {
  if (!live) return 'missing';
  if (live.metadata?.annotations?.[appliedAnnotation] !== wanted.metadata?.annotations?.[appliedAnnotation])
    return 'changed';
  return firstDifference(live, wanted);
}

/** What must change, without changing it. */
export function changesNeeded(live: LiveObjects, objects: ApiObject[]): Change[] {
  const changes: Change[] = [];
  for (const object of objects) {
    const twin = live.get(object);
    // What is being deleted cannot be mended; its end will be told.
    if (twin?.metadata?.deletionTimestamp) continue;
    const reason = reasonToApply(twin, withDigest(object));
    if (reason !== null) changes.push({ object, reason });
  }
  return changes;
}

/** Applies what needs it. Namespaces come first, then what the rest refers to. */
export async function applyChanges(
  client: KubeClient,
  live: LiveObjects,
  owner: string,
  needed: Change[],
  signal: AbortSignal,
): Promise<Application> {
  const result: Application = { changes: [], problems: [], conflicts: [] };
  const stages: Change[][] = [[], [], []];
  for (const change of needed) stages[stageOf(change.object)].push(change);
  for (const stage of stages) {
    const waiting = [...stage];
    const work = async () => {
      for (let change = waiting.shift(); change && !signal.aborted; change = waiting.shift())
        await applyOne(client, live, owner, change, signal, result);
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    if (result.problems.length > 0 && stage === stages[0]) return result;
  }
  return result;
}

/** A binding is refused before its role exists; pods need what stands in the second stage. */
const lastStage = new Set([
  'ClusterRoleBinding',
  'RoleBinding',
  'Deployment',
  'HorizontalPodAutoscaler',
  'PodDisruptionBudget',
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
]);

function stageOf({ kind }: ApiObject): 0 | 1 | 2 {
  if (kind === 'Namespace') return 0;
  return lastStage.has(kind) ? 2 : 1;
}

async function applyOne(
  client: KubeClient,
  live: LiveObjects,
  owner: string,
  change: Change,
  signal: AbortSignal,
  result: Application,
): Promise<void> {
  const { object } = change;
  const resource = resourceOf(object);
  try {
    // Without our label it is in no informer, and may still be there as someone else's.
    const known =
      live.get(object) ??
      (await client.get(resource, object.metadata?.name ?? '', object.metadata?.namespace, { signal }));
    const claim = claimOn(known, owner);
    if (claim === 'foreign') {
      // Istio's own definitions, a namespace that the user made: theirs, and as good as ours.
      if (!sharedKinds.includes(resource))
        result.conflicts.push(`${title(object)} exists already and was not made by this operator`);
      return;
    }
    if (claim !== 'ours') {
      result.conflicts.push(`${title(object)} belongs to the IstioInstallation ${claim.owner}`);
      return;
    }
    if (known?.metadata?.deletionTimestamp) return;
    const applied = await client.apply(resource, withDigest(object), { fieldManager, signal });
    live.remember(applied);
    result.changes.push(change);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    result.problems.push(`${title(object)}: ${error.message}`);
  }
}

type Claim = 'ours' | 'foreign' | { owner: string };

/** Whose an object is: nobody's yet and shared ones are ours. */
function claimOn(object: ApiObject | null | undefined, owner: string): Claim {
  if (!object) return 'ours';
  const labels = object.metadata?.labels ?? {};
  if (labels[sharedLabel] === 'true' || labels[ownerLabel] === owner) return 'ours';
  if (labels[ownerLabel]) return { owner: labels[ownerLabel] };
  // Someone took our label off, but the digest of what we applied is still there.
  return object.metadata?.annotations?.[appliedAnnotation] ? 'ours' : 'foreign';
}
