/** The proxy's side of the aggregated discovery service (Envoy documentation, "xDS REST and gRPC protocol"). */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { NodeSchema } from './gen/envoy/config/core/v3/base_pb.js';
import type { XdsMessages, XdsType } from './type-urls.ts';

/** Where a gRPC server is and how each side proves itself. The functions are asked at every new connection, so renewed files count. */
export interface GrpcTarget {
  host: string;
  port: number;
  /** `null` speaks plaintext HTTP/2 (prior knowledge). */
  tls: {
    /** Name that the server's certificate must carry; `host` unless told. */
    serverName?: string;
    /** PEM of the roots that may have signed it. */
    roots(): string | Buffer | Promise<string | Buffer>;
    /** Mesh certificate chain and key in PEM, or null to show none. */
    certificate?(): { chain: string | Buffer; key: string | Buffer } | null;
  } | null;
  /** Bearer token, or null for none. */
  token?(): string | null | Promise<string | null>;
}

/** What one response changed, decoded. `removed` names were there before. */
export type XdsUpdate = {
  [T in XdsType]: { type: T; changed: ReadonlyMap<string, XdsMessages[T]>; removed: readonly string[] };
}[XdsType];

/** A resource that is refused: it stays as it was before the update. */
export interface Rejection {
  name: string;
  reason: string;
}

export interface AdsClientOptions {
  target: GrpcTarget;
  node: MessageInitShape<typeof NodeSchema>;
  /** `delta` unless told. */
  protocol?: 'delta' | 'sotw';
  /**
   * Takes an update over, synchronously. An empty list acknowledges; otherwise the response is refused (NACK) with all the reasons,
   * and the resources named keep the state that they had. It may call `subscribe`: that is sent with the acknowledgement.
   * What it throws refuses every resource of the update.
   */
  onUpdate(update: XdsUpdate): readonly Rejection[];
  onState?(state: AdsState): void;
  /** First and longest pause between connections; 500 ms and 15 s unless told. Half of each is random. */
  firstBackoffMs?: number;
  maxBackoffMs?: number;
  /** HTTP/2 PING when nothing came for so long; no answer within 10 s ends the connection. 30 s unless told. */
  keepaliveMs?: number;
  /** A larger message ends the connection; 64 MiB unless told. */
  maxMessageBytes?: number;
}

export interface AdsState {
  connection: 'connecting' | 'connected' | 'disconnected' | 'stopped';
  /** Why the last connection ended, null when none has. */
  lastError: string | null;
  /** The control plane's name for itself (its pod), from `control_plane.identifier`. */
  controlPlane: string | null;
  types: { [T in XdsType]: AdsTypeState };
}

export interface AdsTypeState {
  /** Names asked for; `*` alone for a whole type. Empty when the type is not subscribed. */
  subscribed: readonly string[];
  /** Names asked for that the server has neither sent nor said to be missing since they were asked for. A type asked for as a whole
   * and not answered yet shows as `*`. */
  pending: readonly string[];
  /** Resources held. */
  count: number;
  /** `system_version_info` (or `version_info`) of the last response that was taken whole. */
  version: string;
  accepted: number;
  rejected: number;
  lastRejection: string | null;
}

export interface AdsClient {
  start(): void;
  /** Replaces the names asked for of a type. CDS and LDS are asked for as a whole from the start and ignore this. Names no longer asked for
   * are forgotten without an update. */
  subscribe(type: Exclude<XdsType, 'cluster' | 'listener'>, names: Iterable<string>): void;
  readonly state: AdsState;
  /** Ends the connection; nothing is reported afterwards. */
  stop(): Promise<void>;
}
