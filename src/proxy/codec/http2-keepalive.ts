/** How a connection is asked whether it still stands (Envoy: connection_keepalive). */
export interface Http2Keepalive {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Share of the interval that is added to it at most, drawn anew each time; per cent. */
  readonly jitterPercent: number;
}

/** PINGs that go out at intervals. Whatever comes from the peer meanwhile shows that it is there, and gives it its time anew. */
export class KeepalivePings {
  private readonly settings: Http2Keepalive;
  private readonly ping: () => void;
  private readonly lost: () => void;
  private next: NodeJS.Timeout | null = null;
  private deadline: NodeJS.Timeout | null = null;

  constructor(settings: Http2Keepalive, ping: () => void, lost: () => void) {
    this.settings = settings;
    this.ping = ping;
    this.lost = lost;
    this.schedule();
  }

  private schedule(): void {
    const { intervalMs, timeoutMs, jitterPercent } = this.settings;
    const waitMs = intervalMs * (1 + (Math.random() * jitterPercent) / 100);
    this.next = setTimeout(() => {
      this.ping();
      this.deadline = setTimeout(this.lost, timeoutMs);
    }, waitMs);
    this.next.unref();
  }

  heard(): void {
    this.deadline?.refresh();
  }

  answered(): void {
    if (this.deadline === null) return;
    clearTimeout(this.deadline);
    this.deadline = null;
    this.schedule();
  }

  stop(): void {
    if (this.next !== null) clearTimeout(this.next);
    if (this.deadline !== null) clearTimeout(this.deadline);
    this.deadline = null;
  }
}
