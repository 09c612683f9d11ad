/** What every Kubernetes object has, and the descriptors by which a client addresses kinds. */
import type { IMutatingWebhookConfiguration } from 'kubernetes-models/admissionregistration.k8s.io/v1/MutatingWebhookConfiguration';
import type { IValidatingWebhookConfiguration } from 'kubernetes-models/admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration';
import type { ICustomResourceDefinition } from 'kubernetes-models/apiextensions.k8s.io/v1/CustomResourceDefinition';
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IReplicaSet } from 'kubernetes-models/apps/v1/ReplicaSet';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import type { ILease } from 'kubernetes-models/coordination.k8s.io/v1/Lease';
import type { IEndpointSlice } from 'kubernetes-models/discovery.k8s.io/v1/EndpointSlice';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IClusterRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole';
import type { IClusterRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding';
import type { IRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role';
import type { IRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IEvent } from 'kubernetes-models/v1/Event';
import type { INamespace } from 'kubernetes-models/v1/Namespace';
import type { INode } from 'kubernetes-models/v1/Node';
import type { IPod } from 'kubernetes-models/v1/Pod';
import type { ISecret } from 'kubernetes-models/v1/Secret';
import type { IService } from 'kubernetes-models/v1/Service';
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount';

export type {
  IClusterRole as ClusterRole,
  IClusterRoleBinding as ClusterRoleBinding,
  IConfigMap as ConfigMap,
  ICustomResourceDefinition as CustomResourceDefinition,
  IDeployment as Deployment,
  IEndpointSlice as EndpointSlice,
  IEvent as Event,
  IHorizontalPodAutoscaler as HorizontalPodAutoscaler,
  IMutatingWebhookConfiguration as MutatingWebhookConfiguration,
  INamespace as Namespace,
  INode as Node,
  IPod as Pod,
  IPodDisruptionBudget as PodDisruptionBudget,
  IReplicaSet as ReplicaSet,
  IRole as Role,
  IRoleBinding as RoleBinding,
  ISecret as Secret,
  IService as Service,
  IServiceAccount as ServiceAccount,
  IValidatingWebhookConfiguration as ValidatingWebhookConfiguration,
};

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** The part of `metadata` that machinery reads. */
export interface Metadata {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: { [key: string]: string };
  annotations?: { [key: string]: string };
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

/** Any object of the API server. List items of built-in kinds carry neither `apiVersion` nor `kind` on the wire; the client adds them. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata?: Metadata;
}

/** How one kind is addressed. `T` is the type of its objects. */
export interface Resource<T extends ApiObject = ApiObject> {
  /** `v1`, `apps/v1`, `networking.istio.io/v1` */
  readonly apiVersion: string;
  readonly kind: string;
  /** Lower-case plural, as in the URL. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Only for the type checker; never set. */
  readonly objectType?: T;
}

/** Describes a kind: `resource<VirtualService>('networking.istio.io/v1', 'VirtualService', 'virtualservices')`. Namespaced unless told. */
export function resource<T extends ApiObject = ApiObject>(
  apiVersion: string,
  kind: string,
  plural: string,
  scope: 'namespaced' | 'cluster' = 'namespaced',
): Resource<T> {
  return { apiVersion, kind, plural, namespaced: scope === 'namespaced' };
}

export const clusterRoles = resource<IClusterRole>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRole',
  'clusterroles',
  'cluster',
);
export const clusterRoleBindings = resource<IClusterRoleBinding>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRoleBinding',
  'clusterrolebindings',
  'cluster',
);
export const configMaps = resource<IConfigMap>('v1', 'ConfigMap', 'configmaps');
export const customResourceDefinitions = resource<ICustomResourceDefinition>(
  'apiextensions.k8s.io/v1',
  'CustomResourceDefinition',
  'customresourcedefinitions',
  'cluster',
);
export const deployments = resource<IDeployment>('apps/v1', 'Deployment', 'deployments');
export const endpointSlices = resource<IEndpointSlice>('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices');
export const events = resource<IEvent>('v1', 'Event', 'events');
export const horizontalPodAutoscalers = resource<IHorizontalPodAutoscaler>(
  'autoscaling/v2',
  'HorizontalPodAutoscaler',
  'horizontalpodautoscalers',
);
export const leases = resource<ILease>('coordination.k8s.io/v1', 'Lease', 'leases');
export const mutatingWebhookConfigurations = resource<IMutatingWebhookConfiguration>(
  'admissionregistration.k8s.io/v1',
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
  'cluster',
);
export const namespaces = resource<INamespace>('v1', 'Namespace', 'namespaces', 'cluster');
export const nodes = resource<INode>('v1', 'Node', 'nodes', 'cluster');
export const podDisruptionBudgets = resource<IPodDisruptionBudget>(
  'policy/v1',
  'PodDisruptionBudget',
  'poddisruptionbudgets',
);
export const pods = resource<IPod>('v1', 'Pod', 'pods');
export const replicaSets = resource<IReplicaSet>('apps/v1', 'ReplicaSet', 'replicasets');
export const roles = resource<IRole>('rbac.authorization.k8s.io/v1', 'Role', 'roles');
export const roleBindings = resource<IRoleBinding>('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings');
export const secrets = resource<ISecret>('v1', 'Secret', 'secrets');
export const serviceAccounts = resource<IServiceAccount>('v1', 'ServiceAccount', 'serviceaccounts');
export const services = resource<IService>('v1', 'Service', 'services');
export const validatingWebhookConfigurations = resource<IValidatingWebhookConfiguration>(
  'admissionregistration.k8s.io/v1',
  'ValidatingWebhookConfiguration',
  'validatingwebhookconfigurations',
  'cluster',
);

/** `namespace/name`, or `name` of a cluster-scoped object. */
export function keyOf(object: ApiObject): string {
  const { namespace, name = '' } = object.metadata ?? {};
  return namespace ? `${namespace}/${name}` : name;
}

/** The two parts of a key made by `keyOf`. */
export function splitKey(key: string): { namespace?: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
