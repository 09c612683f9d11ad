import type { Outlier } from '../config/table.ts';
import type { OutlierCounters } from '../telemetry/counters.ts';
import type { Host } from './host.ts';

/** How one request to a host went, as outlier detection sees it. */
export type Outcome = 'success' | 'error5xx' | 'gatewayFailure' | 'localOrigin';

/**
 * Takes hosts out that fail several times in a row, and lets them back after a time that grows with each ejection
 * (Envoy's outlier detection: consecutive 5xx, gateway failures and locally originated failures).
 */
export class OutlierDetection {
  private readonly settings: Outlier;
  private readonly hosts: () => Iterable<Host>;
  private readonly changed: () => void;
  private readonly counters: OutlierCounters;

  constructor(settings: Outlier, hosts: () => Iterable<Host>, changed: () => void, counters: OutlierCounters) {
    this.counters = counters;
    this.settings = settings;
    this.hosts = hosts;
    this.changed = changed;
  }

  report(host: Host, outcome: Outcome, now: number): void {
    const { settings, counters } = this;
    if (outcome === 'success') {
      host.consecutive5xx = 0;
      host.consecutiveGatewayFailure = 0;
      host.consecutiveLocalOrigin = 0;
      return;
    }
    if (outcome === 'localOrigin' && settings.splitExternalLocal) {
      if (++host.consecutiveLocalOrigin >= settings.consecutiveLocalOrigin && settings.consecutiveLocalOrigin > 0) {
        counters.ejectionsDetectedConsecutiveLocalOriginFailure++;
        if (this.eject(host, 100, now)) counters.ejectionsEnforcedConsecutiveLocalOriginFailure++;
      }
      return;
    }
    host.consecutive5xx++;
    host.consecutiveGatewayFailure = outcome === 'error5xx' ? 0 : host.consecutiveGatewayFailure + 1;
    if (
      settings.consecutiveGatewayFailure > 0 &&
      host.consecutiveGatewayFailure >= settings.consecutiveGatewayFailure
    ) {
      host.consecutiveGatewayFailure = 0;
      counters.ejectionsDetectedConsecutiveGatewayFailure++;
      if (this.eject(host, settings.enforcingGatewayPercent, now))
        counters.ejectionsEnforcedConsecutiveGatewayFailure++;
    }
    if (settings.consecutive5xx > 0 && host.consecutive5xx >= settings.consecutive5xx) {
      host.consecutive5xx = 0;
      counters.ejectionsDetectedConsecutive5xx++;
      if (this.eject(host, settings.enforcing5xxPercent, now)) counters.ejectionsEnforcedConsecutive5xx++;
    }
  }

  private eject(host: Host, enforcingPercent: number, now: number): boolean {
    const { settings } = this;
    host.consecutiveLocalOrigin = 0;
    if (host.ejectedUntilTick > now || Math.random() * 100 >= enforcingPercent) return false;
    let total = 0;
    let out = 0;
    for (const other of this.hosts()) {
      total++;
      if (other.ejectedUntilTick > now) out++;
    }
    // At least one may go, whatever the percentage says (Envoy: max_ejection_percent).
    if (out > 0 && ((out + 1) * 100) / total > settings.maxEjectionPercent) {
      this.counters.ejectionsOverflow++;
      return false;
    }
    host.ejections++;
    host.ejectedUntilTick = now + Math.min(settings.baseEjectionMs * host.ejections, settings.maxEjectionMs);
    this.counters.ejectionsEnforcedTotal++;
    this.changed();
    return true;
  }

  /** Lets hosts back whose time is over; called about once a second. */
  review(now: number): void {
    let back = false;
    for (const host of this.hosts()) {
      if (host.ejectedUntilTick !== 0 && host.ejectedUntilTick <= now) {
        host.ejectedUntilTick = 0;
        back = true;
      } else if (
        host.ejectedUntilTick === 0 &&
        host.ejections > 0 &&
        now - host.lastUsedTick > this.settings.intervalMs
      ) {
        host.ejections--;
      }
    }
    if (back) this.changed();
  }
}
