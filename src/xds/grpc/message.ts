/** Length-prefixed messages: one byte of flags, four of length, the payload (gRPC over HTTP/2, "Length-Prefixed-Message"). */
import { GrpcError } from './status.ts';

export function frameMessage(payload: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(5 + payload.length);
  framed[0] = 0;
  framed.writeUInt32BE(payload.length, 1);
  framed.set(payload, 5);
  return framed;
}

/** Cuts a byte stream into messages, however it is split. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True while a message has arrived in part. */
  get isPartial(): boolean {
    return this.#held > 0;
  }

  /** The messages that `chunk` completes. Throws `GrpcError` for a compressed or too large message. */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    for (;;) {
      if (this.#held < 5) return messages;
      const first = this.#gather(5);
      if (first[0] !== 0)
        throw new GrpcError('unimplemented', 'a compressed message: only identity encoding is spoken');
      const length = first.readUInt32BE(1);
      if (length > this.#maxBytes)
        throw new GrpcError(
          'resourceExhausted',
          `a message of ${length} bytes, more than the ${this.#maxBytes} allowed`,
        );
      if (this.#held < 5 + length) return messages;
      const whole = this.#gather(5 + length);
      messages.push(whole.subarray(5, 5 + length));
      this.#chunks[0] = whole.subarray(5 + length);
      this.#held -= 5 + length;
      if (this.#chunks[0].length === 0) this.#chunks.shift();
    }
  }

  /** Makes the first chunk at least `length` long. */
  #gather(length: number): Buffer {
    if (this.#chunks[0].length < length) {
      const whole = Buffer.concat(this.#chunks);
      this.#chunks.length = 0;
      this.#chunks.push(whole);
    }
    return this.#chunks[0];
  }
}
