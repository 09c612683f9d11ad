import type { Outlier } from '../config/table.ts';
import type { OutlierCounters } from '../telemetry/counters.ts';
import type { Host } from './host.ts';

/**
 * How one request to a host went, as outlier detection sees it: what the host answered, or what became of the way to it.
 * `connected` is told before a request that is answered, `relayed` for connections without requests.
 */
export type Outcome =
  | 'success'
  | 'error5xx'
  | 'gatewayFailure'
  | 'connectFailure'
  | 'timeout'
  | 'connected'
  | 'relayed';

/** Requests since the last interval began. */
class Tally {
  total = 0;
  succeeded = 0;
  /** Per cent of the latest interval that had requests enough; -1 without one. */
  rate = -1;

  add(success: boolean): void {
    this.total++;
    if (success) this.succeeded++;
  }

  /** Per cent, of the interval that ends now. */
  get current(): number {
    return this.total === 0 ? 100 : (100 * this.succeeded) / this.total;
  }

  clear(): void {
    this.total = 0;
    this.succeeded = 0;
  }
}

/** What outlier detection knows of a host. */
export class OutlierRecord {
  consecutive5xx = 0;
  consecutiveGatewayFailure = 0;
  consecutiveLocalOrigin = 0;
  readonly answers: Tally = new Tally();
  readonly connects: Tally = new Tally();
  ejected = false;
  ejectedTick = 0;
  returnedTick = 0;
  /** By how many base times it is out. */
  times = 0;
  jitterMs = 0;
}

type Kind =
  | 'Consecutive5xx'
  | 'ConsecutiveGatewayFailure'
  | 'ConsecutiveLocalOriginFailure'
  | 'SuccessRate'
  | 'LocalOriginSuccessRate'
  | 'FailurePercentage'
  | 'LocalOriginFailurePercentage';

/**
 * Takes hosts out that fail several times in a row, or more often than others do, and lets them back after a time that grows
 * with each ejection (Envoy documentation, "Outlier detection").
 */
export class OutlierDetection {
  private readonly settings: Outlier;
  private readonly hosts: () => Iterable<Host>;
  private readonly changed: () => void;
  private readonly counters: OutlierCounters;
  private readonly timer: NodeJS.Timeout;
  /** Of the hosts that the latest interval compared, in per cent; -1 when it compared none. */
  readonly averages = { answers: { mean: -1, threshold: -1 }, connects: { mean: -1, threshold: -1 } };

  constructor(settings: Outlier, hosts: () => Iterable<Host>, changed: () => void, counters: OutlierCounters) {
    this.counters = counters;
    this.settings = settings;
    this.hosts = hosts;
    this.changed = changed;
    this.timer = setInterval(() => this.review(performance.now()), settings.intervalMs);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    for (const { outlier } of this.hosts()) if (outlier?.ejected) this.counters.ejectionsActive--;
  }

  report(host: Host, outcome: Outcome, now: number): void {
    host.outlier ??= new OutlierRecord();
    const { outlier } = host;
    if (outcome === 'success') this.answered(host, outlier, false, false, now);
    else if (outcome === 'error5xx') this.answered(host, outlier, true, false, now);
    else if (outcome === 'gatewayFailure') this.answered(host, outlier, true, true, now);
    else if (this.settings.splitExternalLocal)
      this.reached(host, outlier, outcome === 'connected' || outcome === 'relayed', now);
    // Without the split they count as answers of 503, 504 and 200, and that a connection stands as none.
    else if (outcome !== 'connected') this.answered(host, outlier, outcome !== 'relayed', outcome !== 'relayed', now);
  }

  private answered(host: Host, record: OutlierRecord, failed: boolean, gateway: boolean, now: number): void {
    const { settings } = this;
    record.answers.add(!failed);
    if (!failed) {
      record.consecutive5xx = 0;
      record.consecutiveGatewayFailure = 0;
      return;
    }
    record.consecutiveGatewayFailure = gateway ? record.consecutiveGatewayFailure + 1 : 0;
    if (gateway && record.consecutiveGatewayFailure === settings.consecutiveGatewayFailure) {
      record.consecutiveGatewayFailure = 0;
      this.suspect(host, record, 'ConsecutiveGatewayFailure', now);
    }
    if (++record.consecutive5xx === settings.consecutive5xx) {
      record.consecutive5xx = 0;
      this.suspect(host, record, 'Consecutive5xx', now);
    }
  }

  private reached(host: Host, record: OutlierRecord, success: boolean, now: number): void {
    record.connects.add(success);
    if (success) record.consecutiveLocalOrigin = 0;
    else if (++record.consecutiveLocalOrigin === this.settings.consecutiveLocalOrigin) {
      record.consecutiveLocalOrigin = 0;
      this.suspect(host, record, 'ConsecutiveLocalOriginFailure', now);
    }
  }

