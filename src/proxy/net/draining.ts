import type { Listener } from '../config/table.ts';

export interface DrainRequest {
  /** Only callers of inbound listeners are asked to go. */
  readonly inboundOnly: boolean;
  /** The share of answers that ask grows from none to all in this time, milliseconds; 0 asks in every answer at once. */
  readonly spanMs: number;
}

/** How far the process is in letting its callers go (Envoy documentation, "Draining": DrainManagerImpl::drainClose). */
export class Draining {
  /** -1 while nobody is asked to go. */
  private sinceTick = -1;
  private request: DrainRequest = { inboundOnly: false, spanMs: 0 };

  get active(): boolean {
    return this.sinceTick >= 0;
  }

  /** What is under way is only ever widened: to more listeners, to an earlier end. */
  begin(request: DrainRequest, now: number): void {
    const before = this.request;
    if (this.sinceTick < 0) this.request = request;
    else
      this.request = {
        inboundOnly: before.inboundOnly && request.inboundOnly,
        spanMs: Math.min(before.spanMs, now - this.sinceTick + request.spanMs),
      };
    if (this.sinceTick < 0) this.sinceTick = now;
  }

  /** Whether the listener's callers are all to go, idle ones too. */
  complete(listener: Listener, now: number): boolean {
    return this.shareFor(listener, now) >= 1;
  }

  /** Whether this answer asks its caller to come back on another connection. */
  asks(listener: Listener, now: number): boolean {
    const share = this.shareFor(listener, now);
    return share > 0 && (share >= 1 || Math.random() < share);
  }

  private shareFor({ direction }: Listener, now: number): number {
    if (this.sinceTick < 0) return 0;
    const { inboundOnly, spanMs } = this.request;
    if (inboundOnly && direction !== 'inbound') return 0;
    return spanMs <= 0 ? 1 : Math.min(1, (now - this.sinceTick) / spanMs);
  }
}
