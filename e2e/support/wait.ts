import { setTimeout as pause } from 'node:timers/promises';

/** What a probe gives once it has found something. */
export type Found<T> = Exclude<T, false | 0 | '' | null | undefined>;

export interface WaitOptions {
  /** What is waited for, for the error: "reviews to be ready". */
  what: string;
  /** 60,000 unless told. */
  timeoutMs?: number;
  /** 250 unless told. */
  everyMs?: number;
}

/**
 * Asks again and again until the probe gives something truthy, which is returned. A probe that throws counts as not yet.
 * Throws after the time with what was waited for and what the probe last gave or threw.
 */
export async function waitFor<T>(probe: () => T | Promise<T>, options: WaitOptions): Promise<Found<T>> {
  const { what, timeoutMs = 60_000, everyMs = 250 } = options;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const found = await probe();
      if (found) return found as Found<T>;
      last = found;
    } catch (error) {
      last = error instanceof Error ? error.message : error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s for ${what}; last seen: ${String(last)}`);
    await pause(everyMs);
  }
}