  private suspect(host: Host, record: OutlierRecord, kind: Kind, now: number): void {
    if (record.ejected) return;
    this.counters[`ejectionsDetected${kind}`]++;
    if (this.eject(host, record, this.settings.enforcingPercent[kind], now))
      this.counters[`ejectionsEnforced${kind}`]++;
  }

  private eject(host: Host, record: OutlierRecord, enforcingPercent: number, now: number): boolean {
    const { settings, counters } = this;
    let total = 0;
    let out = 0;
    for (const { outlier } of this.hosts()) {
      total++;
      if (outlier?.ejected) out++;
    }
    if (((out + 1) * 100) / total > settings.maxEjectionPercent && !(settings.alwaysEjectsOne && out === 0)) {
      counters.ejectionsOverflow++;
      return false;
    }
    if (Math.random() * 100 >= enforcingPercent) return false;
    record.ejected = true;
    record.ejectedTick = now;
    record.jitterMs = Math.random() * settings.maxEjectionJitterMs;
    if (settings.baseEjectionMs * (record.times + 1) <= settings.maxEjectionMs) record.times++;
    host.ejectedUntilTick = Number.POSITIVE_INFINITY;
    counters.ejectionsEnforcedTotal++;
    counters.ejectionsActive++;
    this.changed();
    return true;
  }

  private letBack(host: Host, record: OutlierRecord, now: number): void {
    record.ejected = false;
    record.returnedTick = now;
    record.consecutive5xx = 0;
    record.consecutiveGatewayFailure = 0;
    record.consecutiveLocalOrigin = 0;
    host.ejectedUntilTick = 0;
    this.counters.ejectionsActive--;
  }

  /** A health check finds the host well (Envoy: successful_active_health_check_uneject_host). */
  foundWell(host: Host, now: number): void {
    if (!this.settings.checksLetBack || host.outlier?.ejected !== true || host.check === 'failing') return;
    this.letBack(host, host.outlier, now);
    this.changed();
  }

  /** A host is no longer there. */
  forget(host: Host): void {
    if (host.outlier?.ejected) this.counters.ejectionsActive--;
    host.outlier = null;
  }

  /** The end of an interval: lets hosts back whose time is over, and compares the others. */
  review(now: number): void {
    const { settings } = this;
    let back = false;
    for (const host of this.hosts()) {
      const record = host.outlier;
      if (record === null) continue;
      if (record.ejected) {
        const outMs = Math.min(settings.baseEjectionMs * record.times, settings.maxEjectionMs) + record.jitterMs;
        if (now - record.ejectedTick < outMs) continue;
        this.letBack(host, record, now);
        back = true;
      } else if (record.times > 0 && now - record.returnedTick >= settings.intervalMs) record.times--;
    }
    if (back) this.changed();
    this.compare('answers', 'SuccessRate', 'FailurePercentage', now);
    if (settings.splitExternalLocal)
      this.compare('connects', 'LocalOriginSuccessRate', 'LocalOriginFailurePercentage', now);
    for (const { outlier } of this.hosts()) {
      outlier?.answers.clear();
      outlier?.connects.clear();
    }
  }

  /** Hosts that succeed far less often than the average, and those that fail more often than they may. */
  private compare(of: 'answers' | 'connects', byRate: Kind, byPercentage: Kind, now: number): void {
    const { successRate, failurePercentage } = this.settings;
    const rated: Array<{ host: Host; record: OutlierRecord; rate: number }> = [];
    const failing: typeof rated = [];
    const averages = this.averages[of];
    averages.mean = -1;
    averages.threshold = -1;
    let sum = 0;
    for (const host of this.hosts()) {
      const record = host.outlier;
      if (record === null) continue;
      const tally = record[of];
      tally.rate = -1;
      if (record.ejected) continue;
      const rate = tally.current;
      if (tally.total >= successRate.requestVolume) {
        tally.rate = rate;
        sum += rate;
        rated.push({ host, record, rate });
      }
      if (tally.total >= failurePercentage.requestVolume) failing.push({ host, record, rate });
    }
    if (rated.length > 0 && rated.length >= successRate.minimumHosts) {
      const mean = sum / rated.length;
      const variance = rated.reduce((total, { rate }) => total + (rate - mean) ** 2, 0) / rated.length;
      const threshold = mean - successRate.stdevFactor * Math.sqrt(variance);
      averages.mean = mean;
      averages.threshold = threshold;
      for (const { host, record, rate } of rated) if (rate < threshold) this.suspect(host, record, byRate, now);
    }
    if (failing.length > 0 && failing.length >= failurePercentage.minimumHosts)
      for (const { host, record, rate } of failing)
        if (100 - rate >= failurePercentage.thresholdPercent) this.suspect(host, record, byPercentage, now);
  }
}
