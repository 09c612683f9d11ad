import type { Cluster } from '../config/table.ts';
import { defaultThresholds } from '../config/thresholds.ts';
import type { Interception } from '../net/interception.ts';
import { output } from '../net/output.ts';
import type { Secrets } from '../net/secrets.ts';
import { type ClusterCounters, HealthCheckCounters } from '../telemetry/counters.ts';
import { Histogram } from '../telemetry/histogram.ts';
import { Breaker } from './breaker.ts';
import { HealthChecks } from './health-check.ts';
import type { Host } from './host.ts';
import { Http1Upstream } from './http1-upstream.ts';
import { Http2Upstream } from './http2-upstream.ts';
import { Membership } from './membership.ts';
import { RawUpstream } from './raw-upstream.ts';
import type { PooledConnection, UpstreamCall, UpstreamStream } from './upstream-call.ts';
import type { Neighbours } from './zones.ts';

const maxIdlePerHost = 1024;
const defaultIdleTimeoutMs = 3_600_000;
/** Connections to hosts that are gone are probed after this silence, so that a peer that has vanished is noticed. */
const goneKeepaliveMs = 1000;

/**
 * A cluster at run time: its hosts, their connections and counts. It survives every push that leaves the cluster's hash
 * as it was; endpoints then come and go within it.
 */
export class ClusterPool extends Membership {
  readonly secrets: Secrets;
  /** Of requests of default priority, and of whatever is no request. */
  readonly breaker: Breaker;
  readonly highBreaker: Breaker;
  /** Streams that wait for a connection, oldest first. */
  private readonly waiting: Array<{
    host: Host;
    stream: UpstreamStream;
    authority: string;
    http2: boolean;
    breaker: Breaker;
  }> = [];
  /** Requests that went on to another host because one had not taken them; nothing was sent twice. */
  redirected = 0;
  /** Second connections that were begun because a first took long. */
  hedged = 0;

  constructor(
    config: Cluster,
    secrets: Secrets,
    interception: Interception | null,
    counters: ClusterCounters,
    neighbours: Neighbours | null = null,
  ) {
    super(config, interception, counters, neighbours);
    this.secrets = secrets;
    this.breaker = new Breaker(config.circuit);
    this.highBreaker = new Breaker(config.highCircuit ?? defaultThresholds);
    if (config.healthCheck !== null) {
      counters.healthCheck ??= new HealthCheckCounters();
      this.checks = new HealthChecks(config, config.healthCheck, secrets, counters.healthCheck, {
        changed: (host) => this.onHealth(host),
        well: (host) => this.onWell(host),
        get hasTraffic() {
          return counters.upstreamCxTotal > 0;
        },
      });
    }
    this.update(config);
  }

  protected closeIdle(host: Host): void {
    for (const connection of host.idle.splice(0)) connection.destroy();
    for (const connection of [...host.shared]) {
      connection.leaving = true;
      if (!connection.busy) connection.destroy();
    }
  }

  /** What has sent nothing yet need not wait for hosts that are gone: a vanished address would keep it until its time is up. */
  protected breakOff(gone: readonly Host[]): void {
    for (const host of gone) {
      for (const connection of host.open) {
        if (connection.ready) connection.probe(goneKeepaliveMs);
        else connection.destroy();
      }
    }
    const stranded = this.waiting.filter(({ host }) => host.removed);
    if (stranded.length === 0) return;
    output.turn(() => {
      for (const { stream } of stranded) {
        this.stopWaiting(stream);
        stream.onFailure('remote connection failure', '', false);
      }
    });
  }

  /**
   * A connection for one request: an idle one at once (`fresh` asks for none of those), else a new one that calls
   * `stream.onReady`, else a place in the queue, after which `stream.onGiven` is called. Null when the queue is full.
   */
  acquire(
    host: Host,
    stream: UpstreamStream,
    authority: string,
    fresh: boolean,
    callerHttp2: boolean,
    breaker: Breaker = this.breaker,
  ): UpstreamCall | 'waiting' | null {
    const http2 = this.speaksHttp2(host, callerHttp2);
    if (http2) {
      const shared = this.sharedWithRoom(host);
      if (shared !== null) return this.pendingFits(shared, breaker) ? shared.call(stream) : null;
    } else if (!fresh) {
      for (let idle = host.idle.pop(); idle !== undefined; idle = host.idle.pop()) {
        if (idle.transport.closed || idle.transport.ended || idle.transport.socket.destroyed) continue;
        idle.stream = stream;
        return idle;
      }
    }
    this.counters.upstreamRqPendingTotal++;
    // A request that a connection must be made for is pending meanwhile (Envoy: max_pending_requests).
    if (!breaker.takesPending) {
      this.counters.upstreamRqPendingOverflow++;
      return null;
    }
    if (breaker.takesConnections) return this.open(host, stream, authority, http2, breaker);
    this.counters.upstreamCxOverflow++;
    const spare = this.spareIdle(host);
    if (spare !== null) {
      spare.destroy();
      return this.open(host, stream, authority, http2, breaker);
    }
    breaker.waiting++;
    this.waiting.push({ host, stream, authority, http2, breaker });
    return 'waiting';
  }

