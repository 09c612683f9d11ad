/** The data path as the rest of the proxy sees it: on the calling thread (one-thread.ts) or on several (workers.ts). */
import type { Reply } from '../admin/http-server.ts';
import type { Overload, Table } from '../config/table.ts';
import type { LocalNode } from '../http/plane.ts';
import type { DrainRequest } from '../net/draining.ts';
import type { Interception } from '../net/interception.ts';
import type { Stat } from '../telemetry/stat.ts';
import type { Workload } from '../telemetry/workload.ts';

/** What a data path is made with besides its table: it can be sent to another thread. */
export interface PlaneSettings {
  readonly overload: Overload | null;
  /** How long connections stay whose filter chain is gone, milliseconds. */
  readonly drainMs: number;
  readonly interception: Interception | null;
  readonly node: LocalNode;
  /** Null makes no Istio metrics. */
  readonly workload: Workload | null;
  /** `spiffe://…`; '' without a certificate. */
  readonly principal: string;
}

export interface Counts {
  readonly stats: Stat[];
  /** Istio's standard metrics; empty when the proxy belongs to no workload. */
  readonly istio: Stat[];
}

export interface BoundPort {
  readonly name: string;
  readonly port: number;
}

export interface DataPlane {
  /** Threads that serve. */
  readonly concurrency: number;
  /** Threads that fell, and were replaced. */
  readonly replaced: number;
  /** The table that was applied last. */
  readonly table: Table;
  readonly listeners: readonly BoundPort[];
  readonly draining: boolean;
  /** Port of a bound listener, which matters when it was bound to port 0; 0 when there is none. */
  portOf(listener: string): number;
  /** Swaps the table in; rejects, naming each, when listeners cannot be bound: the rest holds nevertheless. */
  apply(table: Table): Promise<void>;
  /** From now on callers are asked to come back on another connection; new ones are still served. */
  beginDrain(request: DrainRequest): void;
  /** POST /healthcheck/fail and /healthcheck/ok. */
  failHealth(failed: boolean): void;
  /** Lets callers go; resolves when no connection is left after `minimumMs`, or at `limitMs`. */
  drain(limitMs: number, minimumMs: number): Promise<void>;
  /** Accepts no more connections, on all listeners or the inbound ones. */
  closeListeners(inboundOnly: boolean): void;
  /** `unusedClusters` tells clusters that nothing was sent to as well. */
  counts(unusedClusters: boolean): Promise<Counts>;
  /** The page /clusters; `fixed` are the clusters of the bootstrap file. */
  clustersPage(query: string, fixed: readonly string[]): Promise<Reply>;
  resetCounters(): void;
  /** Resolves when every thread goes by what it was told before, values of the runtime among it. */
  settled(): Promise<void>;
  /** Sends the spans that wait, then ends everything at once. */
  close(): Promise<void>;
}
