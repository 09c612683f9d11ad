import type { HeadLimits } from '../codec/head.ts';
import type { HttpManager, Listener, Table } from '../config/table.ts';
import { type ChainFacts, matchChain } from '../net/chain-match.ts';
import type { ConnectionFacts } from '../net/connection.ts';
import { output } from '../net/output.ts';
import { taken } from '../net/overload.ts';
import type { HttpCounters } from '../telemetry/counters.ts';
import type { Plane } from './plane.ts';

/** No head may be larger, whatever is configured: it must fit the output buffer with room for what the proxy adds. */
const maxHeadBytes = 98_304;
const maxFields = 1000;
/** While draining, a connection that has been idle this long is ended; earlier the caller may just be about to ask. */
const drainIdleMs = 1000;

/**
 * What an HTTP connection runs under. A keep-alive connection may outlive many pushes: before each request the chain is
 * matched again, so that new rules hold at once; when another kind of chain would now take the connection, it ends after
 * the response.
 */
export class HttpConnection {
  readonly plane: Plane;
  readonly facts: ConnectionFacts;
  private readonly chainFacts: ChainFacts;
  private readonly listenerName: string;
  private readonly onClosed: () => void;
  private table: Table;
  listener: Listener;
  manager: HttpManager;
  limits: HeadLimits;
  outdated = false;
  /** Counts of the manager's `stat_prefix`. */
  readonly counters: HttpCounters;
  private protocol: 'http1' | 'http2' | null = null;
  /** The caller ended the connection, not this side. */
  peerLeft = false;
  private drainingSinceTick = -1;
  private answers = 0;
  private countedExpiry = false;
  private readonly secured: boolean;
  private readonly asksCertificate: boolean;

  constructor(
    plane: Plane,
    facts: ConnectionFacts,
    chainFacts: ChainFacts,
    listener: Listener,
    manager: HttpManager,
    asksCertificate: boolean,
    onClosed: () => void,
  ) {
    this.plane = plane;
    this.facts = facts;
    this.chainFacts = chainFacts;
    this.listenerName = listener.name;
    this.listener = listener;
    this.manager = manager;
    this.secured = facts.tls;
    this.asksCertificate = asksCertificate;
    this.onClosed = onClosed;
    this.table = plane.table;
    this.limits = headLimits(manager);
    this.counters = plane.statistics.http(manager);
  }

  /** The codec says what it speaks, once; `closed` takes it back. */
  opened(protocol: 'http1' | 'http2'): void {
    const { counters, facts } = this;
    this.protocol = protocol;
    counters.downstreamCxTotal++;
    counters.downstreamCxActive++;
    if (facts.tls) {
      counters.downstreamCxSslTotal++;
      counters.downstreamCxSslActive++;
    }
    if (protocol === 'http2') {
      counters.downstreamCxHttp2Total++;
      counters.downstreamCxHttp2Active++;
    } else {
      counters.downstreamCxHttp1Total++;
      counters.downstreamCxHttp1Active++;
    }
  }

  /** Adopts what the last push made of this connection's chain. */
  refresh(): void {
    const { table } = this.plane;
    if (table === this.table) return;
    this.table = table;
    const listener = table.listeners.get(this.listenerName);
    if (listener === this.listener) return;
    const chain = listener === undefined ? null : matchChain(listener, this.chainFacts);
    if (
      listener === undefined ||
      chain === null ||
      chain.http === null ||
      (chain.tls !== null) !== this.secured ||
      (chain.tls?.requireClientCertificate ?? false) !== this.asksCertificate
    ) {
      this.outdated = true;
      return;
    }
    this.listener = listener;
    this.manager = chain.http;
    this.limits = headLimits(chain.http);
  }

  /** Whether no further request belongs on this connection, by whichever answer or none. */
  get leaving(): boolean {
    const { plane, listener } = this;
    if (this.outdated || (plane.unhealthy && listener.drainsWhenUnhealthy) || this.expired) return true;
    return plane.draining.active && plane.draining.complete(listener, output.tick);
  }

  /** Whether it has lasted as long as it may (Envoy: max_connection_duration). */
  private get expired(): boolean {
    const { maxConnectionMs } = this.manager;
    if (maxConnectionMs === 0 || Date.now() - this.facts.acceptedAtMs < maxConnectionMs) return false;
    if (!this.countedExpiry) this.counters.downstreamCxMaxDurationReached++;
    this.countedExpiry = true;
    return true;
  }

  /** Whether this answer, asked about once, asks the caller to come back on another connection. */
  mustEnd(): boolean {
    const { maxRequestsPerConnection } = this.manager;
    if (maxRequestsPerConnection > 0 && ++this.answers >= maxRequestsPerConnection) {
      if (this.answers === maxRequestsPerConnection) this.counters.downstreamCxMaxRequestsReached++;
      return true;
    }
    if (this.leaving) return true;
    const { plane } = this;
    if (plane.draining.active && plane.draining.asks(this.listener, output.tick)) return true;
    if (plane.overload.closeKeepAlive === 0 || this.listener.bypassesOverload) return false;
    if (!taken(plane.overload.closeKeepAlive)) return false;
    this.counters.downstreamCxOverloadDisableKeepalive++;
    return true;
  }

  /** Whether an idle connection has to go because the process is going, or its own time is over. */
  mustLeave(now: number): boolean {
    const { draining } = this.plane;
    const drains = draining.active && draining.complete(this.listener, now);
    if (!drains && !this.expired) {
      this.drainingSinceTick = -1;
      return false;
    }
    if (this.drainingSinceTick < 0) this.drainingSinceTick = now;
    return now - this.drainingSinceTick >= (drains ? drainIdleMs : this.manager.drainTimeoutMs);
  }

  closed(): void {
    const { counters, facts, protocol } = this;
    if (protocol !== null) {
      counters.downstreamCxActive--;
      if (facts.tls) counters.downstreamCxSslActive--;
      if (protocol === 'http2') counters.downstreamCxHttp2Active--;
      else counters.downstreamCxHttp1Active--;
      counters.downstreamCxDestroy++;
      if (this.peerLeft) counters.downstreamCxDestroyRemote++;
      else counters.downstreamCxDestroyLocal++;
      counters.downstreamCxLengthMs.add(Date.now() - facts.acceptedAtMs);
      this.protocol = null;
    }
    this.onClosed();
  }
}

function headLimits(manager: HttpManager): HeadLimits {
  return {
    maxBytes: Math.min(manager.maxRequestHeadersBytes, maxHeadBytes),
    maxFields: Math.min(manager.maxRequestHeaders, maxFields),
  };
}
