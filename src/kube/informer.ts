/**
 * A live copy of the objects of one kind: list, then watch, for as long as it runs.
 *
 *   list (pages) ──► watch from the list's version ──► event ─┐
 *     ▲                     ▲   ▲                             │ store, handlers
 *     │ 410 Gone            │   └─────────────────────────────┘
 *     └──────── back-off ◄──┴── dropped, stalled, refused, 429
 *
 * A dropped watch resumes at the last version seen (bookmarks keep it young); an expired version means a new list, whose
 * differences to the store, deletions too, are told as events. What the handlers have been told is always what the store holds.
 */
import type { KubeClient, Selection } from './client.ts';
import { backoffMs, type Clock, pause, systemClock } from './clock.ts';
import { ApiError, isExpired, isNotFound } from './error.ts';
import { type ApiObject, keyOf, type Resource } from './object.ts';

export interface InformerHandlers<S> {
  add?(object: S, key: string): void;
  update?(object: S, previous: S, key: string): void;
  /** The last state seen. */
  delete?(object: S, key: string): void;
}

export interface InformerOptions<T extends ApiObject, S> extends Selection {
  /** What of each object is kept; everything unless told. Keeps memory small: managed fields are always dropped. */
  project?: (object: T) => S;
  pageSize?: number;
  clock?: Clock;
  /** Told of every failure that is being retried, and of handlers that threw. */
  onError?: (error: Error) => void;
  /** No byte for so long, while bookmarks come about every minute, is a dead connection. 150 s unless told. */
  stallMs?: number;
  /** The server ends each watch after a random time between this and its double (spreads reconnections). 300 s unless told. */
  watchSeconds?: number;
  firstBackoffMs?: number;
  maxBackoffMs?: number;
  /** How often to look again for a kind that the server does not have (a CRD not installed). 5 s unless told. */
  absentRetryMs?: number;
}

interface Entry<S> {
  version: string;
  value: S;
}

export class Informer<T extends ApiObject, S = T> {
  readonly resource: Resource<T>;
  /** Resolves when the first list is in the store and has been told. A kind that the server does not have counts as empty. */
  readonly synced: Promise<void>;
  /** The failure that is being retried, null when all is well. */
  lastError: Error | null = null;

  readonly #client: KubeClient;
  readonly #options: InformerOptions<T, S>;
  readonly #clock: Clock;
  readonly #store = new Map<string, Entry<S>>();
  readonly #handlers = new Set<InformerHandlers<S>>();
  readonly #ending = new AbortController();
  #resolveSynced: () => void = () => {};
  #hasSynced = false;
  #failures = 0;
  #run: Promise<void> | null = null;

