/** What a client says on one ADS stream, in either of the protocol's two dialects. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Rejection, XdsUpdate } from './ads-client.ts';
import type { Node } from './gen/envoy/config/core/v3/base_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from './gen/envoy/service/discovery/v3/discovery_pb.js';
import { grpcCodes } from './grpc/status.ts';
import { applyPatch, routePatchUrl } from './route-patch.ts';
import type { TypeStore } from './type-store.ts';
import {
  isWildcardType,
  nameOf,
  schemas,
  typeOfUrl,
  typeUrls,
  type XdsArrivals,
  type XdsMessages,
  type XdsType,
} from './type-urls.ts';

export interface AdsStreamOptions {
  node: Node;
  stores: { readonly [T in XdsType]: TypeStore };
  send(message: Uint8Array): void;
  routesOf?(name: string): Uint8Array | null;
  onUpdate(update: XdsUpdate): readonly Rejection[];
  onControlPlane(identifier: string): void;
}

export interface AdsStream {
  /** Asks for every type that is subscribed. */
  open(): void;
  /** Tells the server of names that came and went. Within `receive` it waits for the acknowledgement. */
  changeNames(type: XdsType, added: readonly string[], dropped: readonly string[]): void;
  /** Takes a response and answers it. Throws when the bytes are no response at all. */
  receive(message: Buffer): void;
}

export const adsMethods = {
  delta: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
  sotw: '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
} as const;

type Decoded = Map<string, { version: string; message: XdsArrivals[XdsType] }>;

function decode(
  type: XdsType,
  store: TypeStore,
  resources: Iterable<{ name: string; version: string; any: Any | undefined }>,
  routesOf: AdsStreamOptions['routesOf'],
): { changed: Decoded; unreadable: Rejection[] } {
  const changed: Decoded = new Map();
  const unreadable: Rejection[] = [];
  for (const { name: announced, version, any } of resources) {
    try {
      if (!any) throw new Error('the resource is empty');
      const isPatch = type === 'route' && any.typeUrl === routePatchUrl;
      if (any.typeUrl !== typeUrls[type] && !isPatch) throw new Error(`its type is ${any.typeUrl}`);
      const arrived =
        type === 'route' && announced !== '' ? null : fromBinary(schemas[type] as typeof schemas.cluster, any.value);
      const name = announced || nameOf(type, arrived as XdsMessages[XdsType]);
      // Crossed with its unsubscription on the way.
      if (!isWildcardType(type) && !store.wanted.has(name)) continue;
      const routes = () =>
        isPatch ? applyPatch(routesOf?.(name) ?? null, store.held.get(name), any.value) : any.value;
      const message = type === 'route' ? routes() : (arrived as XdsArrivals[XdsType]);
      changed.set(name, { version, message });
    } catch (error) {
      unreadable.push({ name: announced, reason: `cannot be read: ${(error as Error).message}` });
    }
  }
  return { changed, unreadable };
}

const errorDetail = (message: string | null) =>
  message === null ? undefined : { code: grpcCodes.invalidArgument, message };

/** The incremental dialect. Refused resources stay out of `initial_resource_versions`, so a new server sends them again. */
export class DeltaStream implements AdsStream {
  readonly #options: AdsStreamOptions;
  readonly #opened = new Set<XdsType>();
  #isFirst = true;
  /** Changes made while a response is being taken. */
  #held: Map<XdsType, { added: Set<string>; dropped: Set<string> }> | null = null;

  constructor(options: AdsStreamOptions) {
    this.#options = options;
  }

