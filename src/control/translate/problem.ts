import { originOf } from '../model/origin.ts';

/** Something in a resource that can't take effect as written; ends in that resource's status. */
export interface Problem {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `spec.http[2].route[0].destination.host` */
  readonly path: string;
  readonly message: string;
}

/** Collects each problem once. */
export class Problems {
  readonly #found = new Map<string, Problem>();

  add(
    resource: { kind: string; metadata: { namespace?: string; name?: string } },
    path: string,
    message: string,
  ): void {
    // Nobody wrote it; whoever wrote what stands behind it is told there.
    if (originOf(resource)) return;
    const { kind } = resource;
    const { namespace = '', name = '' } = resource.metadata;
    this.#found.set([kind, namespace, name, path, message].join(' '), { kind, namespace, name, path, message });
  }

  addAll(others: Problems): void {
    for (const [key, problem] of others.#found) this.#found.set(key, problem);
  }

  list(): Problem[] {
    return [...this.#found.values()];
  }
}
