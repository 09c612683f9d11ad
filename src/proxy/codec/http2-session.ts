import { output } from '../net/output.ts';
import type { Receiver, Transport } from '../net/transport.ts';
import { HeaderBlock, returnBlock, takeBlock } from './header-block.ts';
import { type FieldLimits, FieldSection, HpackDecoder } from './hpack-decoder.ts';
import * as h2 from './http2-frames.ts';
import { KeepalivePings } from './http2-keepalive.ts';
import type { Http2Limits } from './http2-limits.ts';
import { Http2Sender, nobody, type SessionUser } from './http2-sender.ts';
import { Http2Stream } from './http2-stream.ts';

/** One for all connections of the thread: a section is dealt with before the next is read. */
const section = new FieldSection();
const dropped = new HeaderBlock();
const pingPayload = Buffer.from('lateen??');

/**
 * One HTTP/2 connection (RFC 9113), either side of it: frames in and out, header compression, streams and their windows.
 *
 *     bytes → frame → HEADERS… → FieldSection → user.onRequest, stream.user.onHeaders
 *                   → DATA      → stream.user.onData → credit back when it was passed on
 *     sendData → window? → output buffer, one write a turn;  no window: the stream's queue → WINDOW_UPDATE → pump
 */
export class Http2Session extends Http2Sender implements Receiver {
  private readonly fieldLimits: FieldLimits;
  private readonly decoder = new HpackDecoder();
  /** The peer's SETTINGS have come. */
  settled = false;
  private wantsPreface: number;
  /** Tick at which part of a frame or of a field section came whose rest is still to come; -1 when nothing waits. */
  partialSinceTick = -1;
  private kept: Buffer | null = null;
  private keptLength = 0;
  /** The DATA frame that is being read. */
  private dataStream: Http2Stream | null = null;
  private dataLeft = 0;
  private padLeft = 0;
  private dataEnds = false;
  /** The field block that CONTINUATION frames complete; 0 when there is none. */
  private continuing = 0;
  private continuingEnds = false;
  private fragments: Buffer[] = [];
  private fragmentBytes = 0;
  private readonly pings: KeepalivePings | null;

  constructor(transport: Transport, isServer: boolean, user: SessionUser, limits: Http2Limits) {
    super(transport, isServer, user, limits);
    this.fieldLimits = { maxBytes: limits.maxFieldBytes, maxFields: limits.maxFields };
    this.wantsPreface = isServer ? h2.preface.length : 0;
    transport.gathers = !isServer;
    transport.receiver = this;
    this.pings =
      limits.keepalive === null
        ? null
        : new KeepalivePings(
            limits.keepalive,
            () => output.turn(() => h2.putPing(transport, false, pingPayload, 0)),
            () => this.transport.destroy(new Error('http2_ping_timeout')),
          );
    this.greet();
  }

  onBytes(bytes: Buffer, length: number): void {
    this.pings?.heard();
    let i = 0;
    while (i < length && !this.over) {
      if (this.wantsPreface > 0) i = this.readPreface(bytes, i, length);
      else if (this.dataLeft > 0 || this.padLeft > 0) i = this.readData(bytes, i, length);
      else i = this.readFrame(bytes, i, length);
    }
    if (this.keptLength === 0 && this.continuing === 0) this.partialSinceTick = -1;
    else if (this.partialSinceTick < 0) this.partialSinceTick = output.tick;
    // Resets and ends of this turn have made room for what waited.
    if (this.blocked.size > 0 && !this.over) this.pump();
  }

  private readPreface(bytes: Buffer, from: number, length: number): number {
    let i = from;
    for (; i < length && this.wantsPreface > 0; i++, this.wantsPreface--) {
      if (bytes[i] === h2.preface[h2.preface.length - this.wantsPreface]) continue;
      this.fail(h2.protocolError, 'http2.bad_preface');
      return length;
    }
    return i;
  }