  open(): void {
    for (const store of Object.values(this.#options.stores)) if (store.isSubscribed) this.#ask(store.type);
  }

  changeNames(type: XdsType, added: readonly string[], dropped: readonly string[]): void {
    if (this.#held) {
      const held = this.#held.get(type) ?? { added: new Set(), dropped: new Set() };
      for (const name of added) {
        held.added.add(name);
      }
      for (const name of dropped) {
        // Asked for and dropped within one response: the server never hears of it.
        if (!held.added.delete(name)) held.dropped.add(name);
      }
      this.#held.set(type, held);
    } else if (!this.#opened.has(type)) this.#ask(type);
    else this.#sendNames(type, new Set(added), new Set(dropped), null);
  }

  receive(bytes: Buffer): void {
    const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    const { stores, onUpdate, onControlPlane } = this.#options;
    if (response.controlPlane) onControlPlane(response.controlPlane.identifier);
    const type = typeOfUrl(response.typeUrl);
    if (!type || !this.#opened.has(type)) {
      const error = errorDetail(`${response.typeUrl} was not asked for`);
      this.#send(response.typeUrl, { responseNonce: response.nonce, errorDetail: error });
      return;
    }
    const store = stores[type];
    const resources = response.resources.map(({ name, version, resource }) => ({ name, version, any: resource }));
    const { changed, unreadable } = decode(type, store, resources, this.#options.routesOf);
    this.#held = new Map();
    const version = response.systemVersionInfo;
    const error = store.take(changed, response.removedResources, unreadable, version, onUpdate);
    const names = this.#held;
    this.#held = null;
    const own = names.get(type);
    names.delete(type);
    const none = new Set<string>();
    this.#sendNames(type, own?.added ?? none, own?.dropped ?? none, {
      responseNonce: response.nonce,
      errorDetail: errorDetail(error),
    });
    for (const [other, { added, dropped }] of names) this.changeNames(other, [...added], [...dropped]);
  }

  #ask(type: XdsType): void {
    const store = this.#options.stores[type];
    if (!store.isSubscribed) return;
    this.#opened.add(type);
    this.#send(type, {
      resourceNamesSubscribe: isWildcardType(type) ? ['*'] : [...store.wanted],
      initialResourceVersions: Object.fromEntries(store.held),
    });
  }

  #sendNames(
    type: XdsType,
    added: ReadonlySet<string>,
    dropped: ReadonlySet<string>,
    answer: MessageInitShape<typeof DeltaDiscoveryRequestSchema> | null,
  ): void {
    const resourceNamesUnsubscribe = [...dropped];
    const resourceNamesSubscribe = [...added];
    if (!answer && added.size + dropped.size === 0) return;
    // Dropped and asked for again: one request with both would leave their order open.
    if (resourceNamesSubscribe.some((name) => dropped.has(name))) {
      this.#send(type, { ...answer, resourceNamesUnsubscribe });
      this.#send(type, { resourceNamesSubscribe });
    } else this.#send(type, { ...answer, resourceNamesSubscribe, resourceNamesUnsubscribe });
  }

  #send(typeOrUrl: XdsType | string, request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    const typeUrl = Object.hasOwn(typeUrls, typeOrUrl) ? typeUrls[typeOrUrl as XdsType] : typeOrUrl;
    const node = this.#isFirst ? this.#options.node : undefined;
    this.#isFirst = false;
    const message = create(DeltaDiscoveryRequestSchema, { ...request, typeUrl, node });
    this.#options.send(toBinary(DeltaDiscoveryRequestSchema, message));
  }
}

/** The dialect in which each response is the state of the world. Only CDS and LDS say by absence that a resource is gone. */
export class SotwStream implements AdsStream {
  readonly #options: AdsStreamOptions;
  /** Nonce and version of the last response by type; a type is here once it was asked for. */
  readonly #answered = new Map<XdsType, { nonce: string; version: string }>();
  #isFirst = true;
  #held: Set<XdsType> | null = null;

  constructor(options: AdsStreamOptions) {
    this.#options = options;
  }

  open(): void {
    for (const store of Object.values(this.#options.stores)) if (store.isSubscribed) this.#send(store.type, null);
  }

  changeNames(type: XdsType, added: readonly string[], dropped: readonly string[]): void {
    if (this.#held) this.#held.add(type);
    else if (added.length + dropped.length > 0 || !this.#answered.has(type)) this.#send(type, null);
  }

  receive(bytes: Buffer): void {
    const response = fromBinary(DiscoveryResponseSchema, bytes);
    const { stores, onUpdate, onControlPlane } = this.#options;
    if (response.controlPlane) onControlPlane(response.controlPlane.identifier);
    const type = typeOfUrl(response.typeUrl);
    const last = type && this.#answered.get(type);
    if (!type || !last) return;
    const store = stores[type];
    const resources = response.resources.map((any) => ({ name: '', version: versionOf(any), any }));
    const { changed, unreadable } = decode(type, store, resources, undefined);
    // What could not be read cannot be told from what is gone.
    const present = (name: string) => changed.has(name) || unreadable.length > 0;
    const removed = isWildcardType(type) ? [...store.held.keys()].filter((name) => !present(name)) : [];
    this.#held = new Set();
    const error = store.take(changed, removed, unreadable, response.versionInfo, onUpdate);
    const others = this.#held;
    this.#held = null;
    others.delete(type);
    this.#answered.set(type, { nonce: response.nonce, version: error === null ? response.versionInfo : last.version });
    this.#send(type, error);
    for (const other of others) this.#send(other, null);
  }

  #send(type: XdsType, error: string | null): void {
    const store = this.#options.stores[type];
    const { nonce = '', version = '' } = this.#answered.get(type) ?? {};
    if (!this.#answered.has(type)) this.#answered.set(type, { nonce, version });
    const message = create(DiscoveryRequestSchema, {
      node: this.#isFirst ? this.#options.node : undefined,
      typeUrl: typeUrls[type],
      resourceNames: [...store.wanted],
      versionInfo: version,
      responseNonce: nonce,
      errorDetail: errorDetail(error),
    });
    this.#isFirst = false;
    this.#options.send(toBinary(DiscoveryRequestSchema, message));
  }
}

/** The state of the world has no version a resource: a digest of its bytes is one. FNV-1a, 2 × 32 bits. */
function versionOf(any: Any): string {
  let a = 0x811c9dc5;
  let b = 0x811c9dc5 ^ any.value.length;
  for (const byte of any.value) {
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x01000193) + 0x9e3779b9;
  }
  return `${(a >>> 0).toString(36)}${(b >>> 0).toString(36)}`;
}
