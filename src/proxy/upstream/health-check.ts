import type { Cluster, HealthCheck } from '../config/table.ts';
import type { Secrets } from '../net/secrets.ts';
import type { HealthCheckCounters } from '../telemetry/counters.ts';
import { ClusterCounters } from '../telemetry/counters.ts';
import { ClusterPool } from './cluster.ts';
import { type Probe, type ProbeOutcome, probe } from './health-probe.ts';
import { Host } from './host.ts';

export interface HealthWatch {
  /** A host's health is another than before. */
  changed(host: Host): void;
  /** A check has found it well, as before or anew. */
  well(host: Host): void;
  /** Whether the cluster has ever had traffic: else it is asked about rarely. */
  readonly hasTraffic: boolean;
}

/** Asks the hosts of a cluster whether they are well, each at its own times (Envoy: health_checkers). */
export class HealthChecks {
  readonly #check: HealthCheck;
  readonly #watch: HealthWatch;
  readonly #counters: HealthCheckCounters;
  /** Checks have connections, limits and counts of their own. */
  readonly #pool: ClusterPool;
  readonly #sessions = new Map<Host, Session>();
  readonly #marksPending: boolean;

  constructor(
    cluster: Cluster,
    check: HealthCheck,
    secrets: Secrets,
    counters: HealthCheckCounters,
    watch: HealthWatch,
  ) {
    this.#check = check;
    this.#watch = watch;
    this.#counters = counters;
    this.#marksPending = cluster.ignoresUncheckedHosts;
    const http = check.probe.kind === 'grpc' || (check.probe.kind === 'http' && check.probe.http2) ? 'http2' : 'http1';
    const alpn = check.alpn;
    this.#pool = new ClusterPool(
      {
        ...cluster,
        discovery: 'static',
        endpoints: [],
        outlier: null,
        healthCheck: null,
        subsets: null,
        http,
        maxRequestsPerConnection: check.reusesConnection ? 0 : 1,
        ...(alpn.length > 0 && cluster.tls !== null && { tls: { ...cluster.tls, alpn } }),
      },
      secrets,
      null,
      new ClusterCounters(),
    );
  }

  add(host: Host): void {
    if (host.endpoint.check?.disabled || this.#sessions.has(host)) return;
    // Nobody knows yet: no traffic before the first answer.
    host.check = 'failing';
    host.checkPending = this.#marksPending;
    this.#sessions.set(host, new Session(host, this.#check, this.#pool, this.#counters, this.#watch));
  }

  remove(host: Host): void {
    const session = this.#sessions.get(host);
    if (session === undefined) return;
    session.stop();
    this.#sessions.delete(host);
  }

  /** Whether every host has been heard of once. */
  get firstRoundOver(): boolean {
    for (const session of this.#sessions.values()) if (session.first) return false;
    return true;
  }

  /** The host itself says in a response that it is not to be asked any more. */
  failNow(host: Host): void {
    const session = this.#sessions.get(host);
    if (session === undefined) return;
    host.checkExcluded = true;
    session.failPassively();
  }

  stop(): void {
    for (const session of this.#sessions.values()) session.stop();
    this.#sessions.clear();
    this.#pool.retire();
  }
}

class Session {
  first = true;
  readonly #host: Host;
  readonly #asked: Host;
  readonly #check: HealthCheck;
  readonly #pool: ClusterPool;
  readonly #counters: HealthCheckCounters;
  readonly #watch: HealthWatch;
  #timer: NodeJS.Timeout;
  #running: Probe | null = null;
  #failures = 0;
  #successes = 0;

  constructor(host: Host, check: HealthCheck, pool: ClusterPool, counters: HealthCheckCounters, watch: HealthWatch) {
    this.#host = host;
    this.#check = check;
    this.#pool = pool;
    this.#counters = counters;
    this.#watch = watch;
    const { endpoint } = host;
    const { host: address, port } = endpoint.check ?? { host: '', port: 0 };
    this.#asked = new Host(
      `check ${host.key}`,
      { ...endpoint, host: address || endpoint.host, port: port || endpoint.port },
      pool.config,
    );
    // The first answer is waited for; later questions keep no process alive.
    this.#timer = setTimeout(() => this.#ask(), Math.random() * check.initialJitterMs);
  }

  #ask(): void {
    this.#counters.attempt++;
    const name = this.#host.endpoint.check?.hostname || this.#host.endpoint.hostname || this.#pool.config.name;
    this.#running = probe({ pool: this.#pool, host: this.#asked, name }, this.#check, (outcome) => {
      this.#running = null;
      this.#settle(outcome);
    });
  }

  #settle(outcome: ProbeOutcome): void {
    const before = this.#host.healthState;
    let pending = false;
    const ok = outcome === 'healthy' || outcome === 'degraded';
    if (ok) pending = this.#succeed(outcome === 'degraded');
    else pending = this.#fail(outcome === 'unreachable');
    this.first = false;
    this.#host.checkPending = false;
    if (this.#host.healthState !== before) this.#watch.changed(this.#host);
    if (ok) this.#watch.well(this.#host);
    this.#timer = setTimeout(() => this.#ask(), this.#nextMs(ok, pending)).unref();
  }

  /** Whether the host is on the way to another state. */
  #succeed(degraded: boolean): boolean {
    const host = this.#host;
    this.#counters.success++;
    this.#failures = 0;
    let pending = false;
    if (host.check === 'failing') {
      // The first answer counts at once: that makes starting fast.
      if (this.first || ++this.#successes >= this.#check.healthyThreshold) {
        this.#successes = 0;
        host.check = 'passing';
        host.checkExcluded = false;
        this.#counters.healthy++;
      } else pending = true;
    }
    if (degraded !== host.checkDegraded) {
      host.checkDegraded = degraded;
      this.#counters.degraded += degraded ? 1 : -1;
    }
    return pending;
  }

  #fail(network: boolean): boolean {
    this.#counters.failure++;
    if (network) this.#counters.networkFailure++;
    this.#successes = 0;
    if (this.#host.check === 'failing') return false;
    if (network && ++this.#failures < this.#check.unhealthyThreshold) return true;
    this.#sicken();
    return false;
  }

  #sicken(): void {
    this.#failures = 0;
    this.#host.check = 'failing';
    this.#counters.healthy--;
  }

  failPassively(): void {
    this.#counters.failure++;
    this.#counters.passiveFailure++;
    if (this.#host.check === 'passing') this.#sicken();
    this.#watch.changed(this.#host);
  }

  #nextMs(ok: boolean, pending: boolean): number {
    const check = this.#check;
    let ms: number;
    if (!this.#watch.hasTraffic) ms = ok && !pending ? check.idleHealthyIntervalMs : check.idleIntervalMs;
    else if (ok) ms = pending ? check.healthyEdgeIntervalMs : check.intervalMs;
    else ms = pending ? check.unhealthyEdgeIntervalMs : check.unhealthyIntervalMs;
    return Math.max(1, ms + Math.random() * ((ms * check.jitterPercent) / 100) + Math.random() * check.jitterMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#running?.cancel();
    const host = this.#host;
    if (host.check === 'passing') this.#counters.healthy--;
    if (host.checkDegraded) this.#counters.degraded--;
    host.check = null;
    host.checkDegraded = false;
    host.checkPending = false;
  }
}
