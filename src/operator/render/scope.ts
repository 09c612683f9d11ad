/** What every part of the rendering needs to know of an installation. */
import type { KubernetesSettings } from '../../api/installation/istio-installation.ts';
import type { ResolvedInstallationSpec } from '../../api/installation/profiles.ts';
import type { ApiObject, Pod } from '../../kube/object.ts';
import { componentLabel, ownerLabel } from '../labels.ts';

export type ComponentKind = 'Core' | 'ControlPlane' | 'IngressGateway' | 'EgressGateway';

/** One line of `status.components`, with the objects that make it. */
export interface Component {
  kind: ComponentKind;
  /** Name of its Deployment; `istio` for the core, which has none. */
  name: string;
  namespace: string;
  objects: ApiObject[];
}

export interface Scope {
  /** Name of the IstioInstallation. */
  owner: string;
  /** `default` for the unnamed revision. */
  revision: string;
  namespace: string;
  image: string;
  pullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  pullSecrets: string[];
  spec: ResolvedInstallationSpec;
}

/** `istiod`, or `istiod-canary` for the revision `canary`. */
export function withRevision(scope: Scope, name: string): string {
  return scope.revision === 'default' ? name : `${name}-${scope.revision}`;
}

/** Labels of every object that belongs to one component of one installation. */
export function ownLabels(scope: Scope, component: string): { [key: string]: string } {
  return {
    [ownerLabel]: scope.owner,
    [componentLabel]: component,
    'istio.io/rev': scope.revision,
    'app.kubernetes.io/part-of': 'istio',
    'app.kubernetes.io/managed-by': 'lateen-operator',
  };
}

type PodSettings = Pick<
  NonNullable<Pod['spec']>,
  'affinity' | 'imagePullSecrets' | 'nodeSelector' | 'priorityClassName' | 'tolerations' | 'topologySpreadConstraints'
>;

/** The settings of a pod that users may give for any component; what the API's schema leaves open, the API server checks. */
export function podSettings(scope: Scope, k8s: KubernetesSettings): PodSettings {
  return {
    affinity: k8s.affinity,
    imagePullSecrets: scope.pullSecrets.length > 0 ? scope.pullSecrets.map((name) => ({ name })) : undefined,
    nodeSelector: k8s.nodeSelector,
    priorityClassName: k8s.priorityClassName,
    tolerations: k8s.tolerations,
    topologySpreadConstraints: k8s.topologySpreadConstraints as PodSettings['topologySpreadConstraints'],
  };
}

/** Drops what is undefined, at any depth: an applied field that is absent is given up, one that is null is an error. */
export function defined<T>(value: T): T {
  if (Array.isArray(value)) return value.map(defined) as T;
  if (value === null || typeof value !== 'object') return value;
  const kept: { [key: string]: unknown } = {};
  for (const [key, inner] of Object.entries(value)) if (inner !== undefined) kept[key] = defined(inner);
  return kept as T;
}
