import type { Cluster, Endpoint, Listener, TcpProxy } from '../config/table.ts';
import type { TcpSession } from '../http/exchange.ts';
import type { Plane } from '../http/plane.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import { type DialReceiver, dial, failureText } from '../upstream/dial.ts';
import { dialTarget, type Host } from '../upstream/host.ts';
import { type Address, type ConnectionFacts, unmapped } from './connection.ts';
import { relay } from './relay.ts';
import type { Transport } from './transport.ts';

const maxConnectAttempts = 1;
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
  details = '';
  upstreamFailure = '';
  upstreamRemote: Address | null = null;
  upstreamLocal: Address | null = null;
  upstreamMtls = false;
  private readonly plane: Plane;
  private readonly downstream: Transport;
  private readonly use: 'tcp' | 'http2';
  private upstream: Transport | null = null;
  private host: Host | null = null;
  private pool: ClusterPool | null = null;
  private early: Buffer[] = [];
  private earlyBytes = 0;
  private callerEnded = false;
  private opened = false;
  private readonly onClosed: () => void;

  constructor(
    plane: Plane,
    connection: ConnectionFacts,
    listener: Listener,
    proxy: TcpProxy | null,
    downstream: Transport,
    use: 'tcp' | 'http2',
    onClosed: () => void,
  ) {
    this.plane = plane;
    this.connection = connection;
    this.listener = listener;
    this.proxy = proxy;
    this.downstream = downstream;
    this.use = use;
    this.onClosed = onClosed;
  }

  get receivedBytes(): number {
    return this.downstream.bytesRead;
  }

  get sentBytes(): number {
    return this.downstream.bytesWritten;
  }

  get idleMs(): number {
    return this.proxy?.idleTimeoutMs || defaultIdleMs;
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
        this.upstream?.destroy();
        this.finish(this.flags, this.details);
      },
    };
    const pool = this.plane.pool(cluster);
    if (pool === null) {
      this.refuse('NC', 'cluster_not_found');
      return;
    }
    this.cluster = pool.config;
    this.pool = pool;
    this.dial(maxConnectAttempts);
  }

  private keep(bytes: Buffer, length: number): void {
    this.early.push(Buffer.from(bytes.subarray(0, length)));
    this.earlyBytes += length;
    if (this.earlyBytes >= maxEarlyBytes) this.downstream.pause();
  }

  private dial(attemptsLeft: number): void {
    const pool = this.pool!;
    if (pool.connections >= pool.config.circuit.maxConnections) {
      this.refuse('UO', 'upstream_overflow');
      return;
    }
    const host = pool.pick({ hash: null, avoid: null }, this.connection.local);
    if (host === null) {
      this.refuse('UH', 'no_healthy_upstream');
      return;
    }
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
        pool.report(host, 'localOrigin');
        this.leave();
        this.upstream = null;
        if (attemptsLeft > 1 && !this.downstream.closed) return this.dial(attemptsLeft - 1);
        this.upstreamFailure = failureText(error);
        this.refuse('UF', `upstream_reset_before_response_started{remote_connection_failure}`);
      },
    };
    this.upstream = dial(
      dialTarget(pool.config, host, this.use, this.connection.sni),
      this.plane.secrets,
      host.sessions,
      receiver,
    );
  }

  private enter(host: Host): void {
    this.host = host;
    host.active++;
    host.connections++;
    this.pool!.connections++;
    this.endpoint = host.endpoint;
    this.upstreamRemote = host.address;
    this.upstreamMtls = host.tls !== null && host.tls.certificate !== null;
  }

  private leave(): void {
    if (this.host === null) return;
    this.host.active--;
    this.host.connections--;
    this.pool!.connections--;
    this.host = null;
  }

  private onConnected(): void {
    const upstream = this.upstream!;
    const { socket } = upstream;
    this.pool!.report(this.host!, 'success');
    this.upstreamLocal = { ip: unmapped(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
    this.opened = true;
    this.plane.telemetry.tcpOpened(this);
    for (const piece of this.early) upstream.write(piece);
    if (this.earlyBytes >= maxEarlyBytes) this.downstream.resume();
    this.early = [];
    relay(this.downstream, upstream, () => this.finish('', ''));
    if (this.callerEnded) upstream.end();
  }

  private refuse(flags: string, details: string): void {
    this.flags = flags;
    this.details = details;
    this.downstream.reset();
  }

  private finish(flags: string, details: string): void {
    if (this.endTick >= 0) return;
    this.endTick = performance.now();
    this.flags = flags;
    this.details = details;
    if (!this.opened && flags === '') this.flags = 'DC';
    this.leave();
    this.plane.telemetry.tcpClosed(this);
    this.onClosed();
  }

  /** About once a second: ends what has been silent too long. */
  sweep(now: number): void {
    const active = Math.max(this.downstream.lastActiveTick, this.upstream?.lastActiveTick ?? 0, this.startTick);
    if (now - active > this.idleMs) this.downstream.destroy();
  }
}