  constructor(client: KubeClient, resource: Resource<T>, options: InformerOptions<T, S> = {}) {
    this.#client = client;
    this.resource = resource;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get size(): number {
    return this.#store.size;
  }

  /** By `namespace/name`, or `name` for cluster-scoped kinds. */
  get(key: string): S | undefined {
    return this.#store.get(key)?.value;
  }

  values(): S[] {
    return Array.from(this.#store.values(), (entry) => entry.value);
  }

  keys(): IterableIterator<string> {
    return this.#store.keys();
  }

  /** Adds a listener; what the store already holds is told at once as additions. Returns its removal. */
  on(handlers: InformerHandlers<S>): () => void {
    this.#handlers.add(handlers);
    for (const [key, entry] of this.#store) this.#guard(() => handlers.add?.(entry.value, key));
    return () => this.#handlers.delete(handlers);
  }

  start(): this {
    this.#run ??= this.#follow();
    return this;
  }

  /** Ends the watch; the store stays as it was. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#run;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending;
    let version: string | null = null;
    while (!signal.aborted) {
      try {
        if (version === null) {
          version = await this.#list();
          // The count of failures stays: a list whose watch expires at once must not go round without a pause.
          this.lastError = null;
        }
        for await (const event of this.#watch(version)) {
          version = event.object.metadata?.resourceVersion ?? version;
          // Only now: a server that accepts watches and drops them at once must not be asked without a pause.
          this.#wentWell();
          if (event.type === 'BOOKMARK') continue;
          if (event.type === 'DELETED') this.#remove(keyOf(event.object));
          else this.#put(event.object);
        }
        // The server's timeout or a drop between two events: go on where it ended.
        if (!signal.aborted) await this.#pauseAfterEnd();
      } catch (error) {
        if (signal.aborted) return;
        const failure = error instanceof Error ? error : new Error(String(error));
        if (isExpired(failure)) {
          version = null;
          // The first expiry is ordinary and is answered at once; one right after a list is not.
          if (this.#failures++ > 0) await this.#backOff(failure);
        } else if (isNotFound(failure)) {
          version = null;
          this.#becomeEmpty();
          await pause(this.#clock, this.#options.absentRetryMs ?? 5_000, signal);
        } else {
          // A stream cut within a line, an unreadable event or a refused watch: the version still holds.
          this.#failures++;
          await this.#backOff(failure);
        }
      }
    }
  }

  #endedAtMs = Number.NEGATIVE_INFINITY;

  /** Watches normally live for minutes: the second one to end within a second waits. */
  async #pauseAfterEnd(): Promise<void> {
    const now = this.#clock.nowMs();
    const quick = now - this.#endedAtMs < 1_000;
    this.#endedAtMs = now;
    if (!quick) this.#wentWell();
    else
      await pause(
        this.#clock,
        backoffMs(this.#failures++, this.#firstBackoffMs, this.#maxBackoffMs),
        this.#ending.signal,
      );
  }

  get #firstBackoffMs(): number {
    return this.#options.firstBackoffMs ?? 200;
  }

  get #maxBackoffMs(): number {
    return this.#options.maxBackoffMs ?? 30_000;
  }

  #wentWell(): void {
    this.#failures = 0;
    this.lastError = null;
  }

  async #backOff(failure: Error): Promise<void> {
    this.lastError = failure;
    this.#options.onError?.(failure);
    const asked = failure instanceof ApiError ? (failure.retryAfterMs ?? 0) : 0;
    const delayMs = Math.max(
      Math.min(asked, this.#maxBackoffMs),
      backoffMs(this.#failures - 1, this.#firstBackoffMs, this.#maxBackoffMs),
    );
    await pause(this.#clock, delayMs, this.#ending.signal);
  }

  async #list(): Promise<string> {
    const { namespace, labelSelector, fieldSelector, pageSize } = this.#options;
    const seen = new Set<string>();
    let version = '';
    const selection = { namespace, labelSelector, fieldSelector, pageSize, signal: this.#ending.signal };
    for await (const page of this.#client.pages(this.resource, selection)) {
      for (const object of page.items) {
        seen.add(keyOf(object));
        this.#put(object);
      }
      version = page.resourceVersion;
    }
    for (const key of [...this.#store.keys()]) if (!seen.has(key)) this.#remove(key);
    this.#markSynced();
    return version;
  }

  #watch(resourceVersion: string) {
    const { namespace, labelSelector, fieldSelector, stallMs = 150_000, watchSeconds = 300 } = this.#options;
    const timeoutSeconds = Math.ceil(watchSeconds * (1 + Math.random()));
    const { signal } = this.#ending;
    return this.#client.watch(this.resource, {
      namespace,
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds,
      stallMs,
      signal,
    });
  }

  #becomeEmpty(): void {
    for (const key of [...this.#store.keys()]) this.#remove(key);
    this.#wentWell();
    this.#markSynced();
  }

  #markSynced(): void {
    this.#hasSynced = true;
    this.#resolveSynced();
  }

  #put(object: T): void {
    const key = keyOf(object);
    const version = object.metadata?.resourceVersion ?? '';
    const known = this.#store.get(key);
    if (known && known.version === version) return;
    if (object.metadata) delete (object.metadata as { managedFields?: unknown }).managedFields;
    let value: S;
    try {
      value = this.#options.project ? this.#options.project(object) : (object as unknown as S);
    } catch (error) {
      this.#options.onError?.(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#store.set(key, { version, value });
    for (const each of this.#handlers)
      this.#guard(() => (known ? each.update?.(value, known.value, key) : each.add?.(value, key)));
  }

  #remove(key: string): void {
    const known = this.#store.get(key);
    if (!known) return;
    this.#store.delete(key);
    for (const each of this.#handlers) this.#guard(() => each.delete?.(known.value, key));
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#options.onError?.(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
