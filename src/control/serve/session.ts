/** What a server says on one ADS stream. The two dialects are `delta-session.ts` and `sotw-session.ts`. */
import type { Node } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { XdsType } from '../../xds/type-urls.ts';
import type { Resource, ResourceSet } from './resources.ts';
import type { Unconfirmed } from './unconfirmed.ts';

export interface SessionOptions {
  /** Shown to the proxy as `control_plane.identifier`. */
  identifier: string;
  send(message: Uint8Array, type: XdsType): void;
  /** A proxy refused a response. */
  onNack(nack: Nack): void;
  /** A proxy took a response; `elapsedMs` since it was sent. */
  onAck?(type: XdsType, elapsedMs: number): void;
  nowMs?(): number;
}

export interface Nack {
  type: XdsType;
  version: string;
  /** In the proxy's words. */
  message: string;
  /** What the refused response held. */
  names: readonly string[];
}

/** How far a proxy has followed one type. */
export interface TypeStatus {
  subscribed: readonly string[];
  sentVersion: string;
  ackedVersion: string;
  sentNonce: string;
  ackedNonce: string;
  /** Resources that it was sent and that still hold. */
  count: number;
  /** The last refusal, cleared by the next acknowledgement. */
  error: string | null;
}

/** Something that a proxy should run and does not. */
export interface Lacking extends Unconfirmed {
  readonly type: XdsType;
  /** What it should run by that name now; null when that is gone. */
  readonly resource: Resource | null;
}

export interface Session {
  /** The node that the first request named. */
  readonly node: Node | null;
  /** Takes an encoded request. Throws `GrpcError` when it is not acceptable. */
  receive(message: Buffer): void;
  /** From now on the proxy is to have `set`; sends what differs from what it has. */
  update(set: ResourceSet): void;
  /** By subscribed type. */
  status(): Partial<Record<XdsType, TypeStatus>>;
  /** What it was sent and has not taken. */
  lacking(): Lacking[];
}

/** Names that one proxy may ask for of one type. */
export const maxNames = 50_000;
