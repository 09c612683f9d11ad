import { BodyReader } from '../codec/body.ts';
import { type HeadLimits, needMore } from '../codec/head.ts';
import { HeadReader } from '../codec/head-reader.ts';
import { type HeaderBlock, returnBlock, takeBlock } from '../codec/header-block.ts';
import { putBody, putLastChunk, putRequestHead } from '../codec/http1.ts';
import type { UpstreamFacts } from '../http/exchange.ts';
import type { Breaker } from './breaker.ts';
import type { ClusterPool } from './cluster.ts';
import { type DialReceiver, failureText } from './dial.ts';
import type { Host } from './host.ts';
import type { PooledConnection, RequestHead, ResetReason, UpstreamCall, UpstreamStream } from './upstream-call.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** Methods whose requests have no content as a rule: they need not say that there is none (RFC 9110 §8.6). */
const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'TRACE', 'CONNECT']);

const responseLimits: HeadLimits = { maxBytes: 65_536, maxFields: 200 };

/**
 * One HTTP/1.1 connection to a host.
 *
 *     connecting → idle ⇄ busy (request and response) → closed
 *                          └→ tunnel (after 101) → closed
 */
export class Http1Upstream extends UpstreamConnection implements DialReceiver, UpstreamCall, PooledConnection {
  readonly protocol = 'HTTP/1.1';
  stream: UpstreamStream | null;
  /** Asked when the connection stands and has no stream: the request that dialled several hosts may take it. */
  claim: ((call: UpstreamCall) => boolean) | null = null;
  ready = false;
  requests = 0;
  /** It was ended under a request. */
  endedBusy = false;
  private reader = new HeadReader(false);
  private body = new BodyReader();
  private block: HeaderBlock | null = null;
  private headDone = false;
  private answered = false;
  private tunnel = false;
  private requestDone = false;
  private chunked = false;
  private headRequest = false;
  private connecting = false;
  private closeAfter = false;

  constructor(pool: ClusterPool, host: Host, stream: UpstreamStream, authority: string, breaker: Breaker) {
    super(pool, host, 'http1', authority, breaker, stream.caller);
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
    return this.stream !== null || this.endedBusy;
  }

  sendHead(head: RequestHead): number {
    this.requests++;
    this.pool.counters.upstreamRqTotal++;
    this.host.counters.rqTotal++;
    this.requestDone = false;
    this.headDone = false;
    this.answered = false;
    const { method, path, block, edit, authority, upgrade } = head;
    this.chunked = head.framing === 'unknown' && upgrade === '' && method !== 'CONNECT';
    this.headRequest = method === 'HEAD';
    // Host stays where it is when it says the same; an absolute target overrides it (RFC 9112 §3.2.2).
    const { host } = block;
    if (host < 0 || edit.skips(host) || !block.valueIs(host, authority)) {
      if (host >= 0) edit.skip(host);
      edit.add('host', authority);
    }
    if (this.chunked) edit.add('transfer-encoding', 'chunked');
    else if (head.framing === 'none' && block.contentLength < 0 && upgrade === '' && !bodiless.has(method))
      edit.add('content-length', '0');
    if (upgrade !== '') {
      edit.add('connection', 'upgrade');
      edit.add('upgrade', upgrade);
    }
    this.connecting = method === 'CONNECT';
    // The target of CONNECT is the authority alone (RFC 9112 §3.2.3).
    return putRequestHead(this.transport, method, this.connecting ? authority : path, block, edit);
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    putBody(this.transport, bytes, start, end, this.chunked);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    if (this.tunnel) {
      this.transport.end();
      return;
    }
    if (this.chunked) putLastChunk(this.transport, trailers);
    this.requestDone = true;
  }

  /** Raw bytes of an upgraded connection. */
  sendRaw(bytes: Buffer, start: number, end: number): void {
    this.transport.send(bytes, start, end);
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

  /** Gives up the stream; the connection cannot be used again. */
  abandon(): void {
    this.endedBusy = this.stream !== null;
    this.stream = null;
    this.transport.destroy();
  }

  onConnect(): void {
    this.ready = true;
    this.noteConnected();
    const { stream, claim } = this;
    this.claim = null;
    if (stream !== null) stream.onReady();
    else if (claim === null || !claim(this)) this.pool.release(this);
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.stream === null) {
      this.transport.destroy();
      return;
    }
    let i = 0;
    while (i < length && this.stream !== null) {
      if (this.tunnel) {
        this.stream.onBody(bytes, i, length);
        return;
      }
      i = this.headDone ? this.readBody(bytes, i, length) : this.readHead(bytes, i, length);
    }
  }

