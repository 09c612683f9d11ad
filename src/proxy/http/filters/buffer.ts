import { localReply } from '../local-reply.ts';
import { HeldRequest } from './held-request.ts';
import type { Place } from './place.ts';

/** Keeps the request until all of it has come (Envoy: buffer filter). One that is too large is answered 413. */
export class BufferedRequest extends HeldRequest {
  private readonly maxBytes: number;

  constructor(place: Place, maxBytes: number) {
    super(place);
    this.maxBytes = maxBytes;
  }

  protected stop(): void {}

  override onRequestBody(bytes: Buffer, start: number, end: number): void {
    const { exchange, held } = this;
    if (held.bytes + end - start <= this.maxBytes) {
      held.add(bytes, start, end);
      return;
    }
    this.letGo();
    localReply(exchange, 413, 'Payload Too Large', 'request_payload_too_large');
  }

  override onRequestEnd(): void {
    const { exchange, held } = this;
    if (exchange.requestFraming === 'unknown' && exchange.requestTrailers === null) {
      exchange.requestFraming = 'length';
      exchange.setRequestHeader('content-length', String(held.bytes));
    }
    this.goOn();
  }
}
