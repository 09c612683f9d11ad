import type { Log } from '../telemetry/log.ts';
import type { DataPlane } from '../workers/data-plane.ts';

export interface LifecycleOptions {
  plane: Pick<DataPlane, 'beginDrain' | 'drain' | 'closeListeners'>;
  terminationDrainMs: number;
  /** Over which time POST /drain_listeners?graceful asks more and more callers to go; 0 asks all at once (Envoy: --drain-strategy). */
  drainSpanMs: number;
  minDrainMs: number;
  exitOnZeroActiveConnections: boolean;
  log: Log;
}

/**
 * How a proxy ends (Istio's agent): SIGTERM drains, at most as long as `terminationDrainDuration` says; after POST /drain, which
 * a native sidecar's pod sends when it begins to end, SIGTERM ends it at once; POST /quitquitquit too.
 *
 *     running ──SIGTERM──► draining ──time is up, or no connection──► ended
 *        ├──/drain──► leaving ──SIGTERM──────────────────────────────► ended
 *        └──/quitquitquit────────────────────────────────────────────► ended
 */
export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #end = Promise.withResolvers<void>();
  #drained = false;
  #terminating = false;
  #unhealthy = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  get ended(): Promise<void> {
    return this.#end.promise;
  }

  /** False once callers should stay away. */
  get accepts(): boolean {
    return !this.#drained && !this.#terminating && !this.#unhealthy;
  }

  failHealth(failed: boolean): void {
    this.#unhealthy = failed;
  }

  /** Starts to drain and goes on for as long as the process lives. */
  drainNow(): void {
    if (this.#drained || this.#terminating) return;
    this.#drained = true;
    this.#options.log.info('draining');
    this.#options.plane.beginDrain({ inboundOnly: false, spanMs: 0 });
  }

  /**
   * POST /drain_listeners: closes the listeners at once, or `graceful`ly after the time of draining, in which callers are asked
   * to leave; with `skipExit` it only asks. The proxy stays ready meanwhile, as Envoy does.
   */
  drainListeners({ graceful, skipExit, inboundOnly }: { graceful: boolean; skipExit: boolean; inboundOnly: boolean }) {
    const { plane, terminationDrainMs, drainSpanMs } = this.#options;
    if (!graceful && !skipExit) {
      plane.closeListeners(inboundOnly);
      return;
    }
    plane.beginDrain({ inboundOnly, spanMs: drainSpanMs });
    if (!skipExit) setTimeout(() => plane.closeListeners(inboundOnly), terminationDrainMs).unref();
  }

  quit(): void {
    this.#options.log.info('ending at once, as asked');
    this.#end.resolve();
  }

  /** SIGTERM or SIGINT. A second one ends at once. */
  terminate(): void {
    if (this.#drained || this.#terminating) {
      this.#end.resolve();
      return;
    }
    this.#terminating = true;
    const { terminationDrainMs, minDrainMs, exitOnZeroActiveConnections, log } = this.#options;
    log.info(`draining for at most ${terminationDrainMs} ms`);
    const minimumMs = exitOnZeroActiveConnections ? Math.min(minDrainMs, terminationDrainMs) : terminationDrainMs;
    void this.#options.plane.drain(terminationDrainMs, minimumMs).then(() => {
      log.info('drained');
      this.#end.resolve();
    });
  }
}
