import { output } from '../net/output.ts';
import type { Http1Upstream } from '../upstream/http1-upstream.ts';

/** A SYN that nobody has answered by then has most likely gone to an address that is no more. */
const silentMs = 300;
/** Where TCP stands and TLS does not, the peer is there, and busy as a rule. */
const handshakeMs = 1000;
const maxDials = 3;

/**
 * The connections that one request has begun and does not wait for alone any more, each to another host. Whichever stands
 * first is used, the others become idle connections of the pool.
 */
export class SlowDials {
  private readonly connections: Http1Upstream[] = [];
  private timer: NodeJS.Timeout | null = null;

  /** Calls `onSlow` when the connection takes long; never when enough have been begun. */
  watch(connection: Http1Upstream, onSlow: () => void): void {
    if (this.connections.length >= maxDials - 1) return;
    this.after(silentMs, () => {
      if (connection.ready || connection.transport.socket.connecting) onSlow();
      else this.after(handshakeMs - silentMs, onSlow);
    });
  }

  private after(ms: number, work: () => void): void {
    this.stop();
    this.timer = setTimeout(() => {
      output.turn(() => {
        this.timer = null;
        work();
      });
    }, ms);
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  /** Leaves the connection without a stream; `take` is asked when it stands. */
  add(connection: Http1Upstream, take: (connection: Http1Upstream) => boolean): void {
    connection.stream = null;
    connection.claim = take;
    this.connections.push(connection);
  }

  get any(): boolean {
    return this.connections.length > 0;
  }

  /** One that may still come to stand; null when there is none. */
  get pending(): Http1Upstream | null {
    return this.connections.find(({ claim, transport }) => claim !== null && !transport.socket.destroyed) ?? null;
  }
}