  /** The same for a connection in bytes, which serves one request; it does not wait where there are too many. */
  acquireRaw(host: Host, stream: UpstreamStream, breaker: Breaker): UpstreamCall | null {
    this.counters.upstreamRqPendingTotal++;
    if (!breaker.takesConnections || !breaker.takesPending) {
      this.counters.upstreamCxOverflow++;
      return null;
    }
    this.begin(host, breaker);
    const connection = new RawUpstream(this, host, stream, breaker);
    host.open.add(connection);
    return connection;
  }

  private speaksHttp2(host: Host, callerHttp2: boolean): boolean {
    const { http } = this.config;
    if (http === 'http1') return false;
    if (http === 'http2') return true;
    return http === 'useDownstream' ? callerHttp2 : host.tls !== null && host.speaks !== 'http1';
  }

  private sharedWithRoom(host: Host): Http2Upstream | null {
    for (const connection of host.shared) if (connection.hasRoom) return connection;
    return null;
  }

  /** Calls that wait for a connection to stand count as pending. */
  private pendingFits(connection: Http2Upstream, breaker: Breaker): boolean {
    if (connection.ready || connection.connecting < breaker.limits.maxPending) return true;
    this.counters.upstreamRqPendingOverflow++;
    return false;
  }

  /** A connection stands. */
  stood(connection: PooledConnection): void {
    connection.breaker.dialing--;
  }

  /** A stream has ended on a shared connection: the oldest that waits for that host goes on. */
  roomInHttp2(connection: Http2Upstream): void {
    for (let i = 0; i < this.waiting.length && connection.hasRoom; i++) {
      const { host, http2, stream } = this.waiting[i];
      if (host !== connection.host || !http2) continue;
      this.takeWaiting(i--);
      stream.onGiven(connection.call(stream));
    }
  }

  /** What waited for HTTP/2 on a host that turned out to speak HTTP/1. */
  again(host: Host, stream: UpstreamStream): void {
    stream.onGiven(this.open(host, stream, '', false, this.breaker));
  }

  /** Another host's idle connection, which must make way when the cluster's limit is reached. */
  private spareIdle(but: Host): Http1Upstream | null {
    for (const host of this.hosts.values()) if (host !== but && host.idle.length > 0) return host.idle.shift()!;
    return null;
  }

  private begin(host: Host, breaker: Breaker): void {
    breaker.connections++;
    breaker.dialing++;
    host.connections++;
    host.counters.cxTotal++;
    this.counters.upstreamCxTotal++;
  }

  private open(host: Host, stream: UpstreamStream, authority: string, http2: boolean, breaker: Breaker): UpstreamCall {
    this.begin(host, breaker);
    if (!http2) {
      this.counters.upstreamCxHttp1Total++;
      const connection = new Http1Upstream(this, host, stream, authority, breaker);
      host.open.add(connection);
      return connection;
    }
    this.counters.upstreamCxHttp2Total++;
    const connection = new Http2Upstream(this, host, authority, breaker, stream.caller);
    host.open.add(connection);
    host.shared.push(connection);
    return connection.call(stream);
  }

  /** Leaves the queue, when the request ends before its turn. */
  stopWaiting(stream: UpstreamStream): void {
    const at = this.waiting.findIndex((waiter) => waiter.stream === stream);
    if (at >= 0) this.takeWaiting(at);
  }

  /** A connection whose response is complete comes back. */
  release(connection: Http1Upstream): void {
    const { host } = connection;
    const spent = host.maxRequestsPerConnection > 0 && connection.requests >= host.maxRequestsPerConnection;
    if (spent) this.counters.upstreamCxMaxRequests++;
    // Whose connection it is was said when it began.
    const isTold = host.proxyProtocol !== 0;
    if (host.removed || this.closed || spent || isTold || this.outlived(connection, output.tick)) {
      connection.transport.destroy();
      return;
    }
    for (let i = 0; i < this.waiting.length; i++) {
      if (this.waiting[i].host !== host) continue;
      const { stream } = this.takeWaiting(i);
      connection.stream = stream;
      stream.onGiven(connection);
      return;
    }
    if (this.waiting.length > 0 || host.idle.length >= maxIdlePerHost) connection.transport.destroy();
    else host.idle.push(connection);
  }