  private readHead(bytes: Buffer, from: number, length: number): number {
    this.answered = true;
    this.block ??= takeBlock();
    const { block } = this;
    const taken = this.reader.read(block, bytes, from, length, responseLimits);
    if (taken === needMore) return length;
    if (taken < 0) {
      this.pool.counters.upstreamCxProtocolError++;
      this.fail('protocol error', '');
      return length;
    }
    const { status } = block;
    const stream = this.stream!;
    if (status === 101 && !stream.upgrading) {
      this.fail('protocol error', '');
      return length;
    }
    if (status < 200 && status !== 101) {
      stream.onInterim(block);
      block.clear();
      return from + taken;
    }
    this.block = null;
    this.headDone = true;
    this.closeAfter = block.close || (block.minorVersion === 0 && !block.keepAlive);
    if (status === 101 || (this.connecting && status < 300)) {
      this.tunnel = true;
      stream.onHead(block, false);
      return from + taken;
    }
    const empty = this.headRequest || status === 204 || status === 304;
    if (empty) this.body.start('none', 0);
    else if (block.chunked) this.body.start('chunked', 0);
    else if (block.contentLength >= 0) this.body.start('length', block.contentLength);
    else {
      this.body.start('untilClose', 0);
      this.closeAfter = true;
    }
    const { done } = this.body;
    stream.onHead(block, done);
    // A retry gives the connection up there and then.
    if (this.stream === null) return length;
    if (done) this.complete(from + taken === length);
    return from + taken;
  }

  private readBody(bytes: Buffer, from: number, length: number): number {
    const { body } = this;
    const next = body.next(bytes, from, length);
    if (body.failed) {
      this.fail('protocol error', '');
      return length;
    }
    if (body.dataEnd > body.dataStart) this.stream!.onBody(bytes, body.dataStart, body.dataEnd);
    if (body.done && this.stream !== null) this.complete(next === length);
    return next;
  }

  /** `clean` says that nothing follows the response: bytes behind it would pass for the answer to the next request. */
  private complete(clean: boolean): void {
    const stream = this.stream!;
    const { body } = this;
    const { trailers } = body;
    body.trailers = null;
    this.stream = null;
    this.headDone = false;
    const reusable = clean && !this.closeAfter && this.requestDone && !this.transport.closed && !this.transport.ended;
    // Back to the pool first: what `onComplete` sets off may be the next request.
    if (reusable) this.pool.release(this);
    stream.onComplete(trailers);
    if (trailers !== null) returnBlock(trailers);
    if (!reusable) this.transport.destroy();
  }

  private fail(reason: ResetReason, detail: string): void {
    const { stream } = this;
    this.endedBusy = stream !== null;
    this.stream = null;
    this.transport.destroy();
    stream?.onFailure(reason, detail, this.answered);
  }

  onEnd(): void {
    if (this.stream !== null && this.headDone && this.body.framing === 'untilClose' && !this.tunnel) {
      this.complete(true);
      return;
    }
    if (this.stream === null) this.transport.destroy();
    else this.fail('connection termination', '');
  }

  onDrain(): void {
    this.stream?.onUpstreamDrain();
  }

  onClose(error: Error | null): void {
    this.pool.closedConnection(this);
    if (this.block !== null) {
      returnBlock(this.block);
      this.block = null;
    }
    const { stream } = this;
    if (stream === null) return;
    this.stream = null;
    if (this.ready) stream.onFailure('connection termination', '', this.answered);
    else {
      const timedOut = (error as { timedOut?: boolean } | null)?.timedOut === true;
      this.pool.counters.upstreamRqPendingFailureEject++;
      if (timedOut) this.pool.counters.upstreamCxConnectTimeout++;
      stream.onFailure(timedOut ? 'connection timeout' : 'remote connection failure', failureText(error), false);
    }
  }
}
