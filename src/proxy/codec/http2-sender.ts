import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';
import { type HeaderBlock, returnBlock, takeBlock } from './header-block.ts';
import type { HeaderEdit } from './header-edit.ts';
import type { FieldSection } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import * as h2 from './http2-frames.ts';
import { FrameLimits, type Http2Limits } from './http2-limits.ts';
import { Http2Stream, type StreamUser } from './http2-stream.ts';

/** What a connection is to its user. */
export interface SessionUser {
  /** A caller's request: the section's block is the user's, and so is the stream, whose `user` it sets. */
  onRequest(stream: Http2Stream, section: FieldSection, endStream: boolean): void;
  /** A request that is none; its stream was reset. `section` is what could be read of it, and its block the user's. */
  onMalformed(stream: Http2Stream, section: FieldSection, details: string): void;
  /** The peer's SETTINGS arrived. */
  onSettings(): void;
  onGoaway(lastStreamId: number, code: number): void;
  /** A stream ended, in whatever way. */
  onStreamGone(stream: Http2Stream): void;
  /** The connection cannot go on: its streams were reset, GOAWAY with `code` was sent and the connection ended. */
  onFault(code: number, details: string): void;
  onEnd(): void;
  onDrain(): void;
  /** Every stream was reset before. */
  onClose(error: Error | null): void;
}

export const nobody: StreamUser = { onHeaders() {}, onData() {}, onEnd() {}, onReset() {}, onWritable() {} };
/** Resets that are remembered: what was under way for such a stream is nobody's fault. */
const remembered = 64;

/** The sending half of a connection: streams, windows, compression, and what waits for them. */
export class Http2Sender {
  readonly transport: Transport;
  readonly isServer: boolean;
  readonly user: SessionUser;
  readonly streams: Map<number, Http2Stream> = new Map();
  readonly limits: Http2Limits;
  protected readonly frames: FrameLimits;
  protected readonly encoder: HpackEncoder = new HpackEncoder();
  /** The peer's settings. */
  peerMaxStreams: number = Number.POSITIVE_INFINITY;
  protected peerWindowBytes: number = h2.defaultWindowBytes;
  protected peerFrameBytes: number = h2.defaultFrameBytes;
  protected sendWindow: number = h2.defaultWindowBytes;
  protected receiveWindow: number = h2.defaultWindowBytes;
  private unreturned = 0;
  /** Streams whose queue waits for a window, in turn. */
  protected readonly blocked: Set<Http2Stream> = new Set();
  /** The last stream that the peer began. */
  protected lastPeerId = 0;
  protected nextId: number;
  /** Streams of the peer beyond this number are not served any more. */
  protected acceptUpTo: number = h2.largestWindowBytes;
  /** Nothing more is read or sent. */
  over = false;
  protected readonly resetLately: number[] = [];
  private waitingControlFrames = 0;
  /** The last frame written, while END_STREAM can still be set on it: its place in `output`, and who it belongs to. */
  private lastFrameAt = 0;
  private lastFrameEnd = -1;
  private lastFrameFlush = 0;
  private lastFrameStream: Http2Stream | null = null;

  constructor(transport: Transport, isServer: boolean, user: SessionUser, limits: Http2Limits) {
    this.transport = transport;
    this.isServer = isServer;
    this.user = user;
    this.limits = limits;
    this.frames = new FrameLimits(limits);
    this.nextId = isServer ? 2 : 1;
  }

  /** Preface and SETTINGS, and the connection's own window. */
  protected greet(): void {
    const { limits, transport } = this;
    if (!this.isServer) {
      output.claim(transport, h2.preface.length);
      output.put(h2.preface, 0, h2.preface.length);
    }
    const settings: number[] = [];
    if (this.isServer) settings.push(h2.maxConcurrentStreams, limits.maxStreams);
    else settings.push(h2.enablePush, 0);
    settings.push(h2.initialWindowSize, limits.streamWindowBytes);
    if (this.isServer && limits.allowConnect) settings.push(h2.enableConnectProtocol, 1);
    h2.putSettings(transport, settings);
    const more = limits.connectionWindowBytes - h2.defaultWindowBytes;
    if (more <= 0) return;
    h2.putWindowUpdate(transport, 0, more);
    this.receiveWindow += more;
  }

