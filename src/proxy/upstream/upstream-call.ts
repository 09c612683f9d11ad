import type { HeaderBlock } from '../codec/header-block.ts';
import type { HeaderEdit } from '../codec/header-edit.ts';
import type { UpstreamFacts } from '../http/exchange.ts';
import type { Address } from '../net/connection.ts';
import type { Breaker } from './breaker.ts';
import type { Host } from './host.ts';
import type { Caller } from './proxy-header.ts';

/** Why an upstream stream ended badly; the words are Envoy's, as they appear in bodies and details. */
export type ResetReason =
  | 'remote connection failure'
  | 'connection timeout'
  | 'connection termination'
  | 'remote reset'
  | 'remote refused stream reset'
  | 'protocol error'
  | 'overflow';

/** A request's head as an upstream gets it; each protocol frames it in its own way. */
export interface RequestHead {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly path: string;
  readonly block: HeaderBlock;
  /** What is different from `block`; used up by the call. */
  readonly edit: HeaderEdit;
  readonly framing: 'none' | 'length' | 'unknown';
  /** Protocol that the connection or stream is to change to; ''. */
  readonly upgrade: string;
}

/** One request's hold on a connection to a host, whichever protocol it speaks. */
export interface UpstreamCall {
  readonly facts: UpstreamFacts;
  readonly host: Host;
  /** Head and body may be sent; else `UpstreamStream.onReady` tells when. */
  readonly ready: boolean;
  /** This side's address, once connected. */
  readonly local: Address;
  /** More was sent than the upstream takes; `onUpstreamDrain` follows. */
  readonly congested: boolean;
  /** Whether the peer's kernel has answered nothing yet. */
  readonly silent: boolean;
  /** The asker; null when it has lost interest. */
  stream: UpstreamStream | null;
  /** Asked when the connection stands and has no stream: the request that dialled several hosts may take it. */
  claim: ((call: UpstreamCall) => boolean) | null;
  /** Whether a call that was begun and left to itself may still come to stand. */
  readonly pending: boolean;
  /** Returns the bytes of the head on the wire. */
  sendHead(head: RequestHead): number;
  sendBody(bytes: Buffer, start: number, end: number): void;
  sendEnd(trailers: HeaderBlock | null): void;
  /** Bytes of an upgraded connection or stream. */
  sendRaw(bytes: Buffer, start: number, end: number): void;
  /** Nothing more of the response is read until `release`. */
  hold(): void;
  release(): void;
  /** Gives the request up. */
  abandon(): void;
}

/** The side that makes a request. Each method is for the call that is current. */
export interface UpstreamStream {
  /** Whether the request asked for another protocol or a tunnel, so that 101 is an answer, and 2xx to a CONNECT opens one. */
  readonly upgrading: boolean;
  /** Whose request it is, for a host that wants to be told; null when it is this proxy's own. */
  readonly caller: Caller | null;
  /** The call that was waited for; it is ready, or `onReady` follows. */
  onGiven(call: UpstreamCall): void;
  onReady(): void;
  onInterim(block: HeaderBlock): void;
  /** The block is the stream's own from here on. With status 101 everything that follows is raw. */
  onHead(block: HeaderBlock, endStream: boolean): void;
  onBody(bytes: Buffer, start: number, end: number): void;
  /** After this the connection is the pool's again. `trailers` are lent for the call. */
  onComplete(trailers: HeaderBlock | null): void;
  /** `answered` tells whether any byte of the response had come. */
  onFailure(reason: ResetReason, detail: string, answered: boolean): void;
  onUpstreamDrain(): void;
}

/** One connection of a pool, as the pool keeps it. */
export interface PooledConnection {
  readonly host: Host;
  /** Where it counts. */
  readonly breaker: Breaker;
  readonly ready: boolean;
  /** It has come to stand at some time. */
  readonly stood: boolean;
  /** A request was under way when it ended. */
  readonly busy: boolean;
  readonly dialTick: number;
  /** The peer ended it. */
  readonly endedByPeer: boolean;
  countBytes(): void;
  /** Probes a peer that may have vanished. */
  probe(afterMs: number): void;
  destroy(): void;
}
