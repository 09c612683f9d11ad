/** Requests that the proxy makes on its own account, over a cluster's connections: authorization, rate limits, key sets, spans. */
import { HeaderBlock, returnBlock } from '../codec/header-block.ts';
import { edit } from '../codec/header-edit.ts';
import { unknownAddress } from '../net/connection.ts';
import { output } from '../net/output.ts';
import type { ClusterPool } from './cluster.ts';
import type { Host } from './host.ts';
import type { UpstreamCall, UpstreamStream } from './upstream-call.ts';

export interface SideRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** In lower case, without those of framing. Values are of Latin-1. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
  /** Null without one. */
  readonly body: Buffer | null;
  readonly timeoutMs: number;
  /** A longer body is a failure. */
  readonly maxBodyBytes: number;
}

export interface SideAnswer {
  readonly status: number;
  /** Trailers come last. */
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: Buffer;
}

export type SideFailure =
  | { readonly kind: 'noCluster' | 'noHost' | 'overflow' | 'timeout' | 'tooLarge' }
  | { readonly kind: 'reset'; readonly reason: string };

/** Exactly one of both is not null. */
export type SideDone = (answer: SideAnswer | null, failure: SideFailure | null) => void;

const noFields = new HeaderBlock();

/** Begins with `start`, ends with `done`, at most once, which may be called before `start` returns; never after `cancel`. */
export class SideCall implements UpstreamStream {
  readonly upgrading = false;
  readonly caller = null;
  readonly #request: SideRequest;
  readonly #done: SideDone;
  #pool: ClusterPool | null = null;
  #connection: UpstreamCall | null = null;
  #timer: NodeJS.Timeout | null = null;
  #status = 0;
  readonly #fields: Array<readonly [string, string]> = [];
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #over = false;

  constructor(request: SideRequest, done: SideDone) {
    this.#request = request;
    this.#done = done;
  }

  /** `pool` is null for a cluster that is not there; `chosen` is asked instead of a host that the cluster chooses. */
  start(pool: ClusterPool | null, chosen: Host | null = null): void {
    const { timeoutMs, authority } = this.#request;
    if (pool === null) {
      this.#fail({ kind: 'noCluster' });
      return;
    }
    if (!pool.breaker.takesRequests) {
      pool.counters.upstreamRqPendingOverflow++;
      this.#fail({ kind: 'overflow' });
      return;
    }
    const host = chosen ?? pool.pick({ hash: null, avoid: null, subset: null, spent: null }, unknownAddress);
    if (host === null) {
      pool.counters.upstreamCxNoneHealthy++;
      this.#fail({ kind: 'noHost' });
      return;
    }
    this.#pool = pool;
    pool.breaker.requests++;
    if (timeoutMs > 0) this.#timer = setTimeout(() => output.turn(() => this.#giveUp({ kind: 'timeout' })), timeoutMs);
    const connection = pool.acquire(host, this, authority, false, false);
    if (connection === null) this.#fail({ kind: 'overflow' });
    else if (connection !== 'waiting') this.onGiven(connection);
  }

  /** Gives it up; `done` is not called any more. */
  cancel(): void {
    this.#leave();
    this.#close();
  }

  onGiven(connection: UpstreamCall): void {
    this.#connection = connection;
    if (connection.ready) this.onReady();
  }

  onReady(): void {
    const { method, authority, path, fields, body } = this.#request;
    const connection = this.#connection!;
    edit.begin(noFields);
    for (const [name, value] of fields) edit.add(name, value);
    if (body !== null) edit.add('content-length', String(body.length));
    connection.sendHead({
      method,
      scheme: connection.host.tls === null ? 'http' : 'https',
      authority,
      path,
      block: noFields,
      edit,
      framing: body === null ? 'none' : 'length',
      upgrade: '',
    });
    if (body !== null && body.length > 0) connection.sendBody(body, 0, body.length);
    connection.sendEnd(null);
  }

  onInterim(): void {}

  onHead(block: HeaderBlock): void {
    this.#status = block.status;
    this.#take(block);
    returnBlock(block);
  }

  #take(block: HeaderBlock): void {
    for (let i = 0; i < block.count; i++) this.#fields.push([block.name(i).toLowerCase(), block.value(i)]);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > this.#request.maxBodyBytes) this.#giveUp({ kind: 'tooLarge' });
    else this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
  }

  onComplete(trailers: HeaderBlock | null): void {
    if (this.#over) return;
    this.#connection = null;
    if (trailers !== null) this.#take(trailers);
    this.#close();
    this.#done({ status: this.#status, fields: this.#fields, body: Buffer.concat(this.#pieces) }, null);
  }

  onFailure(reason: string): void {
    this.#connection = null;
    this.#fail({ kind: 'reset', reason });
  }

  onUpstreamDrain(): void {}

  #giveUp(failure: SideFailure): void {
    this.#leave();
    this.#fail(failure);
  }

  #leave(): void {
    if (this.#over) return;
    if (this.#connection !== null) this.#connection.abandon();
    else this.#pool?.stopWaiting(this);
    this.#connection = null;
  }

  #fail(failure: SideFailure): void {
    if (this.#over) return;
    this.#close();
    this.#done(null, failure);
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#pool !== null) this.#pool.breaker.requests--;
  }
}

/** What Envoy adds to requests of its own: services may tell by it that no user asks. */
export const internalFields = (timeoutMs: number): Array<readonly [string, string]> => [
  ['x-envoy-internal', 'true'],
  ...(timeoutMs > 0 ? [['x-envoy-expected-rq-timeout-ms', String(timeoutMs)] as const] : []),
];

/** First value of a field or trailer; null without one. */
export function fieldOf({ fields }: SideAnswer, name: string): string | null {
  for (const [given, value] of fields) if (given === name) return value;
  return null;
}
