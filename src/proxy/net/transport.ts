import type { Socket } from 'node:net';
import { sealedBytes, TlsConnection } from '../openssl/connection.ts';
import { returnAside, takeAside } from './aside.ts';
import { output } from './output.ts';

/** What sits above a transport. Each call is one turn of `output`. */
export interface Receiver {
  /** `bytes[0, length)`, at most 81 KiB, are this call's only: the buffer is read into again afterwards. */
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

/** Bytes of records that are read at once, and bytes that become records at once. */
const mostAtOnce = 65_536;

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
  /** What it sends in several turns of a round of the event loop leaves in one write: it carries the streams of many. */
  gathers = false;
  /** Milliseconds of `performance.now()` at the last byte in or out. */
  lastActiveTick = 0;
  bytesRead = 0;
  bytesWritten = 0;
  /** FIN is sent or will be. */
  private finished = false;
  /** Not connected yet, or something was left over when last looked at. */
  private mayLag = true;
  private pauses = 0;
  /** Null without TLS. */
  tls: TlsConnection | null = null;
  private onSecure: (() => void) | null = null;
  /** Buffer to read into next, when it is not the shared one; set by a relay that moves bulk. */
  readBuffer: Buffer | null = null;
  private currentReadBuffer: Buffer | null = null;
  private justRead = false;
  /** What is sealed leaves with what follows it in this same call. */
  private keepsSealed = false;
  private error: Error | null = null;
  private aside: Buffer | null = null;
  private asideLength = 0;

  /** `attach` follows as soon as the socket exists: its options are made from this object (see `onread`). */
  constructor() {
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

  attach(socket: Socket): void {
    this.socket = socket;
    socket.on('end', () => output.turn(() => this.tellEnd()));
    socket.on('error', (error) => {
      this.error ??= error;
    });
    socket.on('close', () => {
      if (this.closed) return;
      this.closed = true;
      this.congested = false;
      this.tls?.free();
      output.turn(() => this.receiver.onClose(this.error));
      this.receiver = nobody;
    });
    socket.on('drain', () => {
      if (this.closed) return;
      this.congested = false;
      output.turn(() => this.receiver.onDrain());
    });
  }

  private tellEnd(): void {
    if (this.closed || this.ended) return;
    this.ended = true;
    this.receiver.onEnd();
  }

  /**
   * What comes and goes from now on are records of `tls`. `onSecure` is called when the handshake is over, before anything that
   * it brought is handed up; when it fails, `onClose` tells.
   */
  secure(tls: TlsConnection, onSecure: () => void): void {
    this.tls = tls;
    this.onSecure = onSecure;
    // The ClientHello was looked at before; what counts is what records hold.
    this.bytesRead = 0;
  }

  /** A client speaks first. */
  beginHandshake(): void {
    const tls = this.tls!;
    try {
      tls.handshake();
      this.sendSealed(tls);
    } catch (error) {
      this.refuse(tls, error as Error);
    }
  }

  /** An alert tells the peer why. */
  private refuse(tls: TlsConnection, error: Error): void {
    this.keepsSealed = false;
    this.sendSealed(tls);
    this.destroy(error);
  }

  /** Takes what came in, from the socket or read before. */
  take(bytes: Buffer, length: number): void {
    if (this.closed) return;
    output.enter();
    this.lastActiveTick = output.tick;
    try {
      if (this.tls === null) this.handUp(bytes, length);
      else if (length <= mostAtOnce) this.open(this.tls, bytes, length);
      else
        for (let from = 0; from < length; from += mostAtOnce)
          this.open(this.tls, bytes.subarray(from), Math.min(mostAtOnce, length - from));
    } catch (error) {
      Transport.onFault(error);
      this.destroy();
    } finally {
      output.leave();
    }
  }

  private handUp(bytes: Buffer, length: number): void {
    this.bytesRead += length;
    this.receiver.onBytes(bytes, length);
  }

  /** Takes records apart. */
  private open(tls: TlsConnection, bytes: Buffer, length: number): void {
    if (tls.freed) return;
    const { established } = tls;
    let read = 0;
    try {
      tls.feed(bytes, length);
      if (established || tls.handshake()) read = tls.read();
    } catch (error) {
      this.refuse(tls, error as Error);
      return;
    }
    this.sendSealed(tls);
    if (tls.established && !established) {
      const { onSecure } = this;
      this.onSecure = null;
      onSecure?.();
    }
    // At once: who paused expects no more until it resumes.
    if (read > 0 && !this.closed && !this.socket.destroyed) this.handUp(TlsConnection.plain, read);
    if (tls.ended) this.tellEnd();
  }

  /** Writes what TLS wants to say; `written` is called when the kernel has taken it. */
  private sendSealed(tls: TlsConnection, written?: () => void): void {
    if (this.keepsSealed) return;
    let length = tls.takeSealed();
    while (length > 0) {
      const lags = this.lags();
      const records = TlsConnection.sealed.subarray(0, length);
      if (!this.socket.write(lags ? Buffer.from(records) : records, written)) this.congested = true;
      if (!lags) {
        this.mayLag = this.socket.writableLength > 0;
        if (this.mayLag) TlsConnection.renewSealed();
      }
      if (length < sealedBytes) return;
      length = tls.takeSealed();
    }
  }

  private seal(tls: TlsConnection, bytes: Buffer, length: number, written?: () => void): void {
    try {
      tls.write(bytes, length);
    } catch (error) {
      this.refuse(tls, error as Error);
      return;
    }
    this.sendSealed(tls, written);
  }

  /** Writes a buffer that nobody changes before `written` is called. */
  write(bytes: Buffer, written?: () => void): void {
    if (this.closed || this.finished || bytes.length === 0) return;
    this.flushOutput();
    this.bytesWritten += bytes.length;
    this.lastActiveTick = performance.now();
    if (this.tls !== null) {
      for (let from = 0; from < bytes.length; from += mostAtOnce) {
        const to = Math.min(bytes.length, from + mostAtOnce);
        this.seal(this.tls, bytes.subarray(from, to), to - from, to === bytes.length ? written : undefined);
      }
      return;
    }
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
    if (this.tls !== null) {
      this.seal(this.tls, bytes, length);
      return false;
    }
    if (this.lags()) {
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
    const tls = this.tls?.established ? this.tls : null;
    this.keepsSealed = tls !== null;
    this.flushOutput();
    this.keepsSealed = false;
    if (this.closed || this.finished) return;
    this.finished = true;
    if (tls !== null) {
      tls.end();
      this.sendSealed(tls);
    }
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
    if (this.tls !== null || this.closed) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}
