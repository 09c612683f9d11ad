import type { Cluster, Endpoint, Listener, TcpProxy, TcpTunnel } from '../config/table.ts';
import type { TcpSession, UpstreamFacts } from '../http/exchange.ts';
import type { Plane } from '../http/plane.ts';
import type { ClusterCounters, TcpCounters } from '../telemetry/counters.ts';
import { Histogram } from '../telemetry/histogram.ts';
import { xxHash64 } from '../upstream/balance/xxhash.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import { type DialReceiver, dial, failureText } from '../upstream/dial.ts';
import { dialTarget, type Host } from '../upstream/host.ts';
import { destinationOf } from '../upstream/original-destination.ts';
import type { UpstreamCall } from '../upstream/upstream-call.ts';
import { type Address, type ConnectionFacts, unmapped } from './connection.ts';
import { upstreamTls } from './identity.ts';
import { output } from './output.ts';
import { relay } from './relay.ts';
import { Tunnel, type TunnelUser } from './tcp-tunnel.ts';
import type { Transport } from './transport.ts';

const maxEarlyBytes = 262_144;
const defaultIdleMs = 3_600_000;

/** A TCP connection on its way through: dials the chain's cluster, relays both ways, and tells telemetry at the end. */
export class TcpRelay implements TcpSession, TunnelUser {
  readonly connection: ConnectionFacts;
  readonly listener: Listener;
  readonly proxy: TcpProxy | null;
  cluster: Cluster | null = null;
  endpoint: Endpoint | null = null;
  readonly startedAtMs: number = Date.now();
  readonly startTick: number = performance.now();
  endTick = -1;
  flags = '';
  /** Envoy has none for connections. */
  readonly details = '';
  upstreamFailure = '';
  upstreamRemote: Address | null = null;
  upstreamLocal: Address | null = null;
  upstreamMtls = false;
  upstream: UpstreamFacts | null = null;
  attempts = 0;
  private readonly plane: Plane;
  private readonly downstream: Transport;
  private remote: Transport | null = null;
  private tunnel: Tunnel | null = null;
  private attemptsLeft = 0;
  private host: Host | null = null;
  private pool: ClusterPool | null = null;
  private readonly counters: TcpCounters | null;
  private dialTick = 0;
  private loggedTick = -1;
  private early: Buffer[] = [];
  private earlyBytes = 0;
  private callerEnded = false;
  private opened = false;
  private refused = false;
  private hash: bigint | null = null;
  private lifetime: NodeJS.Timeout | null = null;
  private readonly onClosed: () => void;

  constructor(
    plane: Plane,
    connection: ConnectionFacts,
    listener: Listener,
    proxy: TcpProxy | null,
    downstream: Transport,
    onClosed: () => void,
  ) {
    this.plane = plane;
    this.connection = connection;
    this.listener = listener;
    this.proxy = proxy;
    this.counters = proxy === null ? null : plane.statistics.tcp(proxy);
    this.downstream = downstream;
    this.onClosed = onClosed;
  }

  get receivedBytes(): number {
    return this.downstream.bytesRead;
  }

  get sentBytes(): number {
    return this.downstream.bytesWritten;
  }

  get idleMs(): number {
    return this.proxy === null ? defaultIdleMs : this.proxy.idleTimeoutMs;
  }

  /** `peeked` was read before the protocol was known; it goes first. */
  start(cluster: string, peeked: Buffer): void {
    const { downstream } = this;
    if (peeked.length > 0) this.keep(peeked, peeked.length);
    downstream.receiver = {
      onBytes: (bytes, length) => this.keep(bytes, length),
      onEnd: () => {
        this.callerEnded = true;
      },
      onDrain() {},
      onClose: () => {
        this.remote?.destroy();
        if (this.tunnel !== null) this.pool?.stopWaiting(this.tunnel);
        this.tunnel?.abandon();
        this.finish(this.flags);
      },
    };
    if (this.counters !== null) this.counters.downstreamCxTotal++;
    const pool = this.plane.pool(cluster);
    if (pool === null) {
      if (this.counters !== null) this.counters.downstreamCxNoRoute++;
      this.refuse('NC');
      return;
    }
    this.cluster = pool.config;
    this.pool = pool;
    const { proxy } = this;
    if (proxy?.hashesSource) this.hash = xxHash64(this.connection.remote.ip);
    if (proxy !== null && proxy.maxDurationMs > 0)
      this.lifetime = setTimeout(() => output.turn(() => this.outlived()), proxy.maxDurationMs);
    this.attemptsLeft = proxy?.maxConnectAttempts ?? 1;
    this.attempt();
  }