  /** One frame in `bytes` at `from`, or the pieces of one in `kept`. A DATA frame's payload is not waited for. */
  private readFrame(bytes: Buffer, from: number, length: number): number {
    if (this.keptLength === 0) {
      const need = this.frameNeed(bytes, from, length - from);
      if (need <= length - from) {
        this.takeFrame(bytes, from);
        return from + need;
      }
    }
    this.kept ??= Buffer.allocUnsafeSlow(h2.frameHeaderBytes + h2.defaultFrameBytes);
    let i = from;
    for (;;) {
      const need = this.frameNeed(this.kept, 0, this.keptLength);
      if (this.over) return length;
      if (this.keptLength >= need) break;
      const taken = Math.min(need - this.keptLength, length - i);
      if (taken === 0) return length;
      bytes.copy(this.kept, this.keptLength, i, i + taken);
      this.keptLength += taken;
      i += taken;
    }
    const { kept } = this;
    this.kept = null;
    this.keptLength = 0;
    this.takeFrame(kept, 0);
    return i;
  }

  /** How many bytes must be at hand before the frame can be treated. */
  private frameNeed(bytes: Buffer, at: number, available: number): number {
    if (available < h2.frameHeaderBytes) return h2.frameHeaderBytes;
    const size = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
    if (size > h2.defaultFrameBytes) {
      this.fail(h2.frameSizeError, 'http2.frame_size_error');
      return 0;
    }
    if (bytes[at + 3] !== h2.dataFrame) return h2.frameHeaderBytes + size;
    return h2.frameHeaderBytes + ((bytes[at + 4] & h2.paddedFlag) !== 0 && size > 0 ? 1 : 0);
  }

  private takeFrame(bytes: Buffer, at: number): void {
    if (this.over) return;
    const size = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
    const type = bytes[at + 3];
    const flags = bytes[at + 4];
    const id = h2.read32(bytes, at + 5) & 0x7fffffff;
    const start = at + h2.frameHeaderBytes;
    if (this.continuing !== 0 && (type !== h2.continuationFrame || id !== this.continuing)) {
      this.fail(h2.protocolError, 'http2.continuation_expected');
      return;
    }
    // The first frame of either side is SETTINGS (RFC 9113 §3.4).
    if (!this.settled && (type !== h2.settingsFrame || (flags & h2.ackFlag) !== 0)) {
      this.fail(h2.protocolError, 'http2.settings_expected');
      return;
    }
    switch (type) {
      case h2.dataFrame:
        this.takeDataHeader(bytes, start, size, flags, id);
        break;
      case h2.headersFrame:
        this.takeHeaders(bytes, start, size, flags, id);
        break;
      case h2.priorityFrame:
        this.takePriority(bytes, start, size, id);
        break;
      case h2.resetFrame:
        this.takeReset(bytes, start, size, id);
        break;
      case h2.settingsFrame:
        this.takeSettings(bytes, start, size, flags, id);
        break;
      case h2.pushPromiseFrame:
        // This side never allows it (RFC 9113 §8.4).
        this.fail(h2.protocolError, 'http2.push_promise');
        break;
      case h2.pingFrame:
        this.takePing(bytes, start, size, flags, id);
        break;
      case h2.goawayFrame:
        if (id !== 0) this.fail(h2.protocolError, 'http2.stream_id');
        else if (size < 8) this.fail(h2.frameSizeError, 'http2.frame_size_error');
        else this.takeGoaway(h2.read32(bytes, start) & 0x7fffffff, h2.read32(bytes, start + 4));
        break;
      case h2.windowUpdateFrame:
        this.takeWindowUpdate(bytes, start, size, id);
        break;
      case h2.continuationFrame:
        if (this.continuing === 0) this.fail(h2.protocolError, 'http2.unexpected_continuation');
        else this.addFragment(bytes, start, start + size, (flags & h2.endHeadersFlag) !== 0);
        break;
      default:
        // Unknown types are ignored (RFC 9113 §4.1).
        if (!this.frames.unknown()) this.fail(h2.enhanceYourCalm, 'http2.inbound_unknown_frames_flood');
    }
  }

