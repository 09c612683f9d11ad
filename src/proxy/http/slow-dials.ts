import { output } from '../net/output.ts';
import type { UpstreamCall } from '../upstream/upstream-call.ts';

/** A SYN that nobody has answered by then has most likely gone to an address that is no more. */
const silentMs = 300;
const maxDials = 3;

/**
 * The connections that one request has begun and does not wait for alone any more, each to another host. Whichever stands
 * first is used, the others become idle connections of the pool. Only silence of the peer's kernel counts as slow: more
 * handshakes would make a host that is merely busy slower still.
 */
export class SlowDials {
  private readonly connections: UpstreamCall[] = [];
  private timer: NodeJS.Timeout | null = null;

  /** Calls `onSilence` when nobody answers the SYN; never when enough connections have been begun. */
  watch(connection: UpstreamCall, onSilence: () => void): void {
    if (this.connections.length >= maxDials - 1) return;
    this.stop();
    const timer = setTimeout(() => {
      // After a poll: this thread itself may have been too busy to see the answer.
      setImmediate(() => {
        if (this.timer !== timer) return;
        this.timer = null;
        if (connection.silent) output.turn(onSilence);
      });
    }, silentMs);
    this.timer = timer;
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  /** Leaves the connection without a stream; `take` is asked when it stands. */
  add(connection: UpstreamCall, take: (connection: UpstreamCall) => boolean): void {
    connection.stream = null;
    connection.claim = take;
    this.connections.push(connection);
  }

  get any(): boolean {
    return this.connections.length > 0;
  }

  /** One that may still come to stand; null when there is none. */
  get pending(): UpstreamCall | null {
    return this.connections.find(({ pending }) => pending) ?? null;
  }
}
