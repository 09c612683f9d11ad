import type { AccessLogSink } from '../config/table.ts';
import type { Exchange, TcpSession, Telemetry } from '../http/exchange.ts';
import type { LogSubject } from './access-log.ts';
import type { IstioMetrics } from './istio-metrics.ts';
import { logFile } from './log-file.ts';

/** Access logs, and Istio's metrics when this proxy belongs to a workload. */
export function createTelemetry(metrics: IstioMetrics | null): Telemetry {
  return {
    finish(exchange: Exchange): void {
      metrics?.http(exchange);
      log(exchange.manager.accessLogs, exchange);
    },
    tcpOpened(session: TcpSession): void {
      metrics?.tcpOpened(session);
    },
    tcpClosed(session: TcpSession): void {
      metrics?.tcpClosed(session);
      if (session.proxy) log(session.proxy.accessLogs, session);
      log(session.listener.accessLogs, session);
    },
  };
}

function log(sinks: readonly AccessLogSink[], subject: LogSubject): void {
  for (const sink of sinks) {
    if (sink.filter && !sink.filter(subject)) continue;
    logFile(sink.path)?.append(sink.format(subject));
  }
}
