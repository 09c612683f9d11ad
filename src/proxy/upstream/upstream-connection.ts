import type { UpstreamFacts, UpstreamTlsFacts } from '../http/exchange.ts';
import { type Address, unknownAddress, unmapped } from '../net/connection.ts';
import { upstreamTls } from '../net/identity.ts';
import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';
import { Histogram } from '../telemetry/histogram.ts';
import type { Breaker } from './breaker.ts';
import type { ClusterPool } from './cluster.ts';
import { type DialReceiver, dial } from './dial.ts';
import { dialTarget, type Host } from './host.ts';
import type { Caller } from './proxy-header.ts';
import type { PooledConnection } from './upstream-call.ts';

let lastId = 0;

/** What every connection of a pool is, whichever protocol it speaks: a dialled transport, and what logs and counters ask of it. */
export abstract class UpstreamConnection implements UpstreamFacts {
  readonly id: number = ++lastId;
  /** '' for bytes. */
  abstract readonly protocol: 'HTTP/1.1' | 'HTTP/2' | '';
  readonly address: Address;
  readonly pool: ClusterPool;
  /** Where it counts. */
  readonly breaker: Breaker;
  readonly host: Host;
  readonly transport: Transport;
  /** This side's address, once connected. */
  local: Address = unknownAddress;
  /** When it was begun, and when it stood; -1 before. */
  readonly dialTick: number = performance.now();
  connectedTick = -1;
  /** Null without TLS. */
  tls: UpstreamTlsFacts | null = null;
  private countedRead = 0;
  private countedWritten = 0;

  constructor(
    pool: ClusterPool,
    host: Host,
    use: 'http1' | 'http2' | 'tcp',
    authority: string,
    breaker: Breaker,
    caller: Caller | null,
  ) {
    this.pool = pool;
    this.breaker = breaker;
    this.host = host;
    this.address = host.address;
    const receiver = this as unknown as DialReceiver;
    this.transport = dial(dialTarget(pool.config, host, use, authority, caller), pool.secrets, host.sessions, receiver);
  }

  /** It has come to stand at some time. */
  get stood(): boolean {
    return this.connectedTick >= 0;
  }

  /** The peer ended it. */
  get endedByPeer(): boolean {
    return this.transport.ended;
  }

  /** Notes that it stands. */
  protected noteConnected(): void {
    this.connectedTick = output.tick;
    this.pool.stood(this as unknown as PooledConnection);
    const { counters } = this.pool;
    counters.upstreamCxConnectMs ??= new Histogram();
    counters.upstreamCxConnectMs.add(output.tick - this.dialTick);
    const { socket, tls } = this.transport;
    if (tls !== null) this.tls = upstreamTls(tls);
    this.local = { ip: unmapped(socket.localAddress ?? ''), port: socket.localPort ?? 0 };
  }

  /** Adds what has passed since it was last asked to the cluster's counters. */
  countBytes(): void {
    const { counters } = this.pool;
    const { bytesRead, bytesWritten } = this.transport;
    counters.upstreamCxRxBytesTotal += bytesRead - this.countedRead;
    counters.upstreamCxTxBytesTotal += bytesWritten - this.countedWritten;
    this.countedRead = bytesRead;
    this.countedWritten = bytesWritten;
  }

  /** Probes a peer that may have vanished. */
  probe(afterMs: number): void {
    this.transport.socket.setKeepAlive(true, afterMs);
  }
}
