/** One definition a kind: names, versions and shape of a custom resource, and the rules across its fields. */

import type { Rule, Schema } from './schema/schema.ts';

export interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  jsonPath: string;
  description?: string;
  /** Above 0: shown only by `-o wide`. */
  priority?: number;
}

export interface Kind<Spec = unknown, Status = unknown> {
  group: string;
  /** Served versions, the preferred one first; all have the same shape. */
  versions: readonly string[];
  /** Which of them is stored. */
  stored: number;
  kind: string;
  plural: string;
  shortNames: readonly string[];
  categories: readonly string[];
  scope: 'Namespaced' | 'Cluster';
  columns: readonly PrinterColumn[];
  /** Labels and annotations of the CustomResourceDefinition itself. */
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  specIsRequired: boolean;
  spec: Schema<Spec>;
  status: Schema<Status>;
  /** Rules over the whole object, each written for `KubeObject<string, Spec, Status>`. */
  rules: ReadonlyArray<Rule<never>>;
}

export const age: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** Columns of text, each a JSON path below the object, followed by the object's age. */
export function columns(paths: Readonly<Record<string, string>>): PrinterColumn[] {
  return [...Object.entries(paths).map(([name, jsonPath]) => ({ name, type: 'string' as const, jsonPath })), age];
}

/** `virtualservices.networking.istio.io`: the name of the CustomResourceDefinition. */
export function crdName(kind: Kind): string {
  return `${kind.plural}.${kind.group}`;
}

/** The `apiVersion` values under which the kind is served, the preferred one first. */
export function apiVersions(kind: Kind): string[] {
  return kind.versions.map((version) => `${kind.group}/${version}`);
}
