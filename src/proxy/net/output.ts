import { asideBytes } from './aside.ts';
import type { Transport } from './transport.ts';

/**
 * The one buffer in which this thread composes what it sends. Bytes for a transport gather here during a turn (one
 * callback of the event loop) and leave in one write when the turn ends or the buffer is full. When another transport needs the
 * buffer meanwhile they are set aside: one read of an HTTP/2 connection may bring answers for many.
 *
 *     turn:  enter → claim(A) put → claim(B): A aside → put → claim(A): B aside → put → leave: A leaves whole, then B
 *
 * A connection that carries the streams of many others (HTTP/2) gathers over the turns of a whole round of the event loop.
 */
const size = 131_072;
/** Characters that no header may hold as they are. */
const unwritable = /[^\t\x20-\x7e\x80-\xff]/;

export class Output {
  bytes: Buffer = Buffer.allocUnsafeSlow(size);
  length = 0;
  owner: Transport | null = null;
  private depth = 0;
  /** Those that have bytes set aside; some perhaps twice, or sent already. */
  private readonly waiting: Transport[] = [];
  /** Those that gather over several turns what they send, and have bytes set aside. */
  private gathering: Transport[] = [];
  /** Grows with each flush: places in `bytes` hold until it does. */
  flushes = 0;
  /** `performance.now()` when this turn began: the clock of everything that happens within it. */
  tick = 0;
  /** What to add to a tick for the time of day, looked up again once a second. */
  private wallOffsetMs = 0;
  private wallReadTick = Number.NEGATIVE_INFINITY;

  /** Every callback that may send begins with `enter` and ends with `leave`. */
  enter(): void {
    if (this.depth++ === 0) this.tick = performance.now();
  }

  /** Milliseconds since the epoch when this turn began. */
  get wallMs(): number {
    const { tick } = this;
    if (tick - this.wallReadTick > 1000) {
      this.wallReadTick = performance.now();
      this.wallOffsetMs = Date.now() - this.wallReadTick;
    }
    return Math.floor(tick + this.wallOffsetMs);
  }

  leave(): void {
    if (--this.depth > 0) return;
    const { owner } = this;
    if (owner !== null) {
      if (owner.gathers && this.length <= asideBytes) this.gather(owner);
      else this.flush();
    }
    if (this.waiting.length === 0) return;
    for (const transport of this.waiting) transport.sendAside();
    this.waiting.length = 0;
  }

  /** Lets the bytes of one that is written to by many turns wait until all that have come in are over. */
  private gather(owner: Transport): void {
    const { length } = this;
    this.flushes++;
    this.owner = null;
    this.length = 0;
    if (length > 0 && owner.setAside(this.bytes, length)) this.willSend(owner);
  }

  private willSend(transport: Transport): void {
    if (this.gathering.push(transport) === 1) setImmediate(sendGathered);
  }

  /** At the end of the event loop's round. */
  sendGathered(): void {
    const { gathering } = this;
    this.gathering = [];
    for (const transport of gathering) transport.sendAside();
  }

  /** Runs work that the event loop starts by other ways than a socket's bytes: timers, connects, closes. */
  turn(work: () => void): void {
    this.enter();
    try {
      work();
    } finally {
      this.leave();
    }
  }

  /** Makes the buffer `transport`'s, with room for `room` bytes (at most 64 KiB). */
  claim(transport: Transport, room: number): void {
    if (this.owner !== transport) {
      if (this.owner !== null) this.makeWay();
      this.owner = transport;
      if (this.depth === 0) queueMicrotask(() => this.flush());
    }
    if (this.length + room > size) {
      this.flush();
      this.owner = transport;
    }
  }

  private makeWay(): void {
    const { owner, length } = this;
    if (owner === null || this.depth === 0 || length > asideBytes) {
      this.flush();
      return;
    }
    this.flushes++;
    this.owner = null;
    this.length = 0;
    if (length === 0 || !owner.setAside(this.bytes, length)) return;
    if (owner.gathers) this.willSend(owner);
    else this.waiting.push(owner);
  }

  flush(): void {
    const { owner, length } = this;
    this.flushes++;
    this.owner = null;
    this.length = 0;
    if (owner !== null && length > 0 && owner.sendOutput(this.bytes, length)) this.bytes = Buffer.allocUnsafeSlow(size);
  }

  putByte(byte: number): void {
    this.bytes[this.length++] = byte;
  }

  /** Copies from another buffer. */
  put(source: Buffer, start: number, end: number): void {
    const { bytes } = this;
    let at = this.length;
    if (end - start < 24) for (let i = start; i < end; i++) bytes[at++] = source[i];
    else {
      source.copy(bytes, at, start, end);
      at += end - start;
    }
    this.length = at;
  }

  /** Text in ISO 8859-1; control characters become spaces and what does not fit `?`, so that no text can end a line. */
  putText(text: string): void {
    if (text.length > 96 && !unwritable.test(text)) {
      this.length += this.bytes.write(text, this.length, 'latin1');
      return;
    }
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      bytes[at++] = code < 32 || code === 127 ? 32 : code > 255 ? 63 : code;
    }
    this.length = at;
  }

  putCrlf(): void {
    this.bytes[this.length++] = 13;
    this.bytes[this.length++] = 10;
  }

  putDecimal(value: number): void {
    if (value >= 10) this.putDecimal(Math.floor(value / 10));
    this.bytes[this.length++] = 48 + (value % 10);
  }

  putHex(value: number): void {
    if (value >= 16) this.putHex(Math.floor(value / 16));
    const digit = value % 16;
    this.bytes[this.length++] = digit < 10 ? 48 + digit : 87 + digit;
  }
}

export const output: Output = new Output();
const sendGathered = () => output.sendGathered();
