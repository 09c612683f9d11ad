/**
 * Gathers changes, so that a rollout that touches a hundred objects is one push:
 *
 *   configuration ──► wait for 100 ms of quiet, 10 s at most ──┐
 *   endpoints ─────► at once, 50 ms apart at least ────────────┴─► run
 */
import type { ChangeScope } from './source.ts';

export interface DebounceOptions {
  /** 100 unless told. */
  quietMs?: number;
  /** 10,000 unless told. */
  maxMs?: number;
  /** Between two runs; 50 unless told. */
  spacingMs?: number;
  /** `changedAtMs` is when the oldest of the changes was seen (`performance.now()`). Must not throw. */
  run(changedAtMs: number, scope: ChangeScope): void;
}

export class Debounce {
  readonly #options: DebounceOptions;
  #timer: NodeJS.Timeout | null = null;
  #firstAtMs = 0;
  #scope: ChangeScope = 'endpoints';
  #isUrgent = false;
  #ranAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: DebounceOptions) {
    this.#options = options;
  }

  change(scope: ChangeScope): void {
    const { quietMs = 100, maxMs = 10_000, spacingMs = 50 } = this.#options;
    const now = performance.now();
    if (this.#timer === null) {
      this.#firstAtMs = now;
      this.#scope = scope;
    } else if (scope === 'configuration') this.#scope = scope;
    if (this.#isUrgent) return;
    this.stop();
    // Endpoints that come while configuration waits take it along: a new endpoint must not wait for a busy operator.
    this.#isUrgent = scope === 'endpoints';
    const dueAtMs = this.#isUrgent ? this.#ranAtMs + spacingMs : Math.min(now + quietMs, this.#firstAtMs + maxMs);
    this.#timer = setTimeout(() => this.#fire(), Math.max(0, dueAtMs - now));
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#isUrgent = false;
  }

  #fire(): void {
    this.#timer = null;
    this.#isUrgent = false;
    this.#ranAtMs = performance.now();
    this.#options.run(this.#firstAtMs, this.#scope);
  }
}
