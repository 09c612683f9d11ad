/** The kinds that the operator makes, in the order in which they are applied; they are removed in the reverse. */
import {
  type ApiObject,
  clusterRoleBindings,
  clusterRoles,
  configMaps,
  customResourceDefinitions,
  deployments,
  horizontalPodAutoscalers,
  mutatingWebhookConfigurations,
  namespaces,
  podDisruptionBudgets,
  type Resource,
  roleBindings,
  roles,
  serviceAccounts,
  services,
  validatingWebhookConfigurations,
} from '../kube/object.ts';

/** What all installations share; it is never removed while one of them is left. */
export const sharedKinds: readonly Resource[] = [namespaces, customResourceDefinitions];

/** Deployments come late: their pods need what comes before. Webhooks come last, and so go first. */
export const ownedKinds: readonly Resource[] = [
  serviceAccounts,
  clusterRoles,
  clusterRoleBindings,
  roles,
  roleBindings,
  configMaps,
  services,
  deployments,
  horizontalPodAutoscalers,
  podDisruptionBudgets,
  validatingWebhookConfigurations,
  mutatingWebhookConfigurations,
];

export const allKinds: readonly Resource[] = [...sharedKinds, ...ownedKinds];

export function resourceOf(object: ApiObject): Resource {
  const found = allKinds.find((each) => each.kind === object.kind);
  if (!found) throw new Error(`the operator does not make objects of kind ${object.kind}`);
  return found;
}

/** `Deployment istio-system/istiod`, for messages. */
export function title(object: ApiObject): string {
  const { namespace, name = '' } = object.metadata ?? {};
  return `${object.kind} ${namespace ? `${namespace}/` : ''}${name}`;
}