  /** A stream that was never begun by its side yet. */
  private isIdle(id: number): boolean {
    const fromPeer = (id & 1) === (this.isServer ? 1 : 0);
    return fromPeer ? id > this.lastPeerId : id >= this.nextId;
  }

  private takeDataHeader(bytes: Buffer, start: number, size: number, flags: number, id: number): void {
    if (id === 0 || this.isIdle(id)) {
      this.fail(h2.protocolError, 'http2.stream_id');
      return;
    }
    const padded = (flags & h2.paddedFlag) !== 0;
    if (padded && size === 0) {
      this.fail(h2.frameSizeError, 'http2.frame_size_error');
      return;
    }
    const pad = padded ? bytes[start] + 1 : 0;
    if (pad > size) {
      this.fail(h2.protocolError, 'http2.padding');
      return;
    }
    const ends = (flags & h2.endStreamFlag) !== 0;
    this.receiveWindow -= size;
    if (this.receiveWindow < 0) {
      this.fail(h2.flowControlError, 'http2.flow_control');
      return;
    }
    if (!this.frames.payload(size - pad === 0 && !ends)) {
      this.fail(h2.enhanceYourCalm, 'http2.inbound_empty_frames_flood');
      return;
    }
    const stream = this.streams.get(id) ?? null;
    if (stream === null || stream.remoteClosed) {
      if (stream !== null) this.resetStream(stream, h2.streamClosed, 'http2.stream_closed');
      else if (!this.resetLately.includes(id)) this.sendReset(id, h2.streamClosed);
      this.startData(null, size - pad, pad - (padded ? 1 : 0), false);
      this.creditConnection(padded ? 1 : 0);
      return;
    }
    stream.receiveWindow -= size;
    if (stream.receiveWindow < 0) {
      this.resetStream(stream, h2.flowControlError, 'http2.flow_control');
      this.startData(null, size - pad, pad - (padded ? 1 : 0), false);
      return;
    }
    if (!stream.headSeen) {
      this.resetStream(stream, h2.protocolError, 'http2.violation.of.messaging.rule');
      this.startData(null, size - pad, pad - (padded ? 1 : 0), false);
      return;
    }
    if (padded) this.credit(stream, 1);
    this.startData(stream, size - pad, pad - (padded ? 1 : 0), ends);
    if (this.dataLeft === 0 && this.padLeft === 0) this.endData();
  }

  private startData(stream: Http2Stream | null, bytes: number, pad: number, ends: boolean): void {
    this.dataStream = stream;
    this.dataLeft = bytes;
    this.padLeft = pad;
    this.dataEnds = ends;
  }

  private readData(bytes: Buffer, from: number, length: number): number {
    let i = from;
    if (this.dataLeft > 0) {
      const end = Math.min(length, i + this.dataLeft);
      this.dataLeft -= end - i;
      this.deliver(bytes, i, end);
      i = end;
    }
    if (this.dataLeft === 0 && this.padLeft > 0 && i < length) {
      const taken = Math.min(length - i, this.padLeft);
      this.padLeft -= taken;
      i += taken;
      if (this.dataStream !== null) this.credit(this.dataStream, taken);
      else this.creditConnection(taken);
    }
    if (this.dataLeft === 0 && this.padLeft === 0 && !this.over) this.endData();
    return i;
  }

  private deliver(bytes: Buffer, start: number, end: number): void {
    const stream = this.dataStream;
    const size = end - start;
    if (stream === null || !stream.open) {
      this.creditConnection(size);
      return;
    }
    stream.received += size;
    if (stream.expected >= 0 && stream.received > stream.expected) {
      this.creditConnection(size);
      this.resetStream(stream, h2.protocolError, 'http2.violation.of.messaging.rule');
      return;
    }
    stream.user.onData(bytes, start, end);
    if (stream.held) stream.withheld += size;
    else this.credit(stream, size);
  }

  private endData(): void {
    const stream = this.dataStream;
    this.dataStream = null;
    if (stream === null || !this.dataEnds || !stream.open) return;
    this.endRemote(stream, null);
  }