  closedConnection(connection: PooledConnection): void {
    const { host, breaker } = connection;
    breaker.connections--;
    host.connections--;
    if (!connection.stood) breaker.dialing--;
    host.open.delete(connection);
    this.countClosed(connection);
    host.forget(connection);
    // The place that is free now is one of its priority.
    const next = this.waiting.findIndex((waiter) => waiter.breaker === breaker);
    if (next < 0) return;
    const { host: to, stream, authority, http2 } = this.takeWaiting(next);
    stream.onGiven(this.open(to, stream, authority, http2, breaker));
  }

  private takeWaiting(at: number): ClusterPool['waiting'][number] {
    const [taken] = this.waiting.splice(at, 1);
    taken.breaker.waiting--;
    return taken;
  }

  get connections(): number {
    return this.breaker.connections + this.highBreaker.connections;
  }

  get activeRequests(): number {
    return this.breaker.requests + this.highBreaker.requests;
  }

  private countClosed(connection: PooledConnection): void {
    const { host, ready, dialTick, endedByPeer: remote } = connection;
    const { counters } = this;
    connection.countBytes();
    if (!ready) {
      counters.upstreamCxDestroy++;
      counters.upstreamCxDestroyRemote++;
      counters.upstreamCxConnectFail++;
      host.counters.cxConnectFail++;
      return;
    }
    counters.upstreamCxDestroy++;
    if (remote) counters.upstreamCxDestroyRemote++;
    else counters.upstreamCxDestroyLocal++;
    counters.upstreamCxLengthMs ??= new Histogram();
    counters.upstreamCxLengthMs.add(performance.now() - dialTick);
    if (!connection.busy) return;
    counters.upstreamCxDestroyWithActiveRq++;
    if (remote) counters.upstreamCxDestroyRemoteWithActiveRq++;
    else counters.upstreamCxDestroyLocalWithActiveRq++;
  }

  /** Brings the counters of bytes up to now; connections bring theirs when they end. */
  countBytes(): void {
    for (const host of this.hosts.values()) for (const connection of host.open) connection.countBytes();
  }

  /** Counts for admin pages. */
  get stats(): {
    hosts: number;
    connections: number;
    activeRequests: number;
    pending: number;
    redirected: number;
    hedged: number;
  } {
    return {
      hosts: this.hosts.size,
      connections: this.connections,
      activeRequests: this.activeRequests,
      pending: this.waiting.length,
      redirected: this.redirected,
      hedged: this.hedged,
    };
  }

  /** About once a second: closes what idled too long, and looks after the hosts. */
  sweep(now: number): void {
    const idleMs = this.config.idleTimeoutMs > 0 ? this.config.idleTimeoutMs : defaultIdleTimeoutMs;
    for (const host of this.hosts.values()) {
      while (host.idle.length > 0 && now - host.idle[0].transport.lastActiveTick > idleMs)
        this.endIdle(host.idle.shift()!);
      for (const idle of host.idle.filter((connection) => this.outlived(connection, now))) idle.destroy();
      for (const shared of [...host.shared]) {
        if (!shared.leaving && this.outlived(shared, now)) shared.leaving = true;
        if (shared.leaving && !shared.busy) shared.destroy();
      }
      for (const shared of [...host.shared])
        if (shared.idleSinceTick >= 0 && now - shared.idleSinceTick > idleMs) this.endIdle(shared);
    }
    this.review(now);
  }

  /** It has lasted as long as it may (Envoy: max_connection_duration). */
  private outlived(connection: PooledConnection, now: number): boolean {
    const { maxConnectionMs } = this.config;
    if (maxConnectionMs === 0 || now - connection.dialTick < maxConnectionMs) return false;
    this.counters.upstreamCxMaxDurationReached++;
    return true;
  }

  private endIdle(connection: PooledConnection): void {
    this.counters.upstreamCxIdleTimeout++;
    connection.destroy();
  }

  /** No longer configured: idle connections go now, busy ones when their response is complete. */
  retire(): void {
    this.closed = true;
    this.endDetection();
    this.checks?.stop();
    for (const host of this.hosts.values()) {
      host.removed = true;
      this.closeIdle(host);
    }
    this.hosts.clear();
  }
}
