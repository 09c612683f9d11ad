/** Spans on their way to a collector: gathered, encoded together, sent through a cluster. */
import type { TraceProvider } from '../config/table.ts';
import type { Plane } from '../http/plane.ts';
import { deliver } from './collector.ts';
import type { Span } from './span.ts';

/** As Envoy: tracing.opentelemetry.flush_interval_ms. */
const gatherMs = 5000;
const batchSpans = 256;
/** Spans beyond this that wait for a slow collector are dropped and counted. */
const maxWaiting = 2048;

/** Counted as `tracing.opentelemetry.*` or `tracing.zipkin.*`. */
export interface SpanCounts {
  spansSent: number;
  spansDropped: number;
  timerFlushed: number;
}

export class SpanExporter {
  readonly provider: TraceProvider;
  readonly counts: SpanCounts = { spansSent: 0, spansDropped: 0, timerFlushed: 0 };
  readonly #encode: (spans: readonly Span[]) => Promise<Buffer>;
  #waiting: Span[] = [];
  #timer: NodeJS.Timeout | null = null;
  #sending = false;

  constructor(provider: TraceProvider, encode: (spans: readonly Span[]) => Promise<Buffer>) {
    this.provider = provider;
    this.#encode = encode;
  }

  add(plane: Plane, span: Span): void {
    if (this.#waiting.length >= maxWaiting) {
      this.counts.spansDropped++;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= batchSpans) void this.flush(plane);
    else
      this.#timer ??= setTimeout(() => {
        this.counts.timerFlushed++;
        void this.flush(plane);
      }, gatherMs).unref();
  }

  /** Sends what waits; one batch is under way at a time. Never rejects. */
  async flush(plane: Plane): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#sending || this.#waiting.length === 0) return;
    const spans = this.#waiting;
    this.#waiting = [];
    this.#sending = true;
    try {
      await deliver(plane, this.provider, await this.#encode(spans));
      this.counts.spansSent += spans.length;
    } catch {
      // Spans are not worth a second try (so does Envoy); the counter tells that some were lost.
      this.counts.spansDropped += spans.length;
    }
    this.#sending = false;
    if (this.#waiting.length >= batchSpans) await this.flush(plane);
  }
}
