import type { Receiver, Transport } from './transport.ts';

/**
 * Relays bytes both ways until both sides have ended or one has broken off.
 *
 * A quiet direction reads into the shared buffer and copies. One that fills that buffer gets a large one of its own, from
 * which it writes without a copy: the reader stops while a write still needs it.
 */
const bulkBytes = 262_144;
const maxSpare = 8;
const spare: Buffer[] = [];
/** A direction gives its buffer back after this many small reads in a row. */
const smallReads = 16;

class Direction implements Receiver {
  private readonly from: Transport;
  private readonly to: Transport;
  private readonly over: (reset: Transport | null) => void;
  private own: Buffer | null = null;
  private small = 0;
  private waits = false;
  private readonly resume: () => void;
  opposite: Direction | null = null;

  constructor(from: Transport, to: Transport, over: (reset: Transport | null) => void) {
    this.from = from;
    this.to = to;
    this.over = over;
    this.resume = () => {
      if (!this.waits) return;
      this.waits = false;
      from.resume();
    };
  }

  onBytes(bytes: Buffer, length: number): void {
    const { from, to } = this;
    if (bytes === this.own) {
      to.write(length === bytes.length ? bytes : bytes.subarray(0, length), this.resume);
      if (length >= bulkBytes / 8) this.small = 0;
      else this.small++;
      if (to.pendingBytes > 0) this.wait();
      else if (this.small > smallReads) this.giveBack();
      return;
    }
    if (this.own === null && length === bytes.length && bytes === from.readsInto) {
      this.own = spare.pop() ?? Buffer.allocUnsafeSlow(bulkBytes);
      this.small = 0;
      from.readBuffer = this.own;
    }
    to.send(bytes, 0, length);
    to.flushOutput();
    if (to.congested) this.wait();
  }

  private wait(): void {
    if (this.waits) return;
    this.waits = true;
    this.from.pause();
  }

  private giveBack(): void {
    if (this.own !== null && spare.length < maxSpare) spare.push(this.own);
    this.own = null;
    this.from.readBuffer = null;
  }

  onEnd(): void {
    this.to.end();
  }

  /** `from` has taken what the opposite direction wrote to it. */
  onDrain(): void {
    this.opposite?.resume();
  }

  onClose(error: Error | null): void {
    const { from, to } = this;
    if (error !== null) to.reset();
    else if (from.ended) to.end();
    else to.destroy();
    this.over(error === null ? null : from);
  }
}

/** `over` is called once, when nothing is relayed any more, with the side that broke off, or null. */
export function relay(a: Transport, b: Transport, over: (reset: Transport | null) => void): void {
  let told = false;
  const once = (reset: Transport | null) => {
    if (told) return;
    told = true;
    over(reset);
  };
  const forth = new Direction(a, b, once);
  const back = new Direction(b, a, once);
  forth.opposite = back;
  back.opposite = forth;
  a.receiver = forth;
  b.receiver = back;
}
