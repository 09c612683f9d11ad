import type { Thresholds } from '../config/table.ts';

/** What is in use of a cluster by requests of one priority, against what may be (Envoy documentation, "Circuit breaking"). */
export class Breaker {
  readonly limits: Thresholds;
  connections = 0;
  /** Connections that do not stand yet: a request waits for each. */
  dialing = 0;
  /** Requests that wait for another's connection. */
  waiting = 0;
  requests = 0;
  retries = 0;

  constructor(limits: Thresholds) {
    this.limits = limits;
  }

  get takesRequests(): boolean {
    return this.requests < this.limits.maxRequests;
  }

  get takesConnections(): boolean {
    return this.connections < this.limits.maxConnections;
  }

  get pending(): number {
    return this.dialing + this.waiting;
  }

  get takesPending(): boolean {
    return this.pending < this.limits.maxPending;
  }

  /** A budget grows with the requests under way (Envoy: RetryBudget). */
  get maxRetries(): number {
    const { retryBudgetPercent: percent, minRetries, maxRetries } = this.limits;
    if (percent === null) return maxRetries;
    return Math.max(minRetries, Math.floor((percent * (this.requests + this.pending)) / 100));
  }

  get takesRetries(): boolean {
    return this.retries < this.maxRetries;
  }
}
