/** What is given up when resources run short (Envoy's overload manager). */
export interface Overload {
  readonly refreshMs: number;
  /** Resident bytes that count as full; null does not look. */
  readonly maxHeapBytes: number | null;
  /** Connections that count as full, and more of which are refused; null does not look. */
  readonly maxConnections: number | null;
  readonly rules: readonly OverloadRule[];
}

export type OverloadAction = 'stopRequests' | 'rejectConnections' | 'closeKeepAlive';

/** The action is taken as far as its strongest trigger says. */
export interface OverloadRule {
  readonly action: OverloadAction;
  readonly triggers: ReadonlyArray<{
    readonly resource: 'heap' | 'connections';
    /** Shares of the resource in use: from `from` on the action begins, at `to` it is taken always; equal for a threshold. */
    readonly from: number;
    readonly to: number;
  }>;
}
