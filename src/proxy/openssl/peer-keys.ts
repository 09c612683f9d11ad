import type { TlsConnection } from './connection.ts';

/** Handshakes come first: only who has stayed this long is worth the work. */
const ageMs = 1000;
/** Some 3 ms of work, and a pause for others. */
const atOnce = 32;
const pauseMs = 10;

/** Since when; in the order of their coming. */
const waiting = new Map<TlsConnection, number>();
let timer: NodeJS.Timeout | null = null;

/** Takes a connection that has lived for a second to `forgetPeerKey`; one that ended meanwhile never pays for it. */
export function forgetPeerKeySoon(connection: TlsConnection): void {
  waiting.set(connection, performance.now());
  if (timer === null) timer = setTimeout(work, ageMs).unref();
}

/** It has ended. */
export function keepNoPeerKey(connection: TlsConnection): void {
  waiting.delete(connection);
}

function work(): void {
  timer = null;
  const now = performance.now();
  let left = atOnce;
  for (const [connection, since] of waiting) {
    const age = now - since;
    if (age < ageMs || left === 0) {
      timer = setTimeout(work, Math.max(pauseMs, ageMs - age)).unref();
      return;
    }
    waiting.delete(connection);
    connection.forgetPeerKey();
    left--;
  }
}