  private endRemote(stream: Http2Stream, trailers: HeaderBlock | null): void {
    if (stream.expected >= 0 && stream.received !== stream.expected) {
      this.resetStream(stream, h2.protocolError, 'http2.violation.of.messaging.rule');
      return;
    }
    stream.remoteClosed = true;
    stream.user.onEnd(trailers);
    this.forgetIfDone(stream);
  }

  private takeHeaders(bytes: Buffer, start: number, size: number, flags: number, id: number): void {
    // Requests have odd numbers, and so have their responses; pushing is never allowed (RFC 9113 §5.1.1).
    if ((id & 1) === 0 || (!this.isServer && this.isIdle(id))) {
      this.fail(h2.protocolError, 'http2.stream_id');
      return;
    }
    let from = start;
    let end = start + size;
    if ((flags & h2.paddedFlag) !== 0) {
      const pad = size === 0 ? 0 : bytes[from++];
      end -= pad;
      if (size === 0 || end < from) {
        this.fail(size === 0 ? h2.frameSizeError : h2.protocolError, 'http2.padding');
        return;
      }
    }
    let dependsOnItself = false;
    if ((flags & h2.priorityFlag) !== 0) {
      if (end - from < 5) {
        this.fail(h2.frameSizeError, 'http2.frame_size_error');
        return;
      }
      dependsOnItself = (h2.read32(bytes, from) & 0x7fffffff) === id;
      from += 5;
    }
    if (!this.frames.payload(end === from && (flags & h2.endHeadersFlag) === 0)) {
      this.fail(h2.enhanceYourCalm, 'http2.inbound_empty_frames_flood');
      return;
    }
    if (dependsOnItself) {
      this.fail(h2.protocolError, 'http2.self_dependency');
      return;
    }
    const ends = (flags & h2.endStreamFlag) !== 0;
    if ((flags & h2.endHeadersFlag) !== 0) {
      this.takeFields(bytes, from, end, id, ends);
      return;
    }
    this.continuing = id;
    this.continuingEnds = ends;
    this.addFragment(bytes, from, end, false);
  }

  private addFragment(bytes: Buffer, start: number, end: number, last: boolean): void {
    this.fragments.push(Buffer.from(bytes.subarray(start, end)));
    this.fragmentBytes += end - start;
    if (this.fragments.length > this.limits.maxContinuations || this.fragmentBytes > this.limits.maxFieldBytes * 2) {
      this.fail(h2.enhanceYourCalm, 'http2.continuation_flood');
      return;
    }
    if (!last) return;
    const block = Buffer.concat(this.fragments);
    const id = this.continuing;
    this.continuing = 0;
    this.fragments = [];
    this.fragmentBytes = 0;
    this.takeFields(block, 0, block.length, id, this.continuingEnds);
  }

  /** A whole field block. It is decoded even when nobody wants it: the compression's state must go on. */
  private takeFields(bytes: Buffer, start: number, end: number, id: number, ends: boolean): void {
    const stream = this.streams.get(id) ?? null;
    const isNew = this.isServer && stream === null && id > this.lastPeerId;
    const wanted = isNew || (stream !== null && !stream.remoteClosed);
    const kind = stream?.headSeen ? 'trailers' : this.isServer ? 'request' : 'response';
    let block = dropped;
    if (wanted) block = takeBlock();
    else block.clear();
    section.begin(kind, block, this.fieldLimits);
    if (!this.decoder.decode(bytes, start, end, section)) {
      if (wanted) returnBlock(block);
      this.fail(h2.compressionError, 'http2.compression_error');
      return;
    }
    if (isNew) this.begin(id, ends);
    else if (!wanted) {
      if (stream !== null) this.resetStream(stream, h2.streamClosed, 'http2.stream_closed');
      else if (!this.resetLately.includes(id)) this.fail(h2.streamClosed, 'http2.stream_closed');
    } else if (kind === 'trailers') this.takeTrailers(stream!, block, ends);
    else this.takeResponse(stream!, ends);
  }

