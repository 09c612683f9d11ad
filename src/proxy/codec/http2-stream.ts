import type { HeaderBlock } from './header-block.ts';
import type { FieldSection } from './hpack-decoder.ts';
import type { Http2Sender } from './http2-sender.ts';

/** What one side of a stream is for: a request from a caller, or a request to an upstream. */
export interface StreamUser {
  /** A response's head, interim ones included; the section's block is the user's from here on. */
  onHeaders(section: FieldSection, endStream: boolean): void;
  /** `bytes[start, end)` are this call's only. Credit goes back to the peer unless the stream is held meanwhile. */
  onData(bytes: Buffer, start: number, end: number): void;
  /** The peer sends no more. `trailers` are lent for the call. */
  onEnd(trailers: HeaderBlock | null): void;
  /** The stream is over before its end; nothing else follows. `byPeer` is false for what this side found wrong with it. */
  onReset(code: number, byPeer: boolean, details: string): void;
  /** What was written has been passed on: `congested` is false again. */
  onWritable(): void;
}

/** One stream of a connection (RFC 9113 §5). */
export class Http2Stream {
  readonly session: Http2Sender;
  readonly id: number;
  user: StreamUser;
  /** Bytes that the peer takes; negative after it made its window smaller. */
  sendWindow: number;
  /** Bytes that the peer may still send. */
  receiveWindow: number;
  /** Received, passed on, and not yet given back as credit. */
  unreturned = 0;
  /** Received while the stream was held: credit is given back when it is released. */
  withheld = 0;
  private holds = 0;
  /** Waits for the peer's window, oldest first; trailers and the end wait behind it. */
  queue: Buffer[] = [];
  queuedBytes = 0;
  endQueued = false;
  trailersQueued: HeaderBlock | null = null;
  /** In its connection's table. */
  open = true;
  localClosed = false;
  remoteClosed = false;
  /** A final head has come: the next one is a trailer section. */
  headSeen = false;
  /** content-length of what the peer sends; -1 when unknown. */
  expected = -1;
  received = 0;
  /** The answer to a HEAD request: its content-length counts nothing. */
  bodiless = false;
  readonly openedTick: number;

  constructor(
    session: Http2Sender,
    id: number,
    user: StreamUser,
    sendWindow: number,
    receiveWindow: number,
    tick: number,
  ) {
    this.session = session;
    this.id = id;
    this.user = user;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.openedTick = tick;
  }

  /** More was written than the peer takes; `onWritable` follows. */
  get congested(): boolean {
    return this.queuedBytes > 0 || this.session.transport.congested;
  }

  get held(): boolean {
    return this.holds > 0;
  }

  /** Gives the peer no more credit until `release` was called as often. */
  hold(): void {
    this.holds++;
  }

  release(): void {
    if (this.holds === 0 || --this.holds > 0) return;
    const bytes = this.withheld;
    this.withheld = 0;
    if (bytes > 0) this.session.credit(this, bytes);
  }
}
