import { BodyReader } from '../codec/body.ts';
import { needMore, refusal, tooLarge, unsupportedCoding } from '../codec/head.ts';
import { HeadReader } from '../codec/head-reader.ts';
import { type HeaderBlock, returnBlock, takeBlock } from '../codec/header-block.ts';
import { edit, type HeaderEdit } from '../codec/header-edit.ts';
import { lastHead, putBody, putContinue, putLastChunk, putResponseHead } from '../codec/http1.ts';
import { output } from '../net/output.ts';
import type { Receiver, Transport } from '../net/transport.ts';
import { ActiveExchange } from './active-exchange.ts';
import { finish } from './finish.ts';
import type { HttpConnection } from './http-connection.ts';
import { localReply } from './local-reply.ts';
import { runPipeline } from './pipeline.ts';
import { methodOf, readTarget } from './request-line.ts';
import type { ResponseBody, ServerStream } from './server-stream.ts';
import { endOverdue, overdue } from './stream-timeout.ts';

/** Requests sent ahead wait in a buffer of at most this, then the caller is not read. */
const maxAheadBytes = 65_536;
/** The rest of a request that nobody wants is read and dropped up to this, so that the connection can go on. */
const maxDroppedBytes = 65_536;
const lingerMs = 1000;

type Phase =
  /** Between requests, or within a head. */
  | 'head'
  | 'body'
  /** The request is complete, its response is not. */
  | 'waiting'
  /** The response is complete, the request is not. */
  | 'dropping'
  | 'tunnel'
  /** Nothing more is read; what was written is leaving. */
  | 'closing';

/** An offer of HTTP/2 in clear text, which may be ignored (RFC 9110 §7.8). */
function offersHttp2(exchange: ActiveExchange): boolean {
  return exchange.header('upgrade')?.toLowerCase() === 'h2c';
}

/** The caller's end of an HTTP/1 connection: one request at a time, in order. */
export class Http1Downstream implements Receiver, ServerStream {
  private readonly connection: HttpConnection;
  private readonly transport: Transport;
  private readonly reader = new HeadReader(true);
  private readonly body = new BodyReader();
  private block: HeaderBlock | null = null;
  private exchange: ActiveExchange | null = null;
  private phase: Phase = 'head';
  private ahead: Buffer | null = null;
  private aheadPaused = false;
  private running = false;
  /** The connection ends after the current response. */
  private lastResponse = false;
  private chunkedResponse = false;
  private headOnly = false;
  private dropped = 0;
  private headStartTick = 0;
  private authority = '';
  private closingTimer: NodeJS.Timeout | null = null;

  constructor(connection: HttpConnection, transport: Transport) {
    this.connection = connection;
    this.transport = transport;
    transport.receiver = this;
    connection.opened('http1');
    transport.lastActiveTick = output.tick;
  }

