import { setTimeout as pause } from 'node:timers/promises';

/** Asks again every 50 ms until the probe gives something truthy, which is returned. Throws, naming the thing, after `limitMs`. */
export async function until<T>(
  what: string,
  limitMs: number,
  probe: () => T | Promise<T>,
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const found = await probe();
    if (found) return found as Exclude<T, false | 0 | '' | null | undefined>;
    if (Date.now() > deadline) throw new Error(`${what}: not ready after ${limitMs / 1000} s`);
    await pause(50);
  }
}
