import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { returnAside, takeAside } from './aside.ts';
import { output } from './output.ts';

/** What sits above a transport. Each call is one turn of `output`. */
export interface Receiver {
  /** `bytes[0, length)` are this call's only: the buffer is read into again afterwards. */
  onBytes(bytes: Buffer, length: number): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** What was written has left; `congested` is false again. */
  onDrain(): void;
  /** Once, whatever ended it; `error` is null after an orderly end. */
  onClose(error: Error | null): void;
}

/** One read buffer for all sockets of this thread: what is read is treated or copied before the next read. */
const sharedReadBuffer = Buffer.allocUnsafeSlow(65_536);

type Onread = ReturnType<Transport['onread']>;

const internals = Object.getOwnPropertySymbols(new Socket());
const symbolOf = (name: string) => internals.find(({ description }) => description === name);
const kBuffer = symbolOf('kBuffer');
const kBufferCb = symbolOf('kBufferCb');
const kBufferGen = symbolOf('kBufferGen');

/**
 * Makes of a socket what `onread` makes of one at its birth, which the server side of TLS ignores: 12 % of what a request costs
 * there. False when this Node keeps its sockets otherwise.
 */
function readInto(socket: Socket, { buffer, callback }: Onread): boolean {
  const raw = socket as unknown as Record<symbol, unknown> & { _handle?: { useUserBuffer?(bytes: Buffer): void } };
  if (kBuffer === undefined || kBufferCb === undefined || kBufferGen === undefined) return false;
  if (typeof raw._handle?.useUserBuffer !== 'function') return false;
  const first = buffer();
  raw[kBuffer] = first;
  raw[kBufferCb] = callback;
  raw[kBufferGen] = buffer;
  raw._handle.useUserBuffer(first);
  return true;
}

const nobody: Receiver = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** Counts what the process could not foresee; told through `Transport.onFault`. */
export type FaultListener = (error: unknown) => void;

/**
 * One connection, plain or TLS, by Node's public socket API: reads into the shared buffer, one write a message, reading
 * paused as long as someone above asks for it.
 */
export class Transport {
  static onFault: FaultListener = (error) =>
    console.error('proxy: a connection was dropped after an unexpected fault:', error);

  socket: Socket;
  receiver: Receiver = nobody;
  /** More was written than the kernel takes; `onDrain` follows. */
  congested = false;
  closed = false;
  ended = false;
  /** Milliseconds of `performance.now()` at the last byte in or out. */
  lastActiveTick = 0;
  bytesRead = 0;
  bytesWritten = 0;
  /** FIN is sent or will be. */
  private finished = false;
  /** Not connected yet, or something was left over when last looked at. */
  private mayLag = true;
  private pauses = 0;
  private readonly copies: boolean;
  /** Buffer to read into next, when it is not the shared one; set by a relay that moves bulk. */
  readBuffer: Buffer | null = null;
  private currentReadBuffer: Buffer | null = null;
  private justRead = false;
  private error: Error | null = null;
  private aside: Buffer | null = null;
  private asideLength = 0;

  /** `attach` follows as soon as the socket exists: its options are made from this object (see `onread`). */
  constructor(encrypted: boolean) {
    this.copies = encrypted;
    this.socket = null as unknown as Socket;
  }

  /** The `onread` option of the socket to be made. */
  onread(): { buffer: () => Buffer; callback: (length: number, bytes: Uint8Array) => boolean } {
    return {
      buffer: () => this.nextReadBuffer(),
      callback: (length, bytes) => {
        this.take(bytes as Buffer, length);
        this.justRead = true;
        return this.pauses === 0;
      },
    };
  }

  /** Asked for each handle and after every read; there, no answer keeps the buffer. */
  private nextReadBuffer(): Buffer {
    const next = this.readBuffer ?? sharedReadBuffer;
    const keeps = this.justRead && next === this.currentReadBuffer;
    this.justRead = false;
    if (keeps) return undefined as unknown as Buffer;
    this.currentReadBuffer = next;
    return next;
  }

  get readsInto(): Buffer | null {
    return this.currentReadBuffer;
  }

  attach(socket: Socket | TLSSocket): void {
    this.socket = socket;
    socket.on('end', () => {
      if (this.closed || this.ended) return;
      this.ended = true;
      output.turn(() => this.receiver.onEnd());
    });
    socket.on('error', (error) => {
      this.error ??= error;
    });
    socket.on('close', () => {
      if (this.closed) return;
      this.closed = true;
      this.congested = false;
      output.turn(() => this.receiver.onClose(this.error));
      this.receiver = nobody;
    });
    socket.on('drain', () => {
      if (this.closed) return;
      this.congested = false;
      output.turn(() => this.receiver.onDrain());
    });
  }

