/** An object of a file as the analyzers take it. */
import type { Analyzed } from '../control/analyze/finding.ts';

const clusterWide = [
  'Namespace',
  'Node',
  'GatewayClass',
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
];

/** An object of a file as the API server would take it; null for what is no object. */
export function placed(object: unknown, namespace: string): Analyzed | null {
  const { apiVersion, kind, metadata } = (object ?? {}) as Partial<Analyzed>;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return null;
  if (typeof metadata !== 'object' || metadata === null) return null;
  // What is not there yet would come after all that is.
  const creationTimestamp = metadata.creationTimestamp ?? new Date().toISOString();
  const own = clusterWide.includes(kind) ? undefined : (metadata.namespace ?? namespace);
  return {
    spec: {},
    ...(object as Analyzed),
    metadata: { ...metadata, creationTimestamp, namespace: own },
  } as Analyzed;
}