  private sectionFault(): string {
    if (section.fault !== '') return section.fault;
    return section.tooLarge ? 'http2.too_many_headers' : '';
  }

  private begin(id: number, ends: boolean): void {
    const { block } = section;
    this.lastPeerId = id;
    if (id > this.acceptUpTo) {
      returnBlock(block);
      return;
    }
    if (this.streams.size >= this.limits.maxStreams) {
      returnBlock(block);
      this.sendReset(id, h2.refusedStream);
      return;
    }
    const stream = new Http2Stream(this, id, nobody, this.peerWindowBytes, this.limits.streamWindowBytes, output.tick);
    this.frames.opened();
    this.streams.set(id, stream);
    stream.headSeen = true;
    stream.expected = block.contentLength;
    stream.remoteClosed = ends;
    const fault = this.sectionFault() || (ends && block.contentLength > 0 ? 'http2.violation.of.messaging.rule' : '');
    if (fault !== '') {
      this.resetStream(stream, fault === 'http2.too_many_headers' ? h2.internalError : h2.protocolError, fault);
      this.user.onMalformed(stream, section, fault);
      return;
    }
    this.user.onRequest(stream, section, ends);
  }

  private takeTrailers(stream: Http2Stream, block: HeaderBlock, ends: boolean): void {
    const fault = ends ? this.sectionFault() : 'http2.violation.of.messaging.rule';
    if (fault !== '') this.resetStream(stream, h2.protocolError, fault);
    else this.endRemote(stream, block.count === 0 ? null : block);
    returnBlock(block);
  }

  private takeResponse(stream: Http2Stream, ends: boolean): void {
    const { block } = section;
    const interim = section.status >= 100 && section.status < 200;
    const fault = this.sectionFault() || (interim && ends ? 'http2.violation.of.messaging.rule' : '');
    if (fault !== '') {
      returnBlock(block);
      this.resetStream(stream, h2.protocolError, fault);
      return;
    }
    if (!interim) {
      stream.headSeen = true;
      stream.expected = stream.bodiless || section.status === 304 || section.status === 204 ? -1 : block.contentLength;
      if (ends) stream.remoteClosed = true;
    }
    if (!interim && ends && stream.expected > 0) {
      returnBlock(block);
      this.resetStream(stream, h2.protocolError, 'http2.violation.of.messaging.rule');
      return;
    }
    stream.user.onHeaders(section, ends);
    if (ends) this.forgetIfDone(stream);
  }

  private takePriority(bytes: Buffer, start: number, size: number, id: number): void {
    if (id === 0) this.fail(h2.protocolError, 'http2.stream_id');
    else if (size !== 5) {
      const stream = this.streams.get(id);
      if (stream !== undefined) this.resetStream(stream, h2.frameSizeError, 'http2.frame_size_error');
      else this.fail(h2.frameSizeError, 'http2.frame_size_error');
    } else if ((h2.read32(bytes, start) & 0x7fffffff) === id) this.fail(h2.protocolError, 'http2.self_dependency');
    else if (!this.frames.priority()) this.fail(h2.enhanceYourCalm, 'http2.inbound_priority_frames_flood');
  }

  private takeReset(bytes: Buffer, start: number, size: number, id: number): void {
    if (id === 0 || this.isIdle(id)) this.fail(h2.protocolError, 'http2.stream_id');
    else if (size !== 4) this.fail(h2.frameSizeError, 'http2.frame_size_error');
    else {
      const stream = this.streams.get(id);
      if (stream === undefined) {
        if (!this.frames.reset(false)) this.fail(h2.enhanceYourCalm, 'http2.premature_reset_flood');
        return;
      }
      const premature = output.tick - stream.openedTick < 1000;
      this.drop(stream);
      stream.user.onReset(h2.read32(bytes, start), true, 'http2.remote_reset');
      if (!this.frames.reset(premature)) this.fail(h2.enhanceYourCalm, 'http2.premature_reset_flood');
    }
  }

