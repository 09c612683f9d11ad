/** What an installation stands on: its namespaces, and the definitions of Istio's kinds. All installations share them. */
import { crdOf } from '../../api/crd.ts';
import { kinds } from '../../api/kinds.ts';
import type { ApiObject, Namespace } from '../../kube/object.ts';
import { sharedLabel } from '../labels.ts';
import type { Component, Scope } from './scope.ts';

export function core(scope: Scope, namespaces: string[]): Component {
  const labels = {
    [sharedLabel]: 'true',
    'app.kubernetes.io/part-of': 'istio',
    'app.kubernetes.io/managed-by': 'lateen-operator',
  };
  const objects: ApiObject[] = namespaces.map(
    (name): Namespace => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }),
  );
  for (const kind of kinds) {
    // The installation's own kind comes with the operator.
    if (kind.group === 'lateen.dev') continue;
    const definition = crdOf(kind) as ApiObject;
    objects.push({
      ...definition,
      metadata: { ...definition.metadata, labels: { ...definition.metadata?.labels, ...labels } },
    });
  }
  return { kind: 'Core', name: 'istio', namespace: scope.namespace, objects };
}
