import { takeBlock } from '../codec/header-block.ts';
import type { UpstreamFacts } from '../http/exchange.ts';
import { output } from '../net/output.ts';
import type { Breaker } from './breaker.ts';
import type { ClusterPool } from './cluster.ts';
import { type DialReceiver, failureText } from './dial.ts';
import type { Host } from './host.ts';
import type { PooledConnection, UpstreamCall, UpstreamStream } from './upstream-call.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/**
 * A connection for a CONNECT that ends here (Envoy: connect_config): the host is spoken to in bytes, and the caller is told 200 as soon
 * as the connection stands. It serves one request.
 */
export class RawUpstream extends UpstreamConnection implements DialReceiver, UpstreamCall, PooledConnection {
  readonly protocol = '';
  stream: UpstreamStream | null;
  claim: ((call: UpstreamCall) => boolean) | null = null;
  ready = false;
  private wasBusy = false;

  constructor(pool: ClusterPool, host: Host, stream: UpstreamStream, breaker: Breaker) {
    super(pool, host, 'tcp', '', breaker, stream.caller);
    this.stream = stream;
  }

  get facts(): UpstreamFacts {
    return this;
  }

  get congested(): boolean {
    return this.transport.congested;
  }

  get silent(): boolean {
    return this.transport.socket.connecting;
  }

  get pending(): boolean {
    return this.claim !== null && !this.transport.socket.destroyed;
  }

  get busy(): boolean {
    return this.stream !== null || this.wasBusy;
  }

  /** No byte of it: the head is not the host's. */
  sendHead(): number {
    this.pool.counters.upstreamRqTotal++;
    this.host.counters.rqTotal++;
    // After the sender has settled what it sends.
    queueMicrotask(() => {
      const { stream } = this;
      if (stream === null) return;
      const block = takeBlock();
      block.status = 200;
      block.complete();
      output.turn(() => stream.onHead(block, false));
    });
    return 0;
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.transport.send(bytes, start, end);
  }

  sendRaw(bytes: Buffer, start: number, end: number): void {
    this.transport.send(bytes, start, end);
  }

  /** The caller sends no more; the host may. */
  sendEnd(): void {
    this.transport.end();
  }

  hold(): void {
    this.transport.pause();
  }

  release(): void {
    this.transport.resume();
  }

  destroy(): void {
    this.transport.destroy();
  }

  abandon(): void {
    this.wasBusy = this.stream !== null;
    this.stream = null;
    this.transport.destroy();
  }

  onConnect(): void {
    this.ready = true;
    this.noteConnected();
    const { stream, claim } = this;
    this.claim = null;
    if (stream !== null) stream.onReady();
    else if (claim === null || !claim(this)) this.transport.destroy();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.stream?.onBody(bytes, 0, length);
  }

  onEnd(): void {
    const { stream } = this;
    this.stream = null;
    this.wasBusy = stream !== null;
    stream?.onComplete(null);
    this.transport.destroy();
  }

  onDrain(): void {
    this.stream?.onUpstreamDrain();
  }

  onClose(error: Error | null): void {
    this.pool.closedConnection(this);
    const { stream } = this;
    if (stream === null) return;
    this.stream = null;
    if (this.ready) stream.onFailure('connection termination', '', true);
    else {
      const timedOut = (error as { timedOut?: boolean } | null)?.timedOut === true;
      this.pool.counters.upstreamRqPendingFailureEject++;
      if (timedOut) this.pool.counters.upstreamCxConnectTimeout++;
      stream.onFailure(timedOut ? 'connection timeout' : 'remote connection failure', failureText(error), false);
    }
  }
}
