/** The proxy's side of the aggregated discovery service (Envoy documentation, "xDS REST and gRPC protocol"). */

import { setTimeout } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type AdsStream, adsMethods, DeltaStream, SotwStream } from './ads-stream.ts';
import { NodeSchema } from './gen/envoy/config/core/v3/base_pb.js';
import type { GrpcTarget } from './grpc/client.ts';
import { openChannel } from './grpc/client.ts';
import { routePatchFeature } from './route-patch.ts';
import { TypeStore } from './type-store.ts';
import { isWildcardType, type XdsArrivals, type XdsType, xdsTypes } from './type-urls.ts';

export type { GrpcTarget } from './grpc/client.ts';

/** What one response changed, decoded but for routes. `removed` names were there before. */
export type XdsUpdate = {
  [T in XdsType]: { type: T; changed: ReadonlyMap<string, XdsArrivals[T]>; removed: readonly string[] };
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
  /** The RouteConfiguration that was taken over last under a name: who has it may be sent patches of it (by delta). */
  routesOf?(name: string): Uint8Array | null;
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
  /** Replaces the names asked for of a type. NDS is asked for as a whole from the first call on, whatever the names. CDS and LDS are asked for as a whole from the start and ignore this. Names no longer asked for
   * are forgotten without an update. */
  subscribe(type: Exclude<XdsType, 'cluster' | 'listener'>, names: Iterable<string>): void;
  readonly state: AdsState;
  /** Ends the connection; nothing is reported afterwards. */
  stop(): Promise<void>;
}

/** Nothing is sent before `start`. */
export function createAdsClient(options: AdsClientOptions): AdsClient {
  return new Client(options);
}

class Client implements AdsClient {
  readonly #options: AdsClientOptions;
  readonly #stores = Object.fromEntries(xdsTypes.map((type) => [type, new TypeStore(type)])) as {
    [T in XdsType]: TypeStore;
  };
  readonly #stopping = new AbortController();
  #stream: AdsStream | null = null;
  #connection: AdsState['connection'] = 'disconnected';
  #lastError: string | null = null;
  #controlPlane: string | null = null;
  #run: Promise<void> = Promise.resolve();

  constructor(options: AdsClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#run = this.#follow();
  }

  subscribe(type: XdsType, names: Iterable<string>): void {
    if (type === 'nameTable' && !this.#stores[type].isWhole) {
      this.#stores[type].isWhole = true;
      this.#stream?.changeNames(type, [], []);
    }
    if (isWildcardType(type)) return;
    const { added, dropped } = this.#stores[type].want(names);
    this.#stream?.changeNames(type, added, dropped);
  }

  get state(): AdsState {
    const types = Object.fromEntries(xdsTypes.map((type) => [type, stateOf(this.#stores[type])]));
    return {
      connection: this.#connection,
      lastError: this.#lastError,
      controlPlane: this.#controlPlane,
      types: types as AdsState['types'],
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#run;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    const { firstBackoffMs = 500, maxBackoffMs = 15_000 } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      this.#become('connecting');
      const wasHeard = await this.#connectOnce().catch((error: Error) => {
        this.#lastError = error.message;
        return false;
      });
      if (signal.aborted) break;
      this.#become('disconnected');
      // A server that spoke and went away is being replaced: the next one is asked soon, though not by everyone at once.
      failures = wasHeard ? 0 : failures + 1;
      const pauseMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(failures, 20)) * (0.5 + Math.random() / 2);
      await setTimeout(pauseMs, undefined, { signal }).catch(() => {});
    }
    this.#become('stopped');
  }

  /** Follows one stream to its end; true when the server said anything. */
  async #connectOnce(): Promise<boolean> {
    const { target, protocol = 'delta', keepaliveMs, maxMessageBytes } = this.#options;
    const { signal } = this.#stopping;
    const channel = await openChannel(target, { keepaliveMs, maxMessageBytes, signal });
    let wasHeard = false;
    try {
      const error = await new Promise<Error | null>((resolve) => {
        const call = channel.call(adsMethods[protocol], {
          onMessage: (message) => {
            if (signal.aborted) return;
            wasHeard = true;
            try {
              stream.receive(message);
            } catch (error) {
              call.cancel();
              resolve(new Error(`an unreadable response: ${(error as Error).message}`));
            }
            this.#options.onState?.(this.state);
          },
          onEnd: resolve,
        });
        const stream = this.#openStream(protocol, (message) => call.send(message));
        const onAbort = () => call.cancel();
        signal.addEventListener('abort', onAbort, { once: true });
        if (signal.aborted) onAbort();
      });
      this.#lastError = error ? error.message : 'the control plane ended the stream';
      return wasHeard;
    } finally {
      this.#stream = null;
      channel.close();
    }
  }

  #openStream(protocol: 'delta' | 'sotw', send: (message: Uint8Array) => void): AdsStream {
    const { node, onUpdate, routesOf } = this.#options;
    const Dialect = protocol === 'delta' ? DeltaStream : SotwStream;
    const stream = new Dialect({
      node: create(NodeSchema, {
        ...node,
        clientFeatures: [...(node.clientFeatures ?? []), ...(routesOf ? [routePatchFeature] : [])],
      }),
      routesOf,
      stores: this.#stores,
      send,
      onUpdate,
      onControlPlane: (identifier) => {
        this.#controlPlane = identifier;
      },
    });
    this.#stream = stream;
    this.#become('connected');
    stream.open();
    return stream;
  }

  #become(connection: AdsState['connection']): void {
    if (this.#connection === connection) return;
    this.#connection = connection;
    if (!this.#stopping.signal.aborted) this.#options.onState?.(this.state);
  }
}

function stateOf(store: TypeStore): AdsTypeState {
  const { version, accepted, rejected, lastRejection, pending } = store;
  const subscribed = store.isWhole ? ['*'] : [...store.wanted];
  return { subscribed, pending, count: store.held.size, version, accepted, rejected, lastRejection };
}
