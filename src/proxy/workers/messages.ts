/** What the main thread and a worker say to each other; everything can be cloned. */
import type { Reply } from '../admin/http-server.ts';
import type { Secret } from '../config/references.ts';
import type { DrainRequest } from '../net/draining.ts';
import type { BoundPort, Counts, PlaneSettings } from './data-plane.ts';
import type { TableImage } from './table-image.ts';

/** How a worker begins. */
export interface WorkerStart {
  readonly kind: 'lateen proxy worker';
  readonly index: number;
  readonly settings: PlaneSettings;
  readonly secrets: ReadonlyArray<readonly [name: string, secret: Secret]>;
  readonly runtimeValues: ReadonlyMap<string, string>;
  /** Shared memory of one Int32 for each worker: its open connections. */
  readonly active: SharedArrayBuffer;
}

/** What a worker is asked for, and what it answers. */
export interface Asks {
  /** `ports` were chosen by the system for another worker. */
  apply: [
    { image: TableImage; ports: ReadonlyMap<string, number> },
    { fault: string | null; ports: ReadonlyMap<string, number>; listeners: readonly BoundPort[] },
  ];
  drain: [{ limitMs: number; minimumMs: number }, null];
  counts: [{ unusedClusters: boolean }, Counts];
  clustersPage: [{ query: string; fixed: readonly string[] }, Reply];
  /** Orders are taken in turn: its answer says that those before it were. */
  settled: [null, null];
  close: [null, null];
}
export type AskKind = keyof Asks;

/** To a worker. */
export type Order =
  | { readonly kind: 'ask'; readonly id: number; readonly what: AskKind; readonly given: unknown }
  | { readonly kind: 'secret'; readonly name: string; readonly secret: Secret | null }
  | { readonly kind: 'runtime'; readonly values: ReadonlyMap<string, string> }
  | { readonly kind: 'beginDrain'; readonly request: DrainRequest }
  | { readonly kind: 'failHealth'; readonly failed: boolean }
  | { readonly kind: 'closeListeners'; readonly inboundOnly: boolean }
  | { readonly kind: 'resetCounters' };

/** From a worker. */
export type Word =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'lines'; readonly path: string; readonly lines: string }
  | { readonly kind: 'unexpected'; readonly text: string };

/** A buffer out of a pool is sent with the whole pool: material that leaves the thread has memory of its own. */
export function sendable(secret: Secret): Secret {
  const own = (bytes: Buffer) => Buffer.from(new Uint8Array(bytes).buffer);
  return secret.kind === 'certificate'
    ? { kind: 'certificate', chain: own(secret.chain), key: own(secret.key) }
    : { kind: 'trust', roots: own(secret.roots), ...(secret.crl && { crl: own(secret.crl) }) };
}

/** Buffers arrive as plain arrays of bytes. */
export function received(secret: Secret): Secret {
  const whole = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return secret.kind === 'certificate'
    ? { kind: 'certificate', chain: whole(secret.chain), key: whole(secret.key) }
    : { kind: 'trust', roots: whole(secret.roots), ...(secret.crl && { crl: whole(secret.crl) }) };
}
