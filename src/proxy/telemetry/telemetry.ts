import type { AccessLogSink, Table, TraceProvider } from '../config/table.ts';
import type { ActiveExchange } from '../http/active-exchange.ts';
import type { Exchange, TcpSession, Telemetry } from '../http/exchange.ts';
import type { LocalNode, Plane } from '../http/plane.ts';
import { type AccessLogType, emitting, isExchange, type LogSubject } from './access-log.ts';
import type { IstioMetrics } from './istio-metrics.ts';
import { logFile } from './log-file.ts';
import { spanOf } from './span.ts';
import { encodeOtlp, encodeZipkin } from './span-encoding.ts';
import { SpanExporter } from './span-exporter.ts';
import { type StatList, scope } from './stat.ts';
import { traceOf } from './trace.ts';

export interface TelemetryOptions {
  /** Istio's metrics; null when this proxy belongs to no workload. */
  readonly metrics: IstioMetrics | null;
  readonly node: LocalNode;
}

/** Providers of traces beyond this share nothing and are not served: each has a queue. */
const maxExporters = 16;

/** Access logs, traces, and Istio's metrics when this proxy belongs to a workload. */
export class ProxyTelemetry implements Telemetry {
  readonly #metrics: IstioMetrics | null;
  readonly #node: LocalNode;
  readonly #exporters = new Map<string, SpanExporter>();

  constructor({ metrics, node }: TelemetryOptions) {
    this.#metrics = metrics;
    this.#node = node;
  }

  finish(exchange: Exchange): void {
    this.#metrics?.http(exchange);
    if (exchange.manager.tracing !== null) this.#trace(exchange as ActiveExchange);
    log(exchange.manager.accessLogs, exchange, 'DownstreamEnd');
  }

  during(subject: LogSubject, type: AccessLogType): void {
    log((isExchange(subject) ? subject.manager : subject.proxy)?.accessLogs ?? [], subject, type);
  }

  tcpOpened(session: TcpSession): void {
    this.#metrics?.tcpOpened(session);
  }

  tcpClosed(session: TcpSession): void {
    this.#metrics?.tcpClosed(session);
    if (session.proxy) log(session.proxy.accessLogs, session, 'TcpConnectionEnd');
    log(session.listener.accessLogs, session, 'NotSet');
  }

  adopt({ clusters }: Table): void {
    this.#metrics?.forgetGone(clusters, performance.now());
  }

  #trace(exchange: ActiveExchange): void {
    const tracing = exchange.manager.tracing!;
    const trace = traceOf(exchange, tracing);
    if (trace === null || !trace.sampled) return;
    this.#exporter(tracing.provider)?.add(exchange.plane, spanOf(exchange, tracing, trace, this.#node));
  }

  #exporter(provider: TraceProvider): SpanExporter | null {
    let exporter = this.#exporters.get(provider.key);
    if (exporter !== undefined) return exporter;
    if (this.#exporters.size >= maxExporters) return null;
    exporter = new SpanExporter(provider, (spans) =>
      provider.kind === 'zipkin'
        ? encodeZipkin(this.#node, provider.sharedSpan, spans)
        : encodeOtlp(provider.serviceName, spans),
    );
    this.#exporters.set(provider.key, exporter);
    return exporter;
  }

  /** Sends the spans that wait, before the process ends; at most as long as `limitMs`. */
  async flushSpans(plane: Plane, limitMs: number): Promise<void> {
    if (this.#exporters.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    await Promise.race([promise, Promise.all([...this.#exporters.values()].map((exporter) => exporter.flush(plane)))]);
    clearTimeout(timer);
  }

  /** What became of spans, for /stats. */
  listSpans(list: StatList): void {
    const sums = new Map<string, { sent: number; dropped: number; flushed: number }>();
    for (const { provider, counts } of this.#exporters.values()) {
      const sum = sums.get(provider.kind) ?? { sent: 0, dropped: 0, flushed: 0 };
      sum.sent += counts.spansSent;
      sum.dropped += counts.spansDropped;
      sum.flushed += counts.timerFlushed;
      sums.set(provider.kind, sum);
    }
    for (const [kind, { sent, dropped, flushed }] of sums) {
      const at = scope(`tracing.${kind}.`, `tracing.${kind}.`);
      list.add('counter', at, 'spans_sent', sent);
      list.add('counter', at, 'spans_dropped', dropped);
      list.add('counter', at, 'timer_flushed', flushed);
    }
  }
}

function log(sinks: readonly AccessLogSink[], subject: LogSubject, type: AccessLogType): void {
  if (sinks.length === 0) return;
  emitting.type = type;
  for (const sink of sinks) {
    if (sink.filter && !sink.filter(subject)) continue;
    logFile(sink.path)?.append(sink.format(subject));
  }
  emitting.type = 'NotSet';
}
