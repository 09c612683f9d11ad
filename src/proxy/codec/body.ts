import { malformed, parseFields } from './head.ts';
import { type HeaderBlock, returnBlock, takeBlock } from './header-block.ts';

/** How a message's body ends (RFC 9112 §6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'untilClose';

const maxExtensionBytes = 4096;
const maxTrailerBytes = 16_384;
const maxTrailers = 64;
const maxSizeDigits = 13;

const inSize = 0;
const inExtension = 1;
const sizeLf = 2;
const inData = 3;
const dataCr = 4;
const dataLf = 5;
const inTrailers = 6;

/**
 * Reads one body. `next` takes bytes up to the next piece of data, whose place it leaves in `dataStart` and `dataEnd`
 * (equal when there was none); the caller goes on from the index it returns until `done`, `failed`, or the end of its bytes.
 */
export class BodyReader {
  framing: Framing = 'none';
  done = true;
  failed = false;
  dataStart = 0;
  dataEnd = 0;
  /** Bytes of a known length still to come; -1 when unknown. */
  remaining = 0;
  /** Trailers, once `done`; owned by the reader until the next `start`. */
  trailers: HeaderBlock | null = null;
  private state = inSize;
  private sizeDigits = 0;
  private overhead = 0;
  private trailerBytes: Buffer | null = null;
  private trailerLength = 0;

  start(framing: Framing, length: number): void {
    this.framing = framing;
    this.remaining = framing === 'length' ? length : framing === 'untilClose' ? -1 : 0;
    this.done = framing === 'none' || (framing === 'length' && length === 0);
    this.failed = false;
    this.dataStart = 0;
    this.dataEnd = 0;
    this.state = inSize;
    this.sizeDigits = 0;
    this.overhead = 0;
    if (this.trailers !== null) {
      returnBlock(this.trailers);
      this.trailers = null;
    }
  }

  next(bytes: Buffer, from: number, end: number): number {
    if (this.framing === 'chunked') return this.nextChunked(bytes, from, end);
    this.dataStart = from;
    if (this.framing === 'untilClose') {
      this.dataEnd = end;
      return end;
    }
    const taken = Math.min(end - from, this.remaining);
    this.remaining -= taken;
    this.dataEnd = from + taken;
    this.done = this.remaining === 0;
    return this.dataEnd;
  }

  private fail(end: number): number {
    this.failed = true;
    return end;
  }

  private nextChunked(bytes: Buffer, from: number, end: number): number {
    let i = from;
    this.dataStart = from;
    this.dataEnd = from;
    while (i < end) {
      switch (this.state) {
        case inSize: {
          const byte = bytes[i++];
          let digit = -1;
          if (byte >= 48 && byte <= 57) digit = byte - 48;
          else if ((byte | 0x20) >= 97 && (byte | 0x20) <= 102) digit = (byte | 0x20) - 87;
          if (digit >= 0) {
            if (++this.sizeDigits > maxSizeDigits) return this.fail(end);
            this.remaining = this.remaining * 16 + digit;
          } else if (this.sizeDigits === 0) return this.fail(end);
          else if (byte === 13) this.state = sizeLf;
          else if (byte === 59) this.state = inExtension;
          else return this.fail(end);
          break;
        }
        case inExtension: {
          const byte = bytes[i++];
          if (byte === 13) this.state = sizeLf;
          else if ((byte < 32 && byte !== 9) || byte === 127 || ++this.overhead > maxExtensionBytes)
            return this.fail(end);
          break;
        }
        case sizeLf:
          if (bytes[i++] !== 10) return this.fail(end);
          this.sizeDigits = 0;
          this.state = this.remaining === 0 ? inTrailers : inData;
          this.trailerLength = 0;
          break;
        case inData: {
          const taken = Math.min(end - i, this.remaining);
          this.remaining -= taken;
          if (this.remaining === 0) this.state = dataCr;
          this.dataStart = i;
          this.dataEnd = i + taken;
          return this.dataEnd;
        }
        case dataCr:
          if (bytes[i++] !== 13) return this.fail(end);
          this.state = dataLf;
          break;
        case dataLf:
          if (bytes[i++] !== 10) return this.fail(end);
          this.state = inSize;
          break;
        default:
          return this.nextTrailers(bytes, i, end);
      }
    }
    return i;
  }

  /** Keeps trailer bytes up to the blank line, then reads them as fields. */
  private nextTrailers(bytes: Buffer, from: number, end: number): number {
    let i = from;
    if (this.trailerLength === 0 && i + 1 < end && bytes[i] === 13 && bytes[i + 1] === 10) {
      this.done = true;
      return i + 2;
    }
    this.trailerBytes ??= Buffer.allocUnsafe(1024);
    while (i < end) {
      if (this.trailerLength === maxTrailerBytes) return this.fail(end);
      if (this.trailerLength === this.trailerBytes.length) {
        const larger = Buffer.allocUnsafe(this.trailerBytes.length * 2);
        this.trailerBytes.copy(larger);
        this.trailerBytes = larger;
      }
      const kept = this.trailerBytes;
      const length = this.trailerLength;
      kept[length] = bytes[i++];
      this.trailerLength = length + 1;
      if (kept[length] !== 10) continue;
      const blank =
        length === 1
          ? kept[0] === 13
          : length >= 3 && kept[length - 1] === 13 && kept[length - 2] === 10 && kept[length - 3] === 13;
      if (!blank) continue;
      return this.finishTrailers(kept.subarray(0, length + 1)) ? i : this.fail(end);
    }
    return i;
  }

  private finishTrailers(bytes: Buffer): boolean {
    this.trailerBytes = null;
    if (bytes.length > 2) {
      const block = takeBlock();
      const outcome = parseFields(block, bytes, 0, 0, bytes.length, maxTrailers);
      // Framing fields and Host mean something only in a head (RFC 9110 §6.5.1).
      const framed = block.contentLength >= 0 || block.chunked || block.host >= 0;
      if (outcome <= malformed || outcome !== bytes.length || framed) {
        returnBlock(block);
        return false;
      }
      block.adopt(bytes, 0, bytes.length);
      this.trailers = block;
    }
    this.done = true;
    return true;
  }
}
