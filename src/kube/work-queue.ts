/**
 * Keys that wait to be processed, each at most once at a time.
 *
 *   add ──► waiting ──► processing ──► done
 *              ▲            │ added meanwhile: waiting again
 *              └─ due time ◄┘ failed: back-off; asked for: requeueAfterMs
 */
import { backoffMs, type Clock, systemClock } from './clock.ts';

/** What processing a key ends in: nothing more to do, or look again later. A throw means back-off. */
export type Outcome = { requeueAfterMs: number } | undefined;

export interface WorkQueueOptions {
  /** Must be level-based: it is told which key, never what happened. */
  process: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Keys processed at the same time; 1 unless told. */
  concurrency?: number;
  firstBackoffMs?: number;
  maxBackoffMs?: number;
  clock?: Clock;
  random?: () => number;
  onError?: (key: string, error: Error, retryInMs: number) => void;
}

interface Due {
  cancel: () => void;
  atMs: number;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  readonly #waiting = new Set<string>();
  readonly #processing = new Set<string>();
  readonly #again = new Set<string>();
  readonly #due = new Map<string, Due>();
  readonly #failures = new Map<string, number>();
  readonly #ending = new AbortController();
  #running = false;
  #idle: Array<() => void> = [];

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Keys that wait or are being processed; those with a later due time do not count. */
  get length(): number {
    return this.#waiting.size + this.#processing.size;
  }

  /** Processes `key` as soon as there is room, whatever its back-off. */
  add(key: string): void {
    if (this.#ending.signal.aborted) return;
    this.#cancelDue(key);
    if (this.#processing.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#pump();
  }

  /** Processes `key` after `delayMs`, or earlier when it is due earlier already. */
  addAfter(key: string, delayMs: number): void {
    if (this.#ending.signal.aborted) return;
    const atMs = this.#clock.nowMs() + delayMs;
    const known = this.#due.get(key);
    if (known && known.atMs <= atMs) return;
    known?.cancel();
    this.#due.set(key, { atMs, cancel: this.#clock.schedule(delayMs, () => this.add(key)) });
  }

  start(): this {
    this.#running = true;
    this.#pump();
    return this;
  }

  /** Takes no more keys and resolves when those in progress, whose signal it aborts, have ended. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#waiting.clear();
    for (const key of [...this.#due.keys()]) this.#cancelDue(key);
    await this.whenIdle();
  }

  /** Resolves when nothing waits and nothing is processed; what is due later does not count. */
  whenIdle(): Promise<void> {
    if (this.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #cancelDue(key: string): void {
    this.#due.get(key)?.cancel();
    this.#due.delete(key);
  }

  #pump(): void {
    if (!this.#running) return;
    for (const key of this.#waiting) {
      if (this.#processing.size >= (this.#options.concurrency ?? 1)) return;
      this.#waiting.delete(key);
      this.#processing.add(key);
      void this.#process(key);
    }
  }

  async #process(key: string): Promise<void> {
    try {
      const outcome = await this.#options.process(key, this.#ending.signal);
      this.#failures.delete(key);
      if (outcome) this.addAfter(key, outcome.requeueAfterMs);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      const failures = this.#failures.get(key) ?? 0;
      const { firstBackoffMs = 200, maxBackoffMs = 60_000, random } = this.#options;
      const retryInMs = backoffMs(failures, firstBackoffMs, maxBackoffMs, random);
      if (!this.#ending.signal.aborted) {
        this.#failures.set(key, failures + 1);
        this.addAfter(key, retryInMs);
        this.#options.onError?.(key, error, retryInMs);
      }
    }
    this.#processing.delete(key);
    if (this.#again.delete(key)) this.add(key);
    this.#pump();
    if (this.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