  /** For sockets that take no `onread` (the server side of TLS): before anything is read, or with what Node's streams hand on. */
  listenForData(): void {
    if (!readInto(this.socket, this.onread()))
      this.socket.on('data', (bytes: Buffer) => this.take(bytes, bytes.length));
  }

  /** Hands bytes up, from the socket or read before this transport was made. */
  take(bytes: Buffer, length: number): void {
    if (this.closed) return;
    this.bytesRead += length;
    output.enter();
    this.lastActiveTick = output.tick;
    try {
      this.receiver.onBytes(bytes, length);
    } catch (error) {
      Transport.onFault(error);
      this.destroy();
    } finally {
      output.leave();
    }
  }

  /** Writes a buffer that nobody changes before `written` is called. */
  write(bytes: Buffer, written?: () => void): void {
    if (this.closed || this.finished || bytes.length === 0) return;
    this.flushOutput();
    this.bytesWritten += bytes.length;
    this.lastActiveTick = performance.now();
    if (!this.socket.write(bytes, written)) this.congested = true;
    this.mayLag = true;
  }

  /** Bytes that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  flushOutput(): void {
    if (output.owner === this) output.flush();
    else this.sendAside();
  }

  /** Writes `bytes[start, end)` by way of the shared output buffer. */
  send(bytes: Buffer, start: number, end: number): void {
    for (let from = start; from < end; from += 65_536) {
      const to = Math.min(end, from + 65_536);
      output.claim(this, to - from);
      output.put(bytes, from, to);
    }
  }

  private dropOutput(): void {
    if (output.owner === this) {
      output.owner = null;
      output.length = 0;
    }
    if (this.aside !== null) returnAside(this.aside);
    this.aside = null;
    this.asideLength = 0;
  }

  /** Keeps at most `asideBytes` back until the turn ends; true when `sendAside` must follow then. */
  setAside(bytes: Buffer, length: number): boolean {
    if (this.closed || this.finished) return false;
    if (this.aside !== null && this.asideLength + length > this.aside.length) this.sendAside();
    const isFirst = this.aside === null;
    this.aside ??= takeAside();
    bytes.copy(this.aside, this.asideLength, 0, length);
    this.asideLength += length;
    return isFirst;
  }

  sendAside(): void {
    const { aside, asideLength } = this;
    if (aside === null) return;
    this.aside = null;
    this.asideLength = 0;
    if (!this.sendNow(aside, asideLength)) returnAside(aside);
  }

  /** For `Output.flush`: true when the buffer is still needed, so that another must take its place. */
  sendOutput(bytes: Buffer, length: number): boolean {
    if (this.aside !== null) {
      if (this.asideLength + length <= this.aside.length) {
        bytes.copy(this.aside, this.asideLength, 0, length);
        this.asideLength += length;
        this.sendAside();
        return false;
      }
      this.sendAside();
    }
    return this.sendNow(bytes, length);
  }

  private sendNow(bytes: Buffer, length: number): boolean {
    const { socket } = this;
    if (this.closed || this.finished) return false;
    this.bytesWritten += length;
    this.lastActiveTick = output.tick;
    if (this.copies || this.lags()) {
      if (!socket.write(Buffer.from(bytes.subarray(0, length)))) this.congested = true;
      this.mayLag = true;
      return false;
    }
    if (!socket.write(bytes.subarray(0, length))) this.congested = true;
    this.mayLag = socket.writableLength > 0;
    return this.mayLag;
  }

  /** Whether earlier bytes still wait in the socket; the common answer costs no look into it. */
  private lags(): boolean {
    if (this.mayLag) this.mayLag = this.socket.connecting || this.socket.writableLength > 0;
    return this.mayLag;
  }

  /** Stops reading until `resume` was called as often. */
  pause(): void {
    if (this.pauses++ === 0 && !this.closed) this.socket.pause();
  }

  resume(): void {
    if (this.pauses > 0 && --this.pauses === 0 && !this.closed) this.socket.resume();
  }

  /** Sends what is left, then FIN. */
  end(): void {
    this.flushOutput();
    if (this.closed || this.finished) return;
    this.finished = true;
    this.socket.end();
  }

  /** Drops the connection; `onClose` follows in a later turn. */
  destroy(error: Error | null = null): void {
    this.finished = true;
    this.dropOutput();
    if (error !== null) this.error ??= error;
    this.socket.destroy();
  }

  /** Drops the connection by RST, so that the peer sees a failure rather than an end. */
  reset(): void {
    this.finished = true;
    this.dropOutput();
    if (this.copies || this.closed) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}
