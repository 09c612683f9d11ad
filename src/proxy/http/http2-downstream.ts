import type { FieldSection } from '../codec/hpack-decoder.ts';
import { enhanceYourCalm, noError } from '../codec/http2-frames.ts';
import type { SessionUser } from '../codec/http2-sender.ts';
import { Http2Session } from '../codec/http2-session.ts';
import type { Http2Stream } from '../codec/http2-stream.ts';
import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';
import { ActiveExchange } from './active-exchange.ts';
import { finish } from './finish.ts';
import type { HttpConnection } from './http-connection.ts';
import { Http2Request } from './http2-request.ts';
import { localReply } from './local-reply.ts';
import { runPipeline } from './pipeline.ts';
import { readPseudoFields } from './request-line.ts';

const lingerMs = 1000;
/** When the whole process goes, drain_timeout of the connection manager is cut to this. */
const hurriedGraceMs = 1000;

/** The caller's end of an HTTP/2 connection: every stream is an exchange of its own. */
export class Http2Downstream implements SessionUser {
  readonly connection: HttpConnection;
  private readonly transport: Transport;
  private readonly session: Http2Session;
  private leavingTick = -1;
  private closingTimer: NodeJS.Timeout | null = null;
  private quietTick = output.tick;

  constructor(connection: HttpConnection, transport: Transport) {
    this.connection = connection;
    this.transport = transport;
    connection.opened('http2');
    transport.lastActiveTick = output.tick;
    this.session = new Http2Session(transport, true, this, connection.manager.http2);
  }

  onRequest(stream: Http2Stream, section: FieldSection, endStream: boolean): void {
    const { connection } = this;
    connection.refresh();
    const { block } = section;
    const exchange = this.exchangeFor(stream, section, new Http2Request(this, stream));
    exchange.requestComplete = endStream;
    if (endStream) exchange.requestEndTick = exchange.startTick;
    exchange.requestFraming = endStream ? 'none' : block.contentLength >= 0 ? 'length' : 'unknown';
    const fault = readPseudoFields(exchange, section);
    if (fault !== null) {
      localReply(exchange, 400, '', fault);
      return;
    }
    if (block.expectContinue) exchange.stream.sendContinue();
    runPipeline(exchange);
    if (connection.outdated) this.leave(output.tick);
  }

  private exchangeFor(stream: Http2Stream, section: FieldSection, request: Http2Request): ActiveExchange {
    const { connection } = this;
    const exchange = new ActiveExchange(
      connection.plane,
      connection.facts,
      connection.listener,
      connection.manager,
      request,
      section.block,
      section.method,
      'HTTP/2',
    );
    request.exchange = exchange;
    stream.user = request;
    exchange.requestHeaderBytes = section.block.length + section.method.length + section.path.length;
    return exchange;
  }

  /** A message that breaks HTTP's rules (RFC 9113 §8.1.1): its stream is reset, and it is logged like every other request. */
  onMalformed(stream: Http2Stream, section: FieldSection, details: string): void {
    const { counters } = this.connection;
    counters.downstreamCxProtocolError++;
    const exchange = this.exchangeFor(stream, section, new Http2Request(this, stream));
    exchange.requestComplete = true;
    exchange.path = section.path;
    exchange.originalPath = section.path;
    exchange.authority = section.authority;
    exchange.addFlag('DPE');
    exchange.details = details;
    finish(exchange);
  }

  onSettings(): void {}

  onGoaway(): void {
    if (this.session.streams.size === 0) this.close();
  }

  onStreamGone(): void {
    if (this.leavingTick < 0 && this.connection.mustEnd()) this.leave(output.tick);
    if (this.session.streams.size > 0) return;
    this.quietTick = output.tick;
    if (this.leavingTick >= 0 && output.tick - this.leavingTick >= this.graceMs) this.close();
  }

  onFault(code: number, details: string): void {
    const { counters } = this.connection;
    counters.downstreamCxProtocolError++;
    if (code === enhanceYourCalm && details === 'http2.premature_reset_flood')
      counters.downstreamRqTooManyPrematureResets++;
    this.linger();
  }

  onEnd(): void {
    this.connection.peerLeft = true;
    this.transport.destroy();
  }

  onDrain(): void {}

  onClose(): void {
    if (this.closingTimer !== null) clearTimeout(this.closingTimer);
    this.connection.closed();
  }

  /** Between the first GOAWAY and the one that names the last stream: requests under way to this side arrive meanwhile. */
  private get graceMs(): number {
    const { plane, manager } = this.connection;
    return plane.draining.active ? Math.min(hurriedGraceMs, manager.drainTimeoutMs) : manager.drainTimeoutMs;
  }

  /** Says that no further stream should be begun; ends the connection when those under way have. */
  private leave(now: number): void {
    if (this.leavingTick >= 0) return;
    this.leavingTick = now;
    this.session.sendGoaway(false, noError);
  }

  private close(): void {
    this.session.sendGoaway(true, noError);
    this.session.over = true;
    this.linger();
  }

  /** Lets what was written leave; the caller gets a moment to read it. */
  private linger(): void {
    if (this.closingTimer !== null) return;
    this.closingTimer = setTimeout(() => this.transport.destroy(), lingerMs);
    this.transport.end();
  }

  /** About once a second. */
  sweep(now: number): void {
    const { session, connection } = this;
    const { manager, counters } = connection;
    if (session.over) return;
    for (const stream of [...session.streams.values()]) (stream.user as Http2Request).sweep(now);
    const headersMs = manager.requestHeadersTimeoutMs || manager.streamIdleTimeoutMs;
    if (session.partialSinceTick >= 0 && headersMs > 0 && now - session.partialSinceTick > headersMs) {
      counters.downstreamRqHeaderTimeout++;
      this.close();
      return;
    }
    connection.refresh();
    if (connection.leaving) this.leave(now);
    if (session.streams.size > 0) return;
    if (this.leavingTick >= 0) {
      if (now - this.leavingTick < this.graceMs) return;
      counters.downstreamCxDrainClose++;
      this.close();
    } else if (
      manager.idleTimeoutMs > 0 &&
      now - Math.max(this.quietTick, this.transport.lastActiveTick) > manager.idleTimeoutMs
    ) {
      counters.downstreamCxIdleTimeout++;
      this.close();
    }
  }
}