  private takeSettings(bytes: Buffer, start: number, size: number, flags: number, id: number): void {
    const ack = (flags & h2.ackFlag) !== 0;
    if (id !== 0) this.fail(h2.protocolError, 'http2.stream_id');
    else if (size % 6 !== 0 || (ack && size > 0)) this.fail(h2.frameSizeError, 'http2.frame_size_error');
    else if (!ack) {
      for (let i = start; i < start + size && !this.over; i += 6)
        this.takeSetting((bytes[i] << 8) | bytes[i + 1], h2.read32(bytes, i + 2));
      if (this.over) return;
      this.settled = true;
      this.noteControl();
      h2.putSettingsAck(this.transport);
      this.user.onSettings();
    }
  }

  private takeSetting(setting: number, value: number): void {
    if (setting === h2.headerTableSize) this.encoder.limit(value);
    else if (setting === h2.enablePush) {
      if (value > 1 || (!this.isServer && value === 1)) this.fail(h2.protocolError, 'http2.settings');
    } else if (setting === h2.maxConcurrentStreams) this.peerMaxStreams = value;
    else if (setting === h2.initialWindowSize) {
      if (value > h2.largestWindowBytes) {
        this.fail(h2.flowControlError, 'http2.settings');
        return;
      }
      const change = value - this.peerWindowBytes;
      this.peerWindowBytes = value;
      for (const stream of this.streams.values()) {
        stream.sendWindow += change;
        if (stream.sendWindow > h2.largestWindowBytes) {
          this.fail(h2.flowControlError, 'http2.flow_control');
          return;
        }
      }
    } else if (setting === h2.maxFrameSize) {
      if (value < h2.defaultFrameBytes || value > 16_777_215) this.fail(h2.protocolError, 'http2.settings');
      else this.peerFrameBytes = value;
    } else if (setting === h2.enableConnectProtocol) {
      if (value > 1) this.fail(h2.protocolError, 'http2.settings');
    }
  }

  private takePing(bytes: Buffer, start: number, size: number, flags: number, id: number): void {
    if (id !== 0) this.fail(h2.protocolError, 'http2.stream_id');
    else if (size !== 8) this.fail(h2.frameSizeError, 'http2.frame_size_error');
    else if ((flags & h2.ackFlag) === 0) {
      this.noteControl();
      if (!this.over) h2.putPing(this.transport, true, bytes, start);
    } else this.pings?.answered();
  }

  private takeGoaway(lastStreamId: number, code: number): void {
    this.peerMaxStreams = 0;
    this.user.onGoaway(lastStreamId, code);
  }

  private takeWindowUpdate(bytes: Buffer, start: number, size: number, id: number): void {
    if (size !== 4) {
      this.fail(h2.frameSizeError, 'http2.frame_size_error');
      return;
    }
    if (id !== 0 && this.isIdle(id)) {
      this.fail(h2.protocolError, 'http2.stream_id');
      return;
    }
    if (!this.frames.windowUpdate()) {
      this.fail(h2.enhanceYourCalm, 'http2.inbound_window_update_frames_flood');
      return;
    }
    const more = h2.read32(bytes, start) & 0x7fffffff;
    if (id === 0) {
      this.sendWindow += more;
      if (more === 0) this.fail(h2.protocolError, 'http2.window_update');
      else if (this.sendWindow > h2.largestWindowBytes) this.fail(h2.flowControlError, 'http2.flow_control');
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    stream.sendWindow += more;
    if (more === 0) this.resetStream(stream, h2.protocolError, 'http2.window_update');
    else if (stream.sendWindow > h2.largestWindowBytes)
      this.resetStream(stream, h2.flowControlError, 'http2.flow_control');
  }

  onEnd(): void {
    this.user.onEnd();
  }

  onDrain(): void {
    if (this.over) return;
    this.pump();
    for (const stream of [...this.streams.values()])
      if (stream.queuedBytes === 0 && !stream.localClosed) stream.user.onWritable();
    this.user.onDrain();
  }

  onClose(error: Error | null): void {
    this.over = true;
    this.pings?.stop();
    this.resetAll(h2.cancelled, 'http2.connection_closed');
    this.user.onClose(error);
  }
}
