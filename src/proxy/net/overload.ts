import type { Overload, OverloadAction } from '../config/table.ts';

/** How far each action is taken now: 0 not at all, 1 always, between them that share of the time. */
export class OverloadState {
  stopRequests = 0;
  rejectConnections = 0;
  closeKeepAlive = 0;
  /** Shares of what is configured as full. */
  heapPressure = 0;
  connectionPressure = 0;
  readonly config: Overload | null;
  private readonly timer: NodeJS.Timeout | null = null;

  /** `active` tells how many connections there are. */
  constructor(config: Overload | null, active: () => number) {
    this.config = config;
    if (config === null) return;
    this.timer = setInterval(() => this.look(active()), config.refreshMs);
    this.timer.unref();
    this.look(0);
  }

  get maxConnections(): number {
    return this.config?.maxConnections ?? Number.POSITIVE_INFINITY;
  }

  private look(active: number): void {
    const { maxHeapBytes, maxConnections, rules } = this.config!;
    this.heapPressure = maxHeapBytes === null ? 0 : process.memoryUsage.rss() / maxHeapBytes;
    this.connectionPressure = maxConnections === null ? 0 : active / maxConnections;
    const shares: Record<OverloadAction, number> = { stopRequests: 0, rejectConnections: 0, closeKeepAlive: 0 };
    for (const { action, triggers } of rules)
      for (const { resource, from, to } of triggers) {
        const pressure = resource === 'heap' ? this.heapPressure : this.connectionPressure;
        const share = pressure >= to ? 1 : pressure <= from ? 0 : (pressure - from) / (to - from);
        if (share > shares[action]) shares[action] = share;
      }
    this.stopRequests = shares.stopRequests;
    this.rejectConnections = shares.rejectConnections;
    this.closeKeepAlive = shares.closeKeepAlive;
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
  }
}

/** Whether an action that is taken to this share is taken now. */
export const taken = (share: number): boolean => share > 0 && (share >= 1 || Math.random() < share);
