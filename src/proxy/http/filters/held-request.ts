import type { ActiveExchange, BodyTaker } from '../active-exchange.ts';
import { finish } from '../finish.ts';
import { HeldBody } from '../held-body.ts';
import type { Place } from './place.ts';

/** More of a body is not read before the wait is over. Until then it is, since who does not read does not see the caller leave. */
const maxHeldBytes = 65_536;

/** A request that waits at a filter. What comes of its body is kept, and handed on behind the filter. */
export abstract class HeldRequest implements BodyTaker {
  protected readonly place: Place;
  protected readonly exchange: ActiveExchange;
  protected readonly held: HeldBody = new HeldBody();
  private paused = false;

  constructor(place: Place) {
    this.place = place;
    this.exchange = place.exchange;
    this.exchange.taker = this;
  }

  /** Gives the wait up: the request was answered otherwise, or its caller has gone. */
  protected abstract stop(): void;

  /** The wait is over: to be called before the request is answered. */
  protected letGo(): void {
    this.exchange.taker = null;
    if (this.paused) this.exchange.stream.resumeRequest();
    this.paused = false;
  }

  /** Lets the request through to the filters behind this one, and its body after it. */
  protected goOn(): void {
    const { exchange, place, held } = this;
    const completes = exchange.requestComplete && held.bytes > 0;
    this.letGo();
    // Whoever takes the request sees its end after the body, as when both come.
    if (completes) exchange.requestComplete = false;
    place.goOn(place);
    for (const piece of held.pieces) exchange.taker?.onRequestBody(piece, 0, piece.length);
    if (!completes) return;
    exchange.requestComplete = true;
    exchange.taker?.onRequestEnd();
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.held.add(bytes, start, end);
    if (this.paused || this.held.bytes < maxHeldBytes) return;
    this.paused = true;
    this.exchange.stream.pauseRequest();
  }

  onRequestEnd(): void {}

  onDownstreamDrain(): void {}

  cancel(): void {
    this.stop();
  }

  onDownstreamGone(): void {
    this.stop();
    this.exchange.addFlag('DC');
    this.exchange.details = 'downstream_remote_disconnect';
    finish(this.exchange);
  }
}
