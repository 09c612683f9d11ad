/** Kind → CustomResourceDefinition. */
import { crdName, type Kind } from './kind.ts';
import { kinds } from './kinds.ts';
import type { KubeObject } from './meta.ts';
import { openApiOf } from './schema/openapi.ts';

interface CustomResourceDefinitionSpec {
  group: string;
  names: {
    categories: readonly string[];
    kind: string;
    listKind: string;
    plural: string;
    shortNames?: readonly string[];
    singular: string;
  };
  scope: 'Namespaced' | 'Cluster';
  versions: unknown[];
}

export type CustomResourceDefinition = KubeObject<'CustomResourceDefinition', CustomResourceDefinitionSpec>;

export function crdOf(kind: Kind): CustomResourceDefinition {
  const openAPIV3Schema = {
    type: 'object',
    properties: { spec: openApiOf(kind.spec), status: openApiOf(kind.status) },
    ...(kind.specIsRequired ? { required: ['spec'] } : {}),
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      ...(Object.keys(kind.annotations).length > 0 ? { annotations: { ...kind.annotations } } : {}),
      labels: { ...kind.labels },
      name: crdName(kind),
    },
    spec: {
      group: kind.group,
      names: {
        categories: kind.categories,
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
        singular: kind.kind.toLowerCase(),
      },
      scope: kind.scope,
      versions: kind.versions.map((name, i) => ({
        name,
        served: true,
        storage: i === kind.stored,
        schema: { openAPIV3Schema },
        subresources: { status: {} },
        ...(kind.columns.length > 0 ? { additionalPrinterColumns: kind.columns } : {}),
      })),
    },
  };
}

/** The CustomResourceDefinitions of every kind, as the operator applies them. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return kinds.map(crdOf);
}