  /** Begins a request; `sendRequest` follows. Null when the connection has no number left or takes no more. */
  open(user: StreamUser): Http2Stream | null {
    if (this.over || this.streams.size >= this.peerMaxStreams || this.nextId > h2.largestWindowBytes - 2) return null;
    const id = this.nextId;
    this.nextId += 2;
    const stream = new Http2Stream(this, id, user, this.peerWindowBytes, this.limits.streamWindowBytes, output.tick);
    this.streams.set(id, stream);
    return stream;
  }

  sendRequest(
    stream: Http2Stream,
    pseudo: { method: string; scheme: string; authority: string; path: string; protocol: string },
    block: HeaderBlock | null,
    edit: HeaderEdit,
  ): number {
    if (!this.maySend(stream)) return 0;
    const { method, scheme, authority, path, protocol } = pseudo;
    const text = method.length + scheme.length + authority.length + path.length + protocol.length;
    output.claim(this.transport, h2.frameHeaderBytes + HpackEncoder.bound(block, edit, text));
    const at = this.beginFrame();
    this.encoder.putRequest(method, scheme, authority, path, protocol);
    this.encoder.putFields(block, edit);
    return this.endHeaders(stream, at, false);
  }

  /** A response's head; returns its size in bytes. */
  sendResponse(stream: Http2Stream, status: number, block: HeaderBlock | null, edit: HeaderEdit): number {
    if (!this.maySend(stream)) return 0;
    output.claim(this.transport, h2.frameHeaderBytes + HpackEncoder.bound(block, edit, 16));
    const at = this.beginFrame();
    this.encoder.putStatus(status);
    this.encoder.putFields(block, edit);
    return this.endHeaders(stream, at, false);
  }

  private maySend(stream: Http2Stream): boolean {
    return stream.open && !stream.localClosed && !this.over;
  }

  private beginFrame(): number {
    const at = output.length;
    output.length += h2.frameHeaderBytes;
    return at;
  }

  /** Fills in the header of a HEADERS frame whose fields lie behind `at`; what is too long for one goes on in CONTINUATION. */
  private endHeaders(stream: Http2Stream, at: number, endStream: boolean): number {
    const end = output.length;
    const size = end - at - h2.frameHeaderBytes;
    const endFlag = endStream ? h2.endStreamFlag : 0;
    output.length = at;
    if (size <= this.peerFrameBytes) {
      h2.putFrameHeader(size, h2.headersFrame, h2.endHeadersFlag | endFlag, stream.id);
      output.length = end;
      if (!endStream) this.noteFrame(stream, at);
    } else {
      const fields = Buffer.from(output.bytes.subarray(at + h2.frameHeaderBytes, end));
      for (let from = 0; from < size; from += this.peerFrameBytes) {
        const to = Math.min(size, from + this.peerFrameBytes);
        const last = to === size ? h2.endHeadersFlag : 0;
        output.claim(this.transport, h2.frameHeaderBytes + to - from);
        h2.putFrameHeader(
          to - from,
          from === 0 ? h2.headersFrame : h2.continuationFrame,
          last | (from === 0 ? endFlag : 0),
          stream.id,
        );
        output.put(fields, from, to);
      }
    }
    if (endStream) this.closeLocal(stream);
    return size + h2.frameHeaderBytes;
  }

  private noteFrame(stream: Http2Stream, at: number): void {
    this.lastFrameAt = at;
    this.lastFrameEnd = output.length;
    this.lastFrameFlush = output.flushes;
    this.lastFrameStream = stream;
  }

