/** What the control plane may do in the cluster. The operator must hold each of these itself to grant it (RBAC escalation). */
import type { ApiObject, ClusterRole, ClusterRoleBinding, Role, RoleBinding } from '../../kube/object.ts';
import { type Scope, withRevision } from './scope.ts';

export interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

const read = ['get', 'list', 'watch'];
const istioGroups = ['networking.istio.io', 'security.istio.io', 'telemetry.istio.io', 'extensions.istio.io'];

/** In the whole cluster. */
export const controlPlaneClusterRules: Rule[] = [
  // caBundle of the webhooks that call it
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'],
    verbs: [...read, 'update', 'patch'],
  },
  { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: read },
  { apiGroups: istioGroups, resources: ['*'], verbs: read },
  // problems go into the status of the resource that caused them
  { apiGroups: istioGroups, resources: ['*/status'], verbs: ['get', 'update', 'patch'] },
  { apiGroups: ['gateway.networking.k8s.io'], resources: ['*'], verbs: read },
  // its own GatewayClass, and what it says of the Gateway API's kinds
  { apiGroups: ['gateway.networking.k8s.io'], resources: ['gatewayclasses'], verbs: ['create', 'update', 'patch'] },
  { apiGroups: ['gateway.networking.k8s.io'], resources: ['*/status'], verbs: ['get', 'update', 'patch'] },
  // what runs a Gateway
  { apiGroups: ['apps'], resources: ['deployments'], verbs: [...read, 'create', 'update', 'patch', 'delete'] },
  {
    apiGroups: [''],
    resources: ['services', 'serviceaccounts'],
    verbs: [...read, 'create', 'update', 'patch', 'delete'],
  },
  {
    apiGroups: [''],
    resources: ['pods', 'nodes', 'services', 'namespaces', 'endpoints', 'serviceaccounts'],
    verbs: read,
  },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
  { apiGroups: ['apps'], resources: ['replicasets', 'deployments'], verbs: read },
  { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'ingressclasses'], verbs: read },
  // the root certificate in every namespace
  { apiGroups: [''], resources: ['configmaps'], verbs: [...read, 'create', 'update', 'patch', 'delete'] },
  // gateways' certificates
  { apiGroups: [''], resources: ['secrets'], verbs: read },
  { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
];

/** In its own namespace. */
export const controlPlaneRules: Rule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: [...read, 'create', 'update', 'patch', 'delete'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: [...read, 'create', 'update', 'patch', 'delete'],
  },
];

const rbac = 'rbac.authorization.k8s.io';

export function controlPlaneRights(scope: Scope, labels: { [key: string]: string }): ApiObject[] {
  const { namespace } = scope;
  const name = withRevision(scope, 'istiod');
  const clusterName = `${withRevision(scope, 'istiod-clusterrole')}-${namespace}`;
  const subjects = [{ kind: 'ServiceAccount', name, namespace }];
  const clusterRole: ClusterRole = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRole',
    metadata: { name: clusterName, labels },
    rules: controlPlaneClusterRules,
  };
  const clusterRoleBinding: ClusterRoleBinding = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: clusterName, labels },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: clusterName },
    subjects,
  };
  const role: Role = {
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata: { name, namespace, labels },
    rules: controlPlaneRules,
  };
  const roleBinding: RoleBinding = {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name, namespace, labels },
    roleRef: { apiGroup: rbac, kind: 'Role', name },
    subjects,
  };
  return [clusterRole, clusterRoleBinding, role, roleBinding];
}
