import { type HeaderBlock, returnBlock } from '../codec/header-block.ts';
import type { FieldSection } from '../codec/hpack-decoder.ts';
import { lastHead } from '../codec/http1.ts';
import { cancelled, noError, refusedStream } from '../codec/http2-frames.ts';
import type { SessionUser } from '../codec/http2-sender.ts';
import { Http2Session } from '../codec/http2-session.ts';
import type { Http2Stream, StreamUser } from '../codec/http2-stream.ts';
import type { UpstreamFacts } from '../http/exchange.ts';
import type { Address } from '../net/connection.ts';
import { output } from '../net/output.ts';
import type { Breaker } from './breaker.ts';
import type { ClusterPool } from './cluster.ts';
import { type DialReceiver, failureText } from './dial.ts';
import type { Host } from './host.ts';
import type { Caller } from './proxy-header.ts';
import type { PooledConnection, RequestHead, UpstreamCall, UpstreamStream } from './upstream-call.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** Until the peer has told how many streams it takes, it is not given more (RFC 9113 §6.5.2 advises no less than 100). */
const unsettledStreams = 100;

/**
 * One HTTP/2 connection to a host, which many requests share.
 *
 *     connecting ─ calls wait ─► open ─ calls come and go ─► leaving (GOAWAY, used up, retired) ─► closed
 */
export class Http2Upstream extends UpstreamConnection implements DialReceiver, SessionUser, PooledConnection {
  readonly protocol = 'HTTP/2';
  session: Http2Session | null = null;
  /** Calls that wait for the connection to stand. */
  private waiting: Http2Call[] = [];
  private calls = 0;
  private begun = 0;
  /** It takes no further calls. */
  leaving = false;
  idleSinceTick = -1;
  private closed = false;
  private wasBusy = false;

  constructor(pool: ClusterPool, host: Host, authority: string, breaker: Breaker, caller: Caller | null) {
    super(pool, host, 'http2', authority, breaker, caller);
  }

  get ready(): boolean {
    return this.session !== null;
  }

  get busy(): boolean {
    return this.wasBusy || this.calls > 0;
  }

  get connecting(): number {
    return this.waiting.length;
  }

  /** Whether another call fits. */
  get hasRoom(): boolean {
    if (this.leaving || this.closed) return false;
    const { maxRequestsPerConnection } = this.host;
    if (maxRequestsPerConnection > 0 && this.begun >= maxRequestsPerConnection) return false;
    const { session } = this;
    const peer = session === null || !session.settled ? unsettledStreams : session.peerMaxStreams;
    return this.calls < Math.min(peer, this.pool.config.http2.maxStreams);
  }

  /** A call for one request; `stream.onReady` follows unless it is ready at once. */
  call(stream: UpstreamStream): UpstreamCall {
    this.calls++;
    this.begun++;
    this.idleSinceTick = -1;
    const call = new Http2Call(this, stream);
    const { session } = this;
    if (session === null) this.waiting.push(call);
    else call.open(session);
    return call;
  }

  callGone(call: Http2Call): void {
    const at = this.waiting.indexOf(call);
    if (at >= 0) this.waiting.splice(at, 1);
    if (--this.calls === 0) this.idleSinceTick = output.tick;
    const { maxRequestsPerConnection } = this.host;
    if (maxRequestsPerConnection > 0 && this.begun >= maxRequestsPerConnection) this.leaving = true;
    if (this.host.removed || this.pool.closed) this.leaving = true;
    if (this.leaving && this.calls === 0) this.destroy();
    else this.pool.roomInHttp2(this);
  }

  onConnect(): void {
    this.noteConnected();
    const spoken = this.transport.tls?.alpn ?? '';
    if (this.pool.config.http === 'alpn' && spoken !== 'h2') {
      this.giveWay();
      return;
    }
    const session = new Http2Session(this.transport, false, this, this.pool.config.http2);
    this.session = session;
    const calls = this.waiting;
    this.waiting = [];
    if (calls.length === 0) this.idleSinceTick = output.tick;
    for (const call of calls) {
      call.open(session);
      if (call.ready) call.stream?.onReady();
    }
  }

  /** The peer chose HTTP/1: what waited here is asked again by that. */
  private giveWay(): void {
    const { host } = this;
    host.speaks = 'http1';
    this.leaving = true;
    const streams = this.waiting.map(({ stream }) => stream);
    this.waiting = [];
    this.calls = 0;
    this.transport.destroy();
    for (const stream of streams) if (stream !== null) this.pool.again(host, stream);
  }

  // Until the session stands, bytes are nobody's.
  onBytes(): void {}

  onRequest(stream: Http2Stream, section: FieldSection): void {
    // A server begins no streams here: they were refused by SETTINGS_ENABLE_PUSH.
    returnBlock(section.block);
    this.session!.abandon(stream, refusedStream);
  }

  onMalformed(_stream: Http2Stream, section: FieldSection): void {
    returnBlock(section.block);
  }

  onSettings(): void {
    this.pool.roomInHttp2(this);
  }

  onGoaway(lastStreamId: number): void {
    this.leaving = true;
    const { session } = this;
    if (session === null) return;
    // The peer has not looked at these (RFC 9113 §6.8): they may go elsewhere whatever they ask for.
    for (const stream of [...session.streams.values()])
      if (stream.id > lastStreamId && (stream.id & 1) === 1) {
        const { user } = stream;
        session.abandon(stream, cancelled);
        user.onReset(refusedStream, false, 'http2.goaway');
      }
    if (this.calls === 0) this.destroy();
  }

  onStreamGone(): void {}

  onFault(): void {
    this.leaving = true;
    this.pool.counters.upstreamCxProtocolError++;
    this.transport.end();
    this.transport.destroy();
  }

