/** ReferenceGrants: who may refer into another namespace. https://gateway-api.sigs.k8s.io/api-types/referencegrant/ */
import type { ReferenceGrant } from '../../api/gateway/policies.ts';

interface Subject {
  group: string;
  kind: string;
  namespace: string;
}

export class Grants {
  readonly #byNamespace = new Map<string, ReferenceGrant[]>();

  constructor(grants: Iterable<ReferenceGrant>) {
    for (const grant of grants) {
      const { namespace = '' } = grant.metadata;
      const list = this.#byNamespace.get(namespace);
      if (list) list.push(grant);
      else this.#byNamespace.set(namespace, [grant]);
    }
  }

  /** Within one namespace no grant is needed. */
  allows(from: Subject, to: Subject & { name: string }): boolean {
    if (from.namespace === to.namespace) return true;
    return (this.#byNamespace.get(to.namespace) ?? []).some(
      ({ spec }) =>
        spec.from?.some(
          ({ group, kind, namespace }) => group === from.group && kind === from.kind && namespace === from.namespace,
        ) &&
        spec.to?.some(({ group, kind, name }) => group === to.group && kind === to.kind && (!name || name === to.name)),
    );
  }
}
