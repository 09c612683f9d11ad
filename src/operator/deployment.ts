/** What `kubectl apply -f deploy/` and `lateen install` put into a cluster so that the operator runs there. Pure. */
import { crdOf } from '../api/crd.ts';
import { istioInstallation } from '../api/installation/istio-installation.ts';
import type { Kind } from '../api/kind.ts';
import type {
  ApiObject,
  ClusterRole,
  ClusterRoleBinding,
  Deployment,
  Namespace,
  Role,
  RoleBinding,
  ServiceAccount,
} from '../kube/object.ts';
import { ownedKinds, sharedKinds } from './kinds.ts';
import { controlPlaneClusterRules, controlPlaneRules, type Rule } from './render/control-plane-rights.ts';

export const operatorName = 'lateen-operator';

export interface OperatorSettings {
  /** `docker.io/lateen/lateen:0.1.0` */
  image: string;
  pullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  pullSecrets?: string[];
}

const labels = { 'app.kubernetes.io/name': operatorName, 'app.kubernetes.io/part-of': 'lateen' };
const rbac = 'rbac.authorization.k8s.io';
const metadata = { name: operatorName, labels };
const namespaced = { ...metadata, namespace: operatorName };
const subjects = [{ kind: 'ServiceAccount', name: operatorName, namespace: operatorName }];

/** In the order in which they must be applied. */
export function operatorObjects({
  image,
  pullPolicy = 'IfNotPresent',
  pullSecrets = [],
}: OperatorSettings): ApiObject[] {
  const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata };
  const account: ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: namespaced };
  const clusterRole: ClusterRole = { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata, rules: clusterRules() };
  const clusterRoleBinding: ClusterRoleBinding = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata,
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: operatorName },
    subjects,
  };
  const role: Role = {
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata: namespaced,
    rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] }],
  };
  const roleBinding: RoleBinding = {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: namespaced,
    roleRef: { apiGroup: rbac, kind: 'Role', name: operatorName },
    subjects,
  };
  return [
    namespace,
    crdOf(istioInstallation as Kind) as ApiObject,
    account,
    clusterRole,
    clusterRoleBinding,
    role,
    roleBinding,
    deployment(image, pullPolicy, pullSecrets),
  ];
}

/** Besides its own work it must hold whatever it grants to control planes and gateways. */
function clusterRules(): Rule[] {
  const change = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'];
  const groups = new Map<string, string[]>();
  for (const { apiVersion, plural } of [...sharedKinds, ...ownedKinds]) {
    const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
    groups.set(group, [...(groups.get(group) ?? []), plural]);
  }
  return [
    {
      apiGroups: ['lateen.dev'],
      resources: ['istioinstallations', 'istioinstallations/status', 'istioinstallations/finalizers'],
      verbs: ['get', 'list', 'watch', 'update', 'patch'],
    },
    ...[...groups].map(([group, resources]) => ({ apiGroups: [group], resources, verbs: change })),
    ...controlPlaneClusterRules,
    ...controlPlaneRules,
    // A namespace is removed only when nothing of any kind is left in it.
    { apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list'] },
  ];
}

function deployment(image: string, imagePullPolicy: OperatorSettings['pullPolicy'], pullSecrets: string[]): Deployment {
  const field = (fieldPath: string) => ({ fieldRef: { apiVersion: 'v1', fieldPath } });
  const selector = { 'app.kubernetes.io/name': operatorName };
  const probe = (path: string) => ({ httpGet: { path, port: 8081, scheme: 'HTTP' as const } });
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: namespaced,
    spec: {
      replicas: 1,
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: { ...labels, 'sidecar.istio.io/inject': 'false' } },
        spec: {
          serviceAccountName: operatorName,
          ...(pullSecrets.length > 0 ? { imagePullSecrets: pullSecrets.map((name) => ({ name })) } : {}),
          securityContext: { runAsUser: 1337, runAsGroup: 1337, runAsNonRoot: true },
          containers: [
            {
              name: 'operator',
              image,
              imagePullPolicy,
              args: ['operator'],
              env: [
                { name: 'POD_NAME', valueFrom: field('metadata.name') },
                { name: 'POD_NAMESPACE', valueFrom: field('metadata.namespace') },
              ],
              ports: [{ name: 'health', containerPort: 8081, protocol: 'TCP' }],
              readinessProbe: { ...probe('/readyz'), periodSeconds: 1 },
              livenessProbe: { ...probe('/healthz'), periodSeconds: 10, failureThreshold: 6 },
              resources: { requests: { cpu: '10m', memory: '80Mi' }, limits: { memory: '384Mi' } },
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                readOnlyRootFilesystem: true,
              },
            },
          ],
        },
      },
    },
  };
}
