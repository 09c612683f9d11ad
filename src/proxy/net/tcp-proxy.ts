import type { Cluster, Endpoint, Listener, TcpProxy } from '../config/table.ts';
import type { TcpSession, UpstreamFacts } from '../http/exchange.ts';
import type { Plane } from '../http/plane.ts';
import type { ClusterCounters, TcpCounters } from '../telemetry/counters.ts';
import { Histogram } from '../telemetry/histogram.ts';
import { xxHash64 } from '../upstream/balance/xxhash.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import { type DialReceiver, dial, failureText } from '../upstream/dial.ts';
import { dialTarget, type Host } from '../upstream/host.ts';
import { destinationOf } from '../upstream/original-destination.ts';
import { type Address, type ConnectionFacts, unmapped } from './connection.ts';
import { upstreamTls } from './identity.ts';
import { output } from './output.ts';
import { relay } from './relay.ts';
import type { Transport } from './transport.ts';

const maxEarlyBytes = 262_144;
const defaultIdleMs = 3_600_000;

/** A TCP connection on its way through: dials the chain's cluster, relays both ways, and tells telemetry at the end. */
export class TcpRelay implements TcpSession {
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
    this.dial(proxy?.maxConnectAttempts ?? 1);
  }

  private keep(bytes: Buffer, length: number): void {
    this.early.push(Buffer.from(bytes.subarray(0, length)));
    this.earlyBytes += length;
    if (this.earlyBytes >= maxEarlyBytes) this.downstream.pause();
  }

  private dial(attemptsLeft: number): void {
    const pool = this.pool!;
    if (!pool.breaker.takesConnections) {
      pool.counters.upstreamCxOverflow++;
      this.refuse('UO');
      return;
    }
    const host = pool.pick(
      { hash: this.hash, avoid: null, subset: null, spent: null },
      destinationOf(pool.config, () => null, this.connection),
    );
    if (host === null) {
      pool.counters.upstreamCxNoneHealthy++;
      this.refuse('UH');
      return;
    }
    this.enter(host);
    this.attempts++;
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
        if (attemptsLeft > 1 && !this.downstream.closed) return this.dial(attemptsLeft - 1);
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
    this.host = host;
    host.active++;
    host.relays.add(this);
    host.connections++;
    this.pool!.breaker.connections++;
    this.dialTick = performance.now();
    this.pool!.counters.upstreamCxTotal++;
    host.counters.cxTotal++;
    host.counters.rqTotal++;
    this.endpoint = host.endpoint;
    this.upstreamRemote = host.address;
    this.upstreamMtls = host.tls !== null && host.tls.certificate !== null;
  }

  private leave(): void {
    if (this.host === null) return;
    this.host.active--;
    this.host.relays.delete(this);
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
