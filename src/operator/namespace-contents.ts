/** Whether a namespace holds anything that someone would miss. */
import type { KubeClient } from '../kube/client.ts';
import { type ApiObject, resource } from '../kube/object.ts';

interface ResourceList {
  groupVersion: string;
  resources: Array<{ name: string; kind: string; namespaced: boolean; verbs: string[] }>;
}

/** ConfigMap that control planes put into every namespace. */
export const rootConfigMap = 'istio-ca-root-cert';

/** Made by Kubernetes in every namespace, or derived from something else that is listed. */
const unmissedKinds = new Set(['Event', 'Endpoints', 'EndpointSlice', 'PodMetrics', 'ControllerRevision', 'Lease']);
const unmissedNames: { [kind: string]: string[] } = {
  ConfigMap: ['kube-root-ca.crt', rootConfigMap],
  ServiceAccount: ['default'],
};

/** True when nothing is left but what Kubernetes and control planes put into each. Asks for every kind that the server has. */
export async function onlyOurs(client: KubeClient, namespace: string, signal: AbortSignal): Promise<boolean> {
  const kinds = new Map<string, { apiVersion: string; kind: string; plural: string }>();
  for (const apiVersion of await apiVersions(client, signal)) {
    const path = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { resources } = JSON.parse(await client.getRaw(path, { signal })) as ResourceList;
    for (const { name, kind, namespaced, verbs } of resources)
      if (
        namespaced &&
        verbs.includes('list') &&
        verbs.includes('delete') &&
        !name.includes('/') &&
        !unmissedKinds.has(kind)
      )
        kinds.set(`${apiVersion.split('/')[0]}/${kind}`, { apiVersion, kind, plural: name });
  }
  for (const { apiVersion, kind, plural } of kinds.values()) {
    const { items } = await client.list(resource(apiVersion, kind, plural), { namespace, signal });
    if (items.some((object) => isMissed(object))) return false;
  }
  return true;
}

/** What has an owner goes with it. */
function isMissed({ kind, metadata = {} }: ApiObject): boolean {
  if (metadata.deletionTimestamp || (metadata.ownerReferences?.length ?? 0) > 0) return false;
  return !unmissedNames[kind]?.includes(metadata.name ?? '');
}

/** The preferred version of every group. */
async function apiVersions(client: KubeClient, signal: AbortSignal): Promise<string[]> {
  const { groups } = JSON.parse(await client.getRaw('/apis', { signal })) as {
    groups: Array<{ preferredVersion: { groupVersion: string } }>;
  };
  return ['v1', ...groups.map(({ preferredVersion }) => preferredVersion.groupVersion)];
}