  onEnd(): void {
    this.leaving = true;
    this.transport.destroy();
  }

  onDrain(): void {}

  onClose(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    this.leaving = true;
    this.wasBusy = this.calls > 0;
    this.pool.closedConnection(this);
    if (this.session !== null) return;
    const calls = this.waiting;
    this.waiting = [];
    const timedOut = (error as { timedOut?: boolean } | null)?.timedOut === true;
    if (timedOut) this.pool.counters.upstreamCxConnectTimeout++;
    for (const call of calls) {
      this.pool.counters.upstreamRqPendingFailureEject++;
      call.failed(timedOut ? 'connection timeout' : 'remote connection failure', failureText(error));
    }
  }

  /** Ends it, with a GOAWAY when there is somebody to tell. */
  destroy(): void {
    this.leaving = true;
    if (this.session !== null && !this.session.over && this.calls === 0) {
      this.session.sendGoaway(true, noError);
      this.session.over = true;
      this.transport.end();
    }
    this.transport.destroy();
  }
}

/** One for all calls of the thread: it is written at once. */
const pseudo = { method: '', scheme: '', authority: '', path: '', protocol: '' };

/** One request on such a connection. */
export class Http2Call implements UpstreamCall, StreamUser {
  readonly connection: Http2Upstream;
  stream: UpstreamStream | null;
  claim: ((call: UpstreamCall) => boolean) | null = null;
  private h2: Http2Stream | null = null;
  private upgrade = '';
  private answered = false;
  private over = false;

  constructor(connection: Http2Upstream, stream: UpstreamStream) {
    this.connection = connection;
    this.stream = stream;
  }

  get facts(): UpstreamFacts {
    return this.connection;
  }

  get host(): Host {
    return this.connection.host;
  }

  get ready(): boolean {
    return this.h2 !== null;
  }

  get local(): Address {
    return this.connection.local;
  }

  get congested(): boolean {
    return this.h2?.congested ?? true;
  }

  /** Requests share a connection: none of them begins another because it is slow. */
  get silent(): boolean {
    return false;
  }

  get pending(): boolean {
    return false;
  }

  open(session: Http2Session): void {
    this.h2 = session.open(this);
    if (this.h2 === null) queueMicrotask(() => output.turn(() => this.failed('connection termination', '')));
  }

  sendHead(head: RequestHead): number {
    const { connection } = this;
    const stream = this.h2!;
    const { counters } = connection.pool;
    counters.upstreamRqTotal++;
    connection.host.counters.rqTotal++;
    const { block, edit } = head;
    if (block.host >= 0) edit.skip(block.host);
    stream.bodiless = head.method === 'HEAD';
    this.upgrade = head.upgrade;
    const bare = head.method === 'CONNECT' && head.upgrade === '';
    pseudo.method = head.upgrade === '' ? head.method : 'CONNECT';
    pseudo.scheme = bare ? '' : head.scheme;
    pseudo.authority = head.authority;
    pseudo.path = bare ? '' : head.path;
    pseudo.protocol = head.upgrade;
    lastHead.fields = block.count + edit.count;
    return stream.session.sendRequest(stream, pseudo, block, edit);
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    this.h2?.session.sendData(this.h2, bytes, start, end);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    this.h2?.session.sendEnd(this.h2, trailers);
  }

  sendRaw(bytes: Buffer, start: number, end: number): void {
    this.sendBody(bytes, start, end);
  }

  hold(): void {
    this.h2?.hold();
  }

  release(): void {
    this.h2?.release();
  }

  abandon(): void {
    if (this.over) return;
    this.end(cancelled);
  }

  /** Gives the stream back; one that is not over yet is reset. */
  private end(code: number): void {
    this.over = true;
    this.stream = null;
    if (this.h2 !== null) this.h2.session.abandon(this.h2, code);
    this.connection.callGone(this);
  }

  failed(reason: 'connection timeout' | 'remote connection failure' | 'connection termination', detail: string): void {
    if (this.over) return;
    const { stream } = this;
    this.end(cancelled);
    stream?.onFailure(reason, detail, false);
  }

  onHeaders(section: FieldSection, endStream: boolean): void {
    const { block, status } = section;
    const { stream } = this;
    this.answered = true;
    if (stream === null) {
      returnBlock(block);
      return;
    }
    if (status < 200) {
      if (status !== 101) stream.onInterim(block);
      returnBlock(block);
      return;
    }
    // The answer to an extended CONNECT says 200 where HTTP/1 says 101 (RFC 8441 §4).
    if (this.upgrade !== '' && status === 200 && !endStream) block.status = 101;
    stream.onHead(block, endStream);
    if (endStream && !this.over) this.complete(null);
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.stream?.onBody(bytes, start, end);
  }

  onEnd(trailers: HeaderBlock | null): void {
    if (!this.over) this.complete(trailers);
  }

  private complete(trailers: HeaderBlock | null): void {
    const { stream } = this;
    // The request may not be at its end: the upstream wants no more of it.
    this.end(cancelled);
    stream?.onComplete(trailers);
  }

  onReset(code: number, byPeer: boolean, details: string): void {
    if (this.over) return;
    const { stream, answered } = this;
    this.end(cancelled);
    if (byPeer)
      stream?.onFailure(code === refusedStream ? 'remote refused stream reset' : 'remote reset', '', answered);
    else if (details === 'http2.connection_closed' || details === 'http2.goaway')
      stream?.onFailure('connection termination', '', answered);
    else stream?.onFailure('protocol error', details, answered);
  }

  onWritable(): void {
    this.stream?.onUpstreamDrain();
  }
}