  get congested(): boolean {
    return this.transport.congested;
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.running || this.phase === 'waiting') {
      this.keepAhead(bytes, 0, length);
      return;
    }
    this.run(bytes, 0, length);
  }

  /** Works through the bytes at hand, request by request, without recursion: what comes back meanwhile waits in `ahead`. */
  private run(first: Buffer, from: number, to: number): void {
    this.running = true;
    let bytes = first;
    let i = from;
    let length = to;
    for (;;) {
      while (i < length && this.phase !== 'waiting' && this.phase !== 'closing') i = this.step(bytes, i, length);
      if (this.phase === 'closing') break;
      if (i < length) {
        this.keepAhead(bytes, i, length);
        break;
      }
      if (this.ahead === null || this.phase === 'waiting') break;
      bytes = this.ahead;
      i = 0;
      length = bytes.length;
      this.ahead = null;
      this.resumeAhead();
    }
    this.running = false;
  }

  private step(bytes: Buffer, i: number, length: number): number {
    if (this.phase === 'head') return this.readHead(bytes, i, length);
    if (this.phase === 'tunnel') {
      this.exchange!.requestBodyBytes += length - i;
      this.exchange!.taker?.onRequestBody(bytes, i, length);
      return length;
    }
    return this.readBody(bytes, i, length);
  }

  private keepAhead(bytes: Buffer, from: number, to: number): void {
    const piece = bytes.subarray(from, to);
    this.ahead = this.ahead === null ? Buffer.from(piece) : Buffer.concat([this.ahead, piece]);
    if (this.ahead.length > maxAheadBytes && !this.aheadPaused) {
      this.aheadPaused = true;
      this.transport.pause();
    }
  }

  private resumeAhead(): void {
    if (!this.aheadPaused) return;
    this.aheadPaused = false;
    this.transport.resume();
  }

  private readHead(bytes: Buffer, from: number, length: number): number {
    let i = from;
    if (!this.reader.started) {
      // Empty lines before a request are ignored (RFC 9112 §2.2).
      while (i < length && (bytes[i] === 13 || bytes[i] === 10)) i++;
      if (i === length) return i;
      this.headStartTick = this.transport.lastActiveTick;
      this.connection.refresh();
    }
    this.block ??= takeBlock();
    const { manager } = this.connection;
    const limits = this.connection.limits;
    const { block } = this;
    const taken = this.reader.read(block, bytes, i, length, limits);
    if (taken === needMore) return length;
    if (taken < 0) {
      this.refuse(taken);
      return length;
    }
    this.block = null;
    this.begin(
      new ActiveExchange(
        this.connection.plane,
        this.connection.facts,
        this.connection.listener,
        manager,
        this,
        block,
        methodOf(block),
      ),
      block,
    );
    return i + taken;
  }

  private begin(exchange: ActiveExchange, block: HeaderBlock): void {
    this.exchange = exchange;
    this.headOnly = exchange.method === 'HEAD';
    this.chunkedResponse = false;
    this.lastResponse = block.close || (block.minorVersion === 0 && !block.keepAlive);
    exchange.requestHeaderBytes = block.length;
    if (block.minorVersion === 0) exchange.protocol = 'HTTP/1.0';
    const { body } = this;
    if (block.chunked) body.start('chunked', 0);
    else if (block.contentLength > 0) body.start('length', block.contentLength);
    else body.start('none', 0);
    exchange.requestComplete = body.done;
    exchange.requestFraming = block.chunked ? 'unknown' : body.done ? 'none' : 'length';
    if (body.done) exchange.requestEndTick = exchange.startTick;
    this.phase = body.done ? 'waiting' : 'body';
    exchange.hostText = block.host < 0 ? '' : this.hostText(block);
    const fault = readTarget(exchange, block);
    if (block.minorVersion === 0 && !exchange.manager.acceptsHttp10) {
      this.lastResponse = true;
      exchange.addFlag('DPE');
      localReply(exchange, 426, 'Upgrade Required', 'low_version');
      return;
    }
    if (fault !== null) {
      this.lastResponse = true;
      // Who names no host is told nothing more, as by Envoy.
      localReply(exchange, 400, fault === 'missing_host_header' ? '' : 'Bad Request', fault);
      return;
    }
    // Answered here, as Envoy does, and not passed on (RFC 9110 §10.1.1).
    if (block.expectContinue && block.minorVersion === 1) this.sendContinue();
    runPipeline(exchange);
  }

  /** Most requests of a connection name the same host: the text is made once. */
  private hostText(block: HeaderBlock): string {
    const { authority } = this;
    const start = block.at[block.host * 4 + 2];
    const end = block.at[block.host * 4 + 3];
    if (end - start === authority.length) {
      let i = 0;
      while (i < authority.length && block.bytes[start + i] === authority.charCodeAt(i)) i++;
      if (i === authority.length) return authority;
    }
    this.authority = block.value(block.host);
    return this.authority;
  }

  private readBody(bytes: Buffer, from: number, length: number): number {
    const { body, exchange } = this;
    const next = body.next(bytes, from, length);
    if (body.failed) {
      this.onBadBody();
      return length;
    }
    const size = body.dataEnd - body.dataStart;
    if (this.phase === 'dropping') {
      this.dropped += next - from;
      if (body.done) this.nextRequest();
      else if (this.dropped > maxDroppedBytes) this.close();
      return next;
    }
    if (size > 0) {
      exchange!.requestBodyBytes += size;
      exchange!.taker?.onRequestBody(bytes, body.dataStart, body.dataEnd);
    }
    if (body.done && this.phase === 'body') {
      this.phase = 'waiting';
      exchange!.completeRequest(body.trailers);
    } else if (body.done && this.phase === ('dropping' as Phase)) this.nextRequest();
    return next;
  }

  private onBadBody(): void {
    const { exchange } = this;
    this.lastResponse = true;
    if (exchange !== null && !exchange.finished) {
      exchange.addFlag('DPE');
      const { taker } = exchange;
      if (exchange.responded || taker === null) {
        exchange.details = 'http1.codec_error';
        taker?.onDownstreamGone();
      } else {
        exchange.taker = null;
        taker.cancel();
        localReply(exchange, 400, 'Bad Request', 'http1.codec_error');
      }
    }
    this.close();
  }

  /** What has not come as a request has an exchange too, so that it is answered, counted and logged like one. */
  private stillborn(): ActiveExchange {
    const block = this.block ?? takeBlock();
    this.block = null;
    this.lastResponse = true;
    const { connection } = this;
    block.clear();
    const exchange = new ActiveExchange(
      connection.plane,
      connection.facts,
      connection.listener,
      connection.manager,
      this,
      block,
      '',
    );
    this.exchange = exchange;
    this.phase = 'waiting';
    return exchange;
  }

  /** Answers what is no request at all. */
  private refuse(outcome: number): void {
    const exchange = this.stillborn();
    exchange.requestComplete = true;
    exchange.addFlag('DPE');
    if (outcome === tooLarge) localReply(exchange, 431, 'Request Header Fields Too Large', refusal.details);
    else if (outcome === unsupportedCoding) localReply(exchange, 501, 'Not Implemented', refusal.details);
    // A fragment is refused like a path that cannot be normalised, by the same silence.
    else
      localReply(exchange, 400, refusal.details === 'path_normalization_failed' ? '' : 'Bad Request', refusal.details);
    this.close();
  }

  /** A head that takes too long to come. */
  private endSlowHead(now: number): void {
    const { requestHeadersTimeoutMs, requestTimeoutMs, streamIdleTimeoutMs } = this.connection.manager;
    const passed = (limitMs: number, sinceTick: number) => limitMs > 0 && now - sinceTick > limitMs;
    if (passed(requestHeadersTimeoutMs, this.headStartTick))
      localReply(this.stillborn(), 408, 'request header timeout', 'request_header_timeout');
    else if (passed(requestTimeoutMs, this.headStartTick))
      localReply(this.stillborn(), 408, 'request timeout', 'request_overall_timeout');
    else if (passed(streamIdleTimeoutMs, this.transport.lastActiveTick)) {
      const exchange = this.stillborn();
      exchange.addFlag('SI');
      localReply(exchange, 408, 'stream timeout', 'stream_idle_timeout');
    } else return;
    this.close();
  }

  sendContinue(): void {
    putContinue(this.transport);
  }

  sendInterim(block: HeaderBlock): void {
    if (this.exchange?.protocol !== 'HTTP/1.1') return;
    putResponseHead(this.transport, block.status, block, edit.begin(block));
  }

  sendHead(status: number, block: HeaderBlock | null, edit: HeaderEdit, body: ResponseBody): number {
    const exchange = this.exchange!;
    if (body === 'unknown') {
      if (exchange.protocol === 'HTTP/1.1') {
        this.chunkedResponse = true;
        edit.add('transfer-encoding', 'chunked');
      } else this.lastResponse = true;
    }
    // A request that is far from complete would have to be read to its end first: rather end the connection.
    const unread =
      this.phase === 'body' &&
      (this.body.remaining < 0 || this.body.framing === 'chunked' || this.body.remaining > maxDroppedBytes);
    if (unread && exchange.details !== 'via_upstream') this.lastResponse = true;
    // An answer before the end of the request, and one to a refused upgrade, ends the connection, as with Envoy.
    if ((this.phase === 'body' && exchange.details !== 'via_upstream') || exchange.lastOfConnection)
      this.lastResponse = true;
    if (exchange.method === 'CONNECT' && status >= 300) this.lastResponse = true;
    if (status !== 101 && exchange.request.upgrade && exchange.method !== 'CONNECT' && !offersHttp2(exchange))
      this.lastResponse = true;
    if (this.connection.mustEnd()) this.lastResponse = true;
    if (status !== 101) {
      if (this.lastResponse) edit.add('connection', 'close');
      else if (exchange.protocol === 'HTTP/1.0') edit.add('connection', 'keep-alive');
    }
    const before = output.owner === this.transport ? output.length : 0;
    putResponseHead(this.transport, status, block, edit);
    exchange.responseFieldCount = lastHead.fields;
    return output.length - before;
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    if (this.headOnly) return;
    if (this.phase === 'tunnel') this.transport.send(bytes, start, end);
    else putBody(this.transport, bytes, start, end, this.chunkedResponse);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    if (this.phase === 'tunnel') {
      this.close();
      return;
    }
    if (this.chunkedResponse && !this.headOnly) putLastChunk(this.transport, trailers);
    this.chunkedResponse = false;
    if (this.phase === 'body') {
      this.phase = 'dropping';
      this.dropped = 0;
      if (this.lastResponse) this.close();
    } else this.nextRequest();
  }

  private nextRequest(): void {
    this.exchange = null;
    if (this.lastResponse) {
      this.close();
      return;
    }
    this.phase = 'head';
    if (this.ahead === null || this.running) return;
    const { ahead } = this;
    this.ahead = null;
    this.resumeAhead();
    this.run(ahead, 0, ahead.length);
  }

  startTunnel(): void {
    this.phase = 'tunnel';
    if (this.ahead === null || this.running) return;
    const { ahead } = this;
    this.ahead = null;
    this.resumeAhead();
    this.run(ahead, 0, ahead.length);
  }

  /** Ends the connection once what was written has left; the caller gets a moment to read it before it is dropped. */
  private close(): void {
    if (this.phase === 'closing') return;
    this.phase = 'closing';
    this.ahead = null;
    this.transport.end();
    if (this.transport.ended) this.transport.destroy();
    else this.closingTimer = setTimeout(() => this.transport.destroy(), lingerMs);
  }

  abort(): void {
    this.phase = 'closing';
    this.transport.reset();
  }

  pauseRequest(): void {
    this.transport.pause();
  }

  resumeRequest(): void {
    this.transport.resume();
  }

  onDrain(): void {
    this.exchange?.taker?.onDownstreamDrain();
  }

  /** A caller that ends its side has left, as far as HTTP/1 is concerned (so does Envoy see it). */
  onEnd(): void {
    if (this.phase !== 'closing') {
      this.connection.peerLeft = true;
      this.gone();
    }
    this.transport.destroy();
  }

  onClose(): void {
    if (this.closingTimer !== null) clearTimeout(this.closingTimer);
    this.gone();
    if (this.block !== null) returnBlock(this.block);
    this.block = null;
    this.connection.closed();
  }

  private gone(): void {
    const { exchange } = this;
    this.phase = 'closing';
    if (exchange === null || exchange.finished) return;
    this.connection.counters.downstreamCxDestroyActiveRq++;
    if (exchange.taker !== null) exchange.taker.onDownstreamGone();
    else {
      exchange.addFlag('DC');
      exchange.details = 'downstream_remote_disconnect';
      finish(exchange);
    }
  }

  /** About once a second. */
  sweep(now: number): void {
    const { manager } = this.connection;
    const { exchange } = this;
    if (this.phase === 'closing') return;
    if (exchange === null || this.phase === 'head') {
      if (this.reader.started) this.endSlowHead(now);
      else if (manager.idleTimeoutMs > 0 && now - this.transport.lastActiveTick > manager.idleTimeoutMs) {
        this.connection.counters.downstreamCxIdleTimeout++;
        this.close();
      } else if (this.connection.mustLeave(now)) {
        this.connection.counters.downstreamCxDrainClose++;
        this.close();
      }
      return;
    }
    if (exchange.finished) return;
    exchange.logProgress(now);
    const why = overdue(exchange, now, this.transport.lastActiveTick);
    if (why === 'no') return;
    if (!endOverdue(exchange, why)) this.abort();
  }
}