  private attempt(): void {
    const tunnel = this.proxy?.tunnel ?? null;
    if (tunnel === null) this.dial(this.attemptsLeft--);
    else this.begin(tunnel);
  }

  private keep(bytes: Buffer, length: number): void {
    this.early.push(Buffer.from(bytes.subarray(0, length)));
    this.earlyBytes += length;
    if (this.earlyBytes >= maxEarlyBytes) this.downstream.pause();
  }

  /** Null, and the caller is let go, when there is none. */
  private pick(): Host | null {
    const pool = this.pool!;
    const host = pool.pick(
      { hash: this.hash, avoid: null, subset: null, spent: null },
      destinationOf(pool.config, () => null, this.connection),
    );
    if (host === null) {
      pool.counters.upstreamCxNoneHealthy++;
      this.refuse('UH');
      return null;
    }
    this.attempts++;
    this.host = host;
    host.active++;
    host.relays.add(this);
    this.endpoint = host.endpoint;
    this.upstreamRemote = host.address;
    this.upstreamMtls = host.tls !== null && host.tls.certificate !== null;
    this.dialTick = performance.now();
    return host;
  }

  private begin(settings: TcpTunnel): void {
    const pool = this.pool!;
    if (!pool.breaker.takesRequests) {
      pool.counters.upstreamRqPendingOverflow++;
      this.refuse('UO');
      return;
    }
    const host = this.pick();
    if (host === null) return;
    this.attemptsLeft--;
    pool.breaker.requests++;
    this.tunnel = new Tunnel(settings, this, this);
    const call = pool.acquire(host, this.tunnel, this.tunnel.authority, false, false);
    if (call === null) this.refuse('UO');
    else if (call !== 'waiting') this.tunnel.onGiven(call);
  }

  private dial(attemptsLeft: number): void {
    const pool = this.pool!;
    if (!pool.breaker.takesConnections) {
      pool.counters.upstreamCxOverflow++;
      this.refuse('UO');
      return;
    }
    const host = this.pick();
    if (host === null) return;
    this.enter(host);
    let connected = false;
    const receiver: DialReceiver = {
      onConnect: () => {
        connected = true;
        this.onConnected();
      },
      onBytes() {},
      onEnd() {},
      onDrain() {},
      onClose: (error) => {
        if (connected) return;
        pool.report(host, (error as { timedOut?: boolean } | null)?.timedOut ? 'timeout' : 'connectFailure');
        pool.counters.upstreamCxConnectFail++;
        host.counters.cxConnectFail++;
        if ((error as { timedOut?: boolean } | null)?.timedOut === true) pool.counters.upstreamCxConnectTimeout++;
        this.leave();
        this.remote = null;
        if (attemptsLeft > 1 && !this.downstream.closed) return this.attempt();
        this.upstreamFailure = failureText(error);
        pool.counters.upstreamCxConnectAttemptsExceeded++;
        this.refuse('UF,URX');
      },
    };
    this.remote = dial(
      dialTarget(pool.config, host, 'tcp', this.connection.sni, this.connection),
      this.plane.secrets,
      host.sessions,
      receiver,
    );
  }

  private enter(host: Host): void {
    host.connections++;
    this.pool!.breaker.connections++;
    this.pool!.counters.upstreamCxTotal++;
    host.counters.cxTotal++;
    host.counters.rqTotal++;
  }

  private leave(): void {
    if (this.host === null) return;
    this.host.active--;
    this.host.relays.delete(this);
    if (this.tunnel !== null) {
      this.pool!.breaker.requests--;
      this.host = null;
      return;
    }
    this.host.connections--;
    this.pool!.breaker.connections--;
    if (this.opened) this.countClosed(this.pool!.counters);
    this.host = null;
  }

  private countClosed(counters: ClusterCounters): void {
    const upstream = this.remote;
    counters.upstreamCxDestroy++;
    if (upstream?.ended === true) counters.upstreamCxDestroyRemote++;
    else counters.upstreamCxDestroyLocal++;
    counters.upstreamCxRxBytesTotal += upstream?.bytesRead ?? 0;
    counters.upstreamCxTxBytesTotal += upstream?.bytesWritten ?? 0;
    counters.upstreamCxLengthMs ??= new Histogram();
    counters.upstreamCxLengthMs.add(performance.now() - this.dialTick);
  }

