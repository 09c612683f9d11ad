/** What the cluster holds of the operator's objects, and word of each change to them. */
import type { KubeClient } from '../kube/client.ts';
import { type Clock, systemClock } from '../kube/clock.ts';
import { Informer } from '../kube/informer.ts';
import { type ApiObject, keyOf } from '../kube/object.ts';
import { ownedKinds, sharedKinds } from './kinds.ts';
import { ownerLabel, sharedLabel } from './labels.ts';

/** How long an answer of the API server stands in for a watch that has not told it yet. */
const aheadMs = 5_000;

export interface LiveObjectsOptions {
  client: KubeClient;
  /** Told the owner of what changed; null when it is shared by all installations. */
  onChange: (owner: string | null) => void;
  onError: (error: Error) => void;
  clock?: Clock;
}

export class LiveObjects {
  readonly #informers = new Map<string, Informer<ApiObject>>();
  /** Objects just applied that the watch has not shown yet, by kind and key. */
  readonly #ahead = new Map<string, { object: ApiObject; untilMs: number }>();
  readonly #clock: Clock;

  constructor({ client, onChange, onError, clock = systemClock }: LiveObjectsOptions) {
    this.#clock = clock;
    for (const resource of [...sharedKinds, ...ownedKinds]) {
      const isShared = sharedKinds.includes(resource);
      const informer = new Informer<ApiObject>(client, resource, {
        labelSelector: isShared ? sharedLabel : ownerLabel,
        onError,
      });
      const seen = (object: ApiObject, key: string) => {
        this.#ahead.delete(`${resource.kind} ${key}`);
        onChange(isShared ? null : (object.metadata?.labels?.[ownerLabel] ?? null));
      };
      informer.on({
        add: seen,
        // Who changes the owner's label changes two installations.
        update: (object, previous, key) => {
          seen(object, key);
          if (previous.metadata?.labels?.[ownerLabel] !== object.metadata?.labels?.[ownerLabel]) seen(previous, key);
        },
        delete: seen,
      });
      this.#informers.set(resource.kind, informer);
    }
  }

  async start(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((each) => each.start().synced));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((each) => each.stop()));
  }

  /** The live twin of an object, if it carries one of the operator's labels. */
  get(object: ApiObject): ApiObject | undefined {
    const key = keyOf(object);
    const ahead = this.#ahead.get(`${object.kind} ${key}`);
    if (ahead && ahead.untilMs > this.#clock.nowMs()) return ahead.object;
    return this.#informers.get(object.kind)?.get(key);
  }

  /** Everything that carries the installation's label. */
  ownedBy(owner: string): ApiObject[] {
    return ownedKinds.flatMap(({ kind }) =>
      (this.#informers.get(kind)?.values() ?? []).filter((object) => object.metadata?.labels?.[ownerLabel] === owner),
    );
  }

  shared(): ApiObject[] {
    return sharedKinds.flatMap(({ kind }) => this.#informers.get(kind)?.values() ?? []);
  }

  /** Takes an answer of the API server for the state, until the watch tells it. */
  remember(object: ApiObject): void {
    const known = this.#informers.get(object.kind)?.get(keyOf(object));
    if (known && versionOf(known) >= versionOf(object)) return;
    this.#ahead.set(`${object.kind} ${keyOf(object)}`, { object, untilMs: this.#clock.nowMs() + aheadMs });
  }
}

/** Resource versions of one kind compare as integers (Kubernetes API concepts, "Resource versions"). */
function versionOf(object: ApiObject): bigint {
  const version = object.metadata?.resourceVersion ?? '0';
  return /^\d+$/.test(version) ? BigInt(version) : 0n;
}
