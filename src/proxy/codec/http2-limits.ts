import type { Http2Keepalive } from './http2-keepalive.ts';

/** What one HTTP/2 connection may ask of this side; defaults are Envoy's (config.core.v3.Http2ProtocolOptions) unless told. */
export interface Http2Limits {
  /** Streams of the peer at a time. */
  readonly maxStreams: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Extended CONNECT (RFC 8441). */
  readonly allowConnect: boolean;
  /** Decoded bytes of a field section, and its fields. */
  readonly maxFieldBytes: number;
  readonly maxFields: number;
  /** CONTINUATION frames of one field section. */
  readonly maxContinuations: number;
  /** Answers to PING and SETTINGS, and resets, that wait for a peer which does not read. */
  readonly maxOutboundControlFrames: number;
  readonly maxEmptyFrames: number;
  readonly maxPriorityFrames: number;
  readonly maxWindowUpdatesPerData: number;
  /** Null asks no peer whether it is there. */
  readonly keepalive: Http2Keepalive | null;
}

/** A connection on which more streams than this were reset, half of them within a second, is ended (Envoy: premature resets). */
const maxResets = 500;
const maxUnknownFrames = 10_000;

/** Counts frames that cost this side more than the peer. Each method answers whether the connection may go on. */
export class FrameLimits {
  private readonly limits: Http2Limits;
  private emptyInARow = 0;
  private priorities = 0;
  private windowUpdates = 0;
  private streamsOpened = 0;
  private dataFramesSent = 0;
  private resets = 0;
  private prematureResets = 0;
  private unknownFrames = 0;

  constructor(limits: Http2Limits) {
    this.limits = limits;
  }

  opened(): void {
    this.streamsOpened++;
  }

  sentData(): void {
    this.dataFramesSent++;
  }

  payload(empty: boolean): boolean {
    this.emptyInARow = empty ? this.emptyInARow + 1 : 0;
    return this.emptyInARow <= this.limits.maxEmptyFrames;
  }

  priority(): boolean {
    return ++this.priorities <= this.limits.maxPriorityFrames * (1 + this.streamsOpened);
  }

  windowUpdate(): boolean {
    const { maxWindowUpdatesPerData } = this.limits;
    return ++this.windowUpdates <= 5 + 2 * (this.streamsOpened + maxWindowUpdatesPerData * this.dataFramesSent);
  }

  unknown(): boolean {
    return ++this.unknownFrames <= maxUnknownFrames;
  }

  reset(premature: boolean): boolean {
    this.resets++;
    if (premature) this.prematureResets++;
    return this.resets <= maxResets || this.prematureResets * 2 < this.resets;
  }
}