  /** Body bytes: what the windows allow now, the rest when they open. */
  sendData(stream: Http2Stream, bytes: Buffer, start: number, end: number): void {
    if (!this.maySend(stream) || start === end) return;
    let from = start;
    if (stream.queuedBytes === 0 && !this.transport.congested) from = this.putData(stream, bytes, start, end);
    if (from === end) return;
    stream.queue.push(Buffer.from(bytes.subarray(from, end)));
    stream.queuedBytes += end - from;
    this.blocked.add(stream);
  }

  /** Writes DATA frames as far as the windows go; returns where it stopped. */
  private putData(stream: Http2Stream, bytes: Buffer, start: number, end: number): number {
    let from = start;
    while (from < end) {
      const size = Math.min(end - from, stream.sendWindow, this.sendWindow, this.peerFrameBytes, 65_000);
      if (size <= 0) return from;
      output.claim(this.transport, h2.frameHeaderBytes + size);
      const at = output.length;
      h2.putFrameHeader(size, h2.dataFrame, 0, stream.id);
      output.put(bytes, from, from + size);
      this.noteFrame(stream, at);
      this.frames.sentData();
      stream.sendWindow -= size;
      this.sendWindow -= size;
      from += size;
    }
    return from;
  }

  /** Ends this side of the stream, behind whatever waits. */
  sendEnd(stream: Http2Stream, trailers: HeaderBlock | null): void {
    if (!this.maySend(stream) || stream.endQueued) return;
    if (stream.queuedBytes > 0) {
      stream.endQueued = true;
      if (trailers !== null) {
        stream.trailersQueued = takeBlock();
        stream.trailersQueued.copyFrom(trailers);
      }
      return;
    }
    this.putEnd(stream, trailers);
  }

  private putEnd(stream: Http2Stream, trailers: HeaderBlock | null): void {
    if (trailers !== null) {
      output.claim(this.transport, h2.frameHeaderBytes + trailers.length + trailers.count * 12 + 8);
      const at = this.beginFrame();
      this.encoder.putTrailers(trailers);
      this.endHeaders(stream, at, true);
      return;
    }
    // The frame before may still lie in the buffer: the flag costs nothing there, a frame of its own nine bytes.
    if (
      this.lastFrameStream === stream &&
      output.owner === this.transport &&
      output.flushes === this.lastFrameFlush &&
      output.length >= this.lastFrameEnd
    )
      output.bytes[this.lastFrameAt + 4] |= h2.endStreamFlag;
    else {
      output.claim(this.transport, h2.frameHeaderBytes);
      h2.putFrameHeader(0, h2.dataFrame, h2.endStreamFlag, stream.id);
    }
    this.closeLocal(stream);
  }

  /** Sends what waited, a stream after the other, as far as windows and the connection allow. */
  protected pump(): void {
    for (const stream of [...this.blocked]) {
      if (this.transport.congested || this.sendWindow <= 0) break;
      if (stream.sendWindow <= 0) continue;
      while (stream.queue.length > 0) {
        const piece = stream.queue[0];
        const sent = this.putData(stream, piece, 0, piece.length);
        stream.queuedBytes -= sent;
        if (sent < piece.length) {
          stream.queue[0] = piece.subarray(sent);
          break;
        }
        stream.queue.shift();
      }
      this.blocked.delete(stream);
      if (stream.queue.length > 0) {
        // To the end of the line: the others have their turn first.
        this.blocked.add(stream);
        continue;
      }
      if (stream.endQueued) {
        const { trailersQueued } = stream;
        stream.trailersQueued = null;
        this.putEnd(stream, trailersQueued);
        if (trailersQueued !== null) returnBlock(trailersQueued);
      } else stream.user.onWritable();
    }
  }

  /** Gives the peer as much room again as was passed on. */
  credit(stream: Http2Stream, bytes: number): void {
    this.creditConnection(bytes);
    stream.unreturned += bytes;
    if (stream.unreturned * 2 < this.limits.streamWindowBytes || stream.remoteClosed || this.over) return;
    if (!stream.open) return;
    h2.putWindowUpdate(this.transport, stream.id, stream.unreturned);
    stream.receiveWindow += stream.unreturned;
    stream.unreturned = 0;
  }

