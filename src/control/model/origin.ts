/**
 * What stands behind a resource, or a rule of one, that nobody wrote: the Gateway API's kinds reach the translation as the Istio resources
 * that say the same. Kept beside them, so that their types stay those of Istio's API.
 */
import type { ObjectMeta } from '../../api/meta.ts';

export interface Origin {
  readonly owner: { readonly apiVersion: string; readonly kind: string; readonly metadata: ObjectMeta };
  /** `spec.rules[2]`, in the owner; empty for the whole of it. */
  readonly path: string;
}

const origins = new WeakMap<object, Origin>();

export function withOrigin<T extends object>(made: T, owner: Origin['owner'], path = ''): T {
  origins.set(made, { owner, path });
  return made;
}

/** Null for what its author wrote as it is. */
export function originOf(resource: object): Origin | null {
  return origins.get(resource) ?? null;
}
