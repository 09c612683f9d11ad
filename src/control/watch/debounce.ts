/**
 * Gathers changes, so that a rollout that touches a hundred objects is one push:
 *
 *   configuration ──► wait for 100 ms of quiet, 10 s at most ──┐
 *   endpoints ─────► next turn of the event loop ──────────────┴─► run (never two at once)
 */
import type { ChangeScope } from './source.ts';

export interface DebounceOptions {
  /** 100 unless told. */
  quietMs?: number;
  /** 10,000 unless told. */
  maxMs?: number;
  /** `changedAtMs` is when the oldest of the changes was seen (`performance.now()`). Must not throw. */
  run(changedAtMs: number, scope: ChangeScope): void;
}

export class Debounce {
  readonly #options: DebounceOptions;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #firstAtMs = 0;
  #scope: ChangeScope = 'endpoints';
  #isImmediate = false;

  constructor(options: DebounceOptions) {
    this.#options = options;
  }

  change(scope: ChangeScope): void {
    const { quietMs = 100, maxMs = 10_000 } = this.#options;
    const now = performance.now();
    if (this.#timer === null) {
      this.#firstAtMs = now;
      this.#scope = scope;
    } else if (scope === 'configuration') this.#scope = scope;
    if (this.#isImmediate) return;
    this.#cancel();
    // Endpoints that come while configuration waits take it along: a new endpoint must not wait for a busy operator.
    if (scope === 'endpoints') {
      this.#isImmediate = true;
      this.#timer = setImmediate(() => this.#fire());
    } else {
      const delayMs = Math.max(0, Math.min(quietMs, this.#firstAtMs + maxMs - now));
      this.#timer = setTimeout(() => this.#fire(), delayMs);
    }
  }

  stop(): void {
    this.#cancel();
    this.#timer = null;
  }

  #cancel(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
  }

  #fire(): void {
    this.#timer = null;
    this.#isImmediate = false;
    this.#options.run(this.#firstAtMs, this.#scope);
  }
}
