/** Injected faults (Envoy's fault filter): delay first, then abort. The share of requests is drawn for each by itself. */
import type { Fault } from '../config/table.ts';
import { output } from '../net/output.ts';
import type { ActiveExchange, BodyTaker } from './active-exchange.ts';
import { finish } from './finish.ts';
import { HeldBody } from './held-body.ts';
import { localReply } from './local-reply.ts';
import { matchesHeader } from './match.ts';

export function injectFault(exchange: ActiveExchange, fault: Fault, serve: (exchange: ActiveExchange) => void): void {
  if (!fault.headers.every((header) => matchesHeader(header, exchange))) {
    serve(exchange);
    return;
  }
  const { delay } = fault;
  const delayMs = delay === null ? 0 : (delay.ms ?? numberIn(exchange, 'x-envoy-fault-delay-request') ?? 0);
  if (
    delay !== null &&
    delayMs > 0 &&
    drawn(exchange, delay.millionths, delay.ms === null ? 'x-envoy-fault-delay-request-percentage' : null)
  ) {
    exchange.addFlag('DI');
    new FaultDelay(exchange, fault, delayMs, serve);
    return;
  }
  abortOrServe(exchange, fault, serve);
}

function abortOrServe(exchange: ActiveExchange, fault: Fault, serve: (exchange: ActiveExchange) => void): void {
  const { abort } = fault;
  const byHeader = abort !== null && abort.status === 0;
  const status = byHeader ? statusAsked(exchange) : (abort?.status ?? 0);
  const grpcStatus = byHeader ? numberIn(exchange, 'x-envoy-fault-abort-grpc-request') : (abort?.grpcStatus ?? null);
  if (
    abort !== null &&
    (status > 0 || grpcStatus !== null) &&
    drawn(exchange, abort.millionths, byHeader ? 'x-envoy-fault-abort-request-percentage' : null)
  ) {
    exchange.addFlag('FI');
    localReply(exchange, status || 200, 'fault filter abort', 'fault_filter_abort', null, grpcStatus);
    return;
  }
  serve(exchange);
}

/** A status that a caller may ask for; 0 for anything else. */
function statusAsked(exchange: ActiveExchange): number {
  const status = numberIn(exchange, 'x-envoy-fault-abort-request') ?? 0;
  return status >= 200 && status < 600 ? status : 0;
}

function numberIn(exchange: ActiveExchange, name: string): number | null {
  const text = exchange.header(name);
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** A caller can make the share smaller, never larger. */
function drawn(exchange: ActiveExchange, millionths: number, header: string | null): boolean {
  const percent = header === null ? null : numberIn(exchange, header);
  const share = percent === null ? millionths : Math.min(millionths, percent * 10_000);
  return share >= 1_000_000 || Math.random() * 1_000_000 < share;
}

/** Keeps a request waiting; what of its body had already been read is handed on afterwards. */
class FaultDelay implements BodyTaker {
  private readonly exchange: ActiveExchange;
  private readonly held = new HeldBody();
  private readonly timer: NodeJS.Timeout;

  constructor(exchange: ActiveExchange, fault: Fault, delayMs: number, serve: (exchange: ActiveExchange) => void) {
    this.exchange = exchange;
    exchange.taker = this;
    exchange.stream.pauseRequest();
    this.timer = setTimeout(() => {
      output.turn(() => {
        exchange.taker = null;
        exchange.stream.resumeRequest();
        abortOrServe(exchange, fault, serve);
        const taker = exchange.taker as BodyTaker | null;
        for (const piece of this.held.pieces) taker?.onRequestBody(piece, 0, piece.length);
        if (exchange.requestComplete) taker?.onRequestEnd();
      });
    }, delayMs);
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.held.add(bytes, start, end);
  }

  onRequestEnd(): void {}

  onDownstreamDrain(): void {}

  cancel(): void {
    clearTimeout(this.timer);
  }

  onDownstreamGone(): void {
    clearTimeout(this.timer);
    this.exchange.addFlag('DC');
    this.exchange.details = 'downstream_remote_disconnect';
    finish(this.exchange);
  }
}