  protected creditConnection(bytes: number): void {
    this.unreturned += bytes;
    if (this.unreturned * 2 < this.limits.connectionWindowBytes || this.over) return;
    h2.putWindowUpdate(this.transport, 0, this.unreturned);
    this.receiveWindow += this.unreturned;
    this.unreturned = 0;
  }

  private closeLocal(stream: Http2Stream): void {
    stream.localClosed = true;
    // A server that has answered wants no more of the request (RFC 9113 §8.1).
    if (this.isServer && !stream.remoteClosed) this.abandon(stream, h2.noError);
    else this.forgetIfDone(stream);
  }

  protected forgetIfDone(stream: Http2Stream): void {
    if (stream.localClosed && stream.remoteClosed) this.drop(stream);
  }

  /** Takes the stream out of the table; what waited is gone. */
  protected drop(stream: Http2Stream): void {
    if (!stream.open) return;
    stream.open = false;
    this.streams.delete(stream.id);
    if (stream.queuedBytes > 0) this.blocked.delete(stream);
    stream.queue = [];
    stream.queuedBytes = 0;
    if (stream.trailersQueued !== null) returnBlock(stream.trailersQueued);
    stream.trailersQueued = null;
    stream.localClosed = true;
    // What nobody will pass on any more must not take room from the others.
    if (stream.withheld > 0) this.creditConnection(stream.withheld);
    stream.withheld = 0;
    if (this.lastFrameStream === stream) this.lastFrameStream = null;
    this.user.onStreamGone(stream);
  }

  protected sendReset(id: number, code: number): void {
    if (this.over) return;
    this.resetLately.push(id);
    if (this.resetLately.length > remembered) this.resetLately.shift();
    this.noteControl();
    if (!this.over) h2.putReset(this.transport, id, code);
  }

  /** Ends a stream because its user wants no more of it; the user is not told. */
  abandon(stream: Http2Stream, code: number): void {
    if (!stream.open) return;
    stream.user = nobody;
    // One that both sides have ended is over: a reset would only count against this side (CVE-2023-44487's remedies).
    const complete = stream.localClosed && stream.remoteClosed;
    this.drop(stream);
    if (!complete) this.sendReset(stream.id, code);
  }

  /** Ends a stream because of what the peer did with it (RFC 9113 §5.4.2). */
  protected resetStream(stream: Http2Stream, code: number, details: string): void {
    if (!stream.open) return;
    this.drop(stream);
    this.sendReset(stream.id, code);
    stream.user.onReset(code, false, details);
  }

  /** Tells the peer that no stream of it above `lastStreamId` will be served. The streams under way go on. */
  sendGoaway(final: boolean, code: number): void {
    if (this.over) return;
    if (final) this.acceptUpTo = this.lastPeerId;
    h2.putGoaway(this.transport, final ? this.lastPeerId : h2.largestWindowBytes, code);
  }

  /** Answers that pile up because the peer does not read them. */
  protected noteControl(): void {
    if (!this.transport.congested) this.waitingControlFrames = 0;
    else if (++this.waitingControlFrames > this.limits.maxOutboundControlFrames)
      this.fail(h2.enhanceYourCalm, 'http2.outbound_control_frames_flood');
  }

  /** Ends the connection because of what the peer did with it (RFC 9113 §5.4.1). */
  protected fail(code: number, details: string): void {
    if (this.over) return;
    h2.putGoaway(this.transport, this.lastPeerId, code);
    this.over = true;
    this.resetAll(code, details);
    this.user.onFault(code, details);
  }

  protected resetAll(code: number, details: string): void {
    for (const stream of [...this.streams.values()]) {
      this.drop(stream);
      stream.user.onReset(code, false, details);
    }
  }
}
