/**
 * Takes away what an installation made, step by step. Each call does what can be done now and says what it waits for, so
 * that an interrupted removal goes on where it was:
 *
 *   webhooks ─► Deployments, and wait for their pods ─► the rest ─► what the control plane made ─► kinds, namespaces
 *
 * Webhooks go first, or new pods would be refused; the control plane's pods must be gone before its secrets are, or it
 * would make them again. What users made stays, and so does whatever holds it (docs/adr: definitions and namespaces).
 */
import type { KubeClient } from '../kube/client.ts';
import { isNotFound } from '../kube/error.ts';
import {
  type ApiObject,
  type CustomResourceDefinition,
  configMaps,
  leases,
  resource,
  secrets,
} from '../kube/object.ts';
import { resourceOf, title } from './kinds.ts';
import { fieldManager } from './labels.ts';
import type { LiveObjects } from './live-objects.ts';
import { onlyOurs, rootConfigMap } from './namespace-contents.ts';

export interface Removal {
  client: KubeClient;
  live: LiveObjects;
  owner: string;
  /** As `withRevision` takes it. */
  revision: string;
  /** Namespaces of the installation's components. */
  namespaces: string[];
  /** Namespaces of the components of all others. */
  usedElsewhere: ReadonlySet<string>;
  /** No other installation is left in the cluster. */
  isLast: boolean;
  nowMs: number;
  signal: AbortSignal;
}

const leaderLease = 'istio-leader';
const selfMadeSecret = 'istio-ca-secret';
/** A namespace that has been terminating for longer waits for someone else. */
const namespacePatienceMs = 30_000;

/** What is being waited for, null when nothing is left. */
export async function removeStep(removal: Removal): Promise<string | null> {
  const { live, owner } = removal;
  const owned = live.ownedBy(owner);
  const isWebhook = ({ kind }: ApiObject) => kind.endsWith('WebhookConfiguration');
  await removeAll(removal, owned.filter(isWebhook), 'Background');

  const deployments = owned.filter(({ kind }) => kind === 'Deployment');
  await removeAll(removal, deployments, 'Foreground');
  if (deployments.length > 0) return `the pods of ${deployments.map(title).join(', ')} to end`;

  const rest = owned.filter((object) => !isWebhook(object));
  await removeAll(removal, rest, 'Background');
  if (owned.length > 0) return `${owned.length} objects to go, among them ${title(owned[0])}`;

  await removeControlPlaneObjects(removal);
  return removeShared(removal);
}

async function removeAll(
  removal: Removal,
  objects: ApiObject[],
  propagation: 'Foreground' | 'Background',
): Promise<void> {
  for (const object of objects) {
    if (object.metadata?.deletionTimestamp || !(await wasAppliedByUs(removal, object))) continue;
    await remove(removal, object, propagation);
  }
}

async function remove(
  { client, signal }: Removal,
  object: ApiObject,
  propagation: 'Foreground' | 'Background',
): Promise<void> {
  const { name = '', namespace, uid } = object.metadata ?? {};
  await client.delete(resourceOf(object), name, namespace, { propagation, uid, signal });
}

/** Labels are copied along with manifests; the field manager is not. */
export async function wasAppliedByUs(
  { client, signal }: Pick<Removal, 'client' | 'signal'>,
  object: ApiObject,
): Promise<boolean> {
  const { name = '', namespace } = object.metadata ?? {};
  const found = await client.get(resourceOf(object), name, namespace, { signal });
  const { managedFields = [] } = (found?.metadata ?? {}) as { managedFields?: Array<{ manager?: string }> };
  return managedFields.some(({ manager }) => manager === fieldManager);
}

async function removeControlPlaneObjects(removal: Removal): Promise<void> {
  const { client, revision, namespaces, usedElsewhere, isLast, signal } = removal;
  const lease = revision === 'default' ? leaderLease : `${leaderLease}-${revision}`;
  for (const namespace of namespaces) {
    await client.delete(leases, lease, namespace, { signal });
    // Control planes of several revisions in one namespace share their authority.
    if (!usedElsewhere.has(namespace)) await client.delete(secrets, selfMadeSecret, namespace, { signal });
  }
  if (!isLast) return;
  const roots = await client.list(configMaps, { fieldSelector: `metadata.name=${rootConfigMap}`, signal });
  for (const { metadata } of roots.items)
    await client.delete(configMaps, rootConfigMap, metadata?.namespace, { signal });
}

async function removeShared(removal: Removal): Promise<string | null> {
  const { client, live, namespaces, usedElsewhere, isLast, nowMs, signal } = removal;
  const waiting: string[] = [];
  for (const object of live.shared()) {
    const { deletionTimestamp, name = '' } = object.metadata ?? {};
    const isNamespace = object.kind === 'Namespace';
    if (isNamespace ? usedElsewhere.has(name) || !(isLast || namespaces.includes(name)) : !isLast) continue;
    if (deletionTimestamp) {
      if (nowMs - Date.parse(deletionTimestamp) < namespacePatienceMs) waiting.push(title(object));
      continue;
    }
    if (!(await wasAppliedByUs(removal, object))) continue;
    const isUnused = isNamespace
      ? await onlyOurs(client, name, signal)
      : await hasNoObjects(removal, object as CustomResourceDefinition);
    if (!isUnused) continue;
    await remove(removal, object, 'Background');
    waiting.push(title(object));
  }
  return waiting.length > 0 ? `${waiting.join(', ')} to go` : null;
}

async function hasNoObjects({ client, signal }: Removal, { spec }: CustomResourceDefinition): Promise<boolean> {
  const { group, names, scope, versions } = spec;
  const served = versions.find((version) => version.served);
  if (!served) return false;
  const of = resource(
    `${group}/${served.name}`,
    names.kind,
    names.plural,
    scope === 'Namespaced' ? 'namespaced' : 'cluster',
  );
  try {
    for await (const page of client.pages(of, { pageSize: 1, signal })) return page.items.length === 0;
    return true;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}
