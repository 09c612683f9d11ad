import type { Reply } from '../admin/http-server.ts';
import type { SecretStore } from '../config/secret-store.ts';
import type { Table } from '../config/table.ts';
import type { DrainRequest } from '../net/draining.ts';
import { createRuntime, type Runtime, type SharedPorts } from '../runtime.ts';
import { IstioMetrics } from '../telemetry/istio-metrics.ts';
import { metricRulesOf, underRules } from '../telemetry/metric-rules.ts';
import { threadStats } from '../telemetry/proxy-stats.ts';
import { ProxyTelemetry } from '../telemetry/telemetry.ts';
import type { BoundPort, Counts, DataPlane, PlaneSettings } from './data-plane.ts';

const flushSpansMs = 1000;

/** The data path on the calling thread. */
export class OneThread implements DataPlane {
  readonly concurrency = 1;
  readonly replaced = 0;
  readonly runtime: Runtime;
  readonly #telemetry: ProxyTelemetry;
  readonly #metrics: IstioMetrics | null;

  private constructor(runtime: Runtime, telemetry: ProxyTelemetry, metrics: IstioMetrics | null) {
    this.runtime = runtime;
    this.#telemetry = telemetry;
    this.#metrics = metrics;
  }

  /** Rejects when a listener of the table cannot be bound. */
  static async open(
    settings: PlaneSettings,
    table: Table,
    secrets: SecretStore,
    shared: SharedPorts | null = null,
  ): Promise<OneThread> {
    const { workload, principal, node, overload, interception, drainMs } = settings;
    const metrics = workload && new IstioMetrics({ workload, principal });
    const telemetry = new ProxyTelemetry({ metrics, node });
    const runtime = await createRuntime({ table, node, secrets, telemetry, overload, interception, drainMs, shared });
    return new OneThread(runtime, telemetry, metrics);
  }

  get table(): Table {
    return this.runtime.table;
  }

  get listeners(): readonly BoundPort[] {
    return this.runtime.stats.listeners;
  }

  get draining(): boolean {
    return this.runtime.draining.active;
  }

  portOf(listener: string): number {
    return this.runtime.portOf(listener);
  }

  apply(table: Table): Promise<void> {
    return this.runtime.apply(table);
  }

  beginDrain(request: DrainRequest): void {
    this.runtime.draining.begin(request, performance.now());
  }

  failHealth(failed: boolean): void {
    this.runtime.unhealthy = failed;
  }

  drain(limitMs: number, minimumMs: number): Promise<void> {
    return this.runtime.drain(limitMs, minimumMs);
  }

  closeListeners(inboundOnly: boolean): void {
    this.runtime.closeListeners(inboundOnly);
  }

  async counts(unusedClusters: boolean): Promise<Counts> {
    const list = threadStats(this.runtime, unusedClusters);
    this.#telemetry.listSpans(list);
    const istio = this.#metrics?.list() ?? [];
    const rules = metricRulesOf(this.table);
    return { stats: list.stats, istio: rules === null ? istio : underRules(istio, rules) };
  }

  async clustersPage(query: string, fixed: readonly string[]): Promise<Reply> {
    const { clustersPage } = await import('../admin/clusters-page.ts');
    const names = new Set(fixed);
    return clustersPage(this.runtime, new URLSearchParams(query), (name) => names.has(name));
  }

  resetCounters(): void {
    this.runtime.statistics.reset();
  }

  async settled(): Promise<void> {}

  async close(): Promise<void> {
    await this.#telemetry.flushSpans(this.runtime, flushSpansMs);
    await this.runtime.close();
  }
}
