import type { HeaderBlock } from '../codec/header-block.ts';
import { edit, type HeaderEdit } from '../codec/header-edit.ts';
import { internalError } from '../codec/http2-frames.ts';
import type { Http2Stream, StreamUser } from '../codec/http2-stream.ts';
import { output } from '../net/output.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { finish } from './finish.ts';
import type { Http2Downstream } from './http2-downstream.ts';
import type { ServerStream } from './server-stream.ts';
import { endOverdue, overdue } from './stream-timeout.ts';

/** One stream of a caller's HTTP/2 connection. */
export class Http2Request implements StreamUser, ServerStream {
  private readonly downstream: Http2Downstream;
  private readonly stream: Http2Stream;
  exchange: ActiveExchange = null as unknown as ActiveExchange;
  private activeTick = output.tick;

  constructor(downstream: Http2Downstream, stream: Http2Stream) {
    this.downstream = downstream;
    this.stream = stream;
  }

  get congested(): boolean {
    return this.stream.congested;
  }

  onHeaders(): void {}

  onData(bytes: Buffer, start: number, end: number): void {
    const { exchange } = this;
    this.activeTick = output.tick;
    if (exchange.finished) return;
    exchange.requestBodyBytes += end - start;
    exchange.taker?.onRequestBody(bytes, start, end);
  }

  onEnd(trailers: HeaderBlock | null): void {
    const { exchange } = this;
    if (!exchange.finished) exchange.completeRequest(trailers);
  }

  onReset(_code: number, byPeer: boolean, details: string): void {
    const { exchange } = this;
    if (exchange.finished) return;
    const { counters } = this.downstream.connection;
    if (byPeer) counters.downstreamRqRxReset++;
    else {
      counters.downstreamRqTxReset++;
      if (details !== 'http2.connection_closed') exchange.addFlag('DPE');
    }
    exchange.details = byPeer || details === 'http2.connection_closed' ? '' : details;
    if (exchange.taker !== null) exchange.taker.onDownstreamGone();
    else {
      exchange.addFlag('DC');
      exchange.details ||= 'downstream_remote_disconnect';
      finish(exchange);
    }
  }

  onWritable(): void {
    this.activeTick = output.tick;
    if (!this.exchange.finished) this.exchange.taker?.onDownstreamDrain();
  }

  sendContinue(): void {
    this.stream.session.sendResponse(this.stream, 100, null, edit.begin(null));
  }

  sendInterim(block: HeaderBlock): void {
    // 101 does not exist in HTTP/2 (RFC 9113 §8.6).
    if (block.status !== 101) this.stream.session.sendResponse(this.stream, block.status, block, edit.begin(block));
  }

  sendHead(status: number, block: HeaderBlock | null, edit: HeaderEdit): number {
    this.activeTick = output.tick;
    if (status === 101) {
      // The answer to an extended CONNECT (RFC 8441 §4).
      edit.removeAdded('connection');
      edit.removeAdded('upgrade');
    }
    const bytes = this.stream.session.sendResponse(this.stream, status === 101 ? 200 : status, block, edit);
    this.exchange.responseFieldCount = (block === null ? 0 : block.count) + edit.count;
    return bytes;
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    if (this.exchange.method === 'HEAD') return;
    this.activeTick = output.tick;
    this.stream.session.sendData(this.stream, bytes, start, end);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    this.stream.session.sendEnd(this.stream, trailers);
  }

  startTunnel(): void {}

  abort(): void {
    this.stream.session.abandon(this.stream, internalError);
  }

  pauseRequest(): void {
    this.stream.hold();
  }

  resumeRequest(): void {
    this.stream.release();
  }

  sweep(now: number): void {
    if (this.exchange.finished) return;
    this.exchange.logProgress(now);
    const why = overdue(this.exchange, now, this.activeTick);
    if (why !== 'no' && !endOverdue(this.exchange, why)) this.abort();
  }
}