  private onConnected(): void {
    const upstream = this.remote!;
    const { socket } = upstream;
    this.pool!.report(this.host!, 'relayed');
    const { counters } = this.pool!;
    counters.upstreamCxConnectMs ??= new Histogram();
    counters.upstreamCxConnectMs.add(performance.now() - this.dialTick);
    this.upstreamLocal = { ip: unmapped(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
    this.opened = true;
    this.upstream = {
      id: 0,
      protocol: '',
      address: this.host!.address,
      dialTick: this.dialTick,
      connectedTick: performance.now(),
      tls: upstream.tls === null ? null : upstreamTls(upstream.tls),
    };
    this.plane.telemetry.tcpOpened(this);
    if (this.proxy?.logOptions.onConnected) this.plane.telemetry.during(this, 'TcpUpstreamConnected');
    for (const piece of this.early) upstream.write(piece);
    if (this.earlyBytes >= maxEarlyBytes) this.downstream.resume();
    this.early = [];
    relay(this.downstream, upstream, (reset) => this.finish(this.flags || (reset === upstream ? 'UR' : '')));
    if (this.callerEnded) upstream.end();
  }

  onOpen(call: UpstreamCall): void {
    const tunnel = this.tunnel!;
    const { downstream } = this;
    this.pool!.report(this.host!, 'relayed');
    this.upstreamLocal = call.local;
    this.upstream = call.facts;
    this.opened = true;
    this.plane.telemetry.tcpOpened(this);
    if (this.proxy?.logOptions.onConnected) this.plane.telemetry.during(this, 'TcpUpstreamConnected');
    for (const piece of this.early) tunnel.send(piece, 0, piece.length);
    if (this.earlyBytes >= maxEarlyBytes) downstream.resume();
    this.early = [];
    downstream.receiver = {
      onBytes: (bytes, length) => {
        tunnel.send(bytes, 0, length);
        if (tunnel.congested) downstream.pause();
      },
      onEnd: () => tunnel.end(),
      onDrain: () => tunnel.release(),
      onClose: () => {
        tunnel.abandon();
        this.finish(this.flags);
      },
    };
    if (this.callerEnded) tunnel.end();
  }

  onTunnelled(bytes: Buffer, start: number, end: number): void {
    this.downstream.send(bytes, start, end);
    if (this.downstream.congested) this.tunnel?.hold();
  }

  onTunnelEnd(): void {
    this.downstream.end();
  }

  onTunnelDrain(): void {
    this.downstream.resume();
  }

  onTunnelFailed(reason: string): void {
    if (this.opened) {
      this.flags = 'UR';
      this.downstream.destroy();
      return;
    }
    const pool = this.pool!;
    pool.report(this.host!, 'connectFailure');
    this.leave();
    this.tunnel = null;
    if (this.attemptsLeft > 0 && !this.downstream.closed) {
      this.attempt();
      return;
    }
    this.upstreamFailure = reason;
    pool.counters.upstreamCxConnectAttemptsExceeded++;
    this.refuse('UF,URX');
  }

  /** Lets the caller go without an upstream; the log tells `flags`. */
  refuse(flags: string): void {
    this.flags = flags;
    this.refused = true;
    const { receiver } = this.downstream;
    if (this.pool === null) this.downstream.receiver = { ...receiver, onClose: () => this.finish(flags) };
    this.downstream.destroy();
  }

  /** The host is gone or ill: the caller has to begin anew. */
  destroy(): void {
    this.downstream.destroy();
  }

  private outlived(): void {
    this.flags = 'DT';
    if (this.counters !== null) this.counters.maxDownstreamConnectionDuration++;
    this.downstream.destroy();
  }

  private finish(flags: string): void {
    if (this.endTick >= 0) return;
    this.endTick = performance.now();
    this.flags = flags;
    if (this.lifetime !== null) clearTimeout(this.lifetime);
    if (!this.opened && !this.refused && flags === '') this.flags = 'DC';
    this.leave();
    if (this.counters !== null) {
      this.counters.downstreamCxRxBytesTotal += this.receivedBytes;
      this.counters.downstreamCxTxBytesTotal += this.sentBytes;
    }
    this.plane.telemetry.tcpClosed(this);
    this.onClosed();
  }

  /** About once a second: ends what has been silent too long. */
  sweep(now: number): void {
    const everyMs = this.proxy?.logOptions.everyMs ?? 0;
    if (everyMs > 0 && now - Math.max(this.startTick, this.loggedTick) >= everyMs) {
      this.loggedTick = now;
      this.plane.telemetry.during(this, 'TcpPeriodic');
    }
    const active = Math.max(this.downstream.lastActiveTick, this.remote?.lastActiveTick ?? 0, this.startTick);
    if (this.idleMs === 0 || now - active <= this.idleMs) return;
    if (this.counters !== null) this.counters.idleTimeout++;
    this.downstream.destroy();
  }
}
