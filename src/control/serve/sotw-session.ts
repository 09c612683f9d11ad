/** The state-of-the-world dialect of the aggregated discovery service, served. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Node } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { GrpcError } from '../../xds/grpc/status.ts';
import { isWildcardType, typeOfUrl, typeUrls, type XdsType, xdsTypes } from '../../xds/type-urls.ts';
import { emptySet, type Resource, type ResourceSet } from './resources.ts';
import { type Lacking, maxNames, type Session, type SessionOptions, type TypeStatus } from './session.ts';
import { UnconfirmedResources } from './unconfirmed.ts';

interface Subscription {
  wildcard: boolean;
  names: Set<string>;
  /** Version by name as last sent. */
  sent: Map<string, string>;
  readonly unconfirmed: UnconfirmedResources;
  /** Set while a response is unanswered. */
  sentAtMs: number | null;
  /** Something changed, or must be sent again, since the last response. */
  isBehind: boolean;
  sentNonce: string;
  sentVersion: string;
  ackedNonce: string;
  ackedVersion: string;
  error: string | null;
}

export class SotwSession implements Session {
  node: Node | null = null;
  readonly #options: SessionOptions;
  readonly #subscriptions = new Map<XdsType, Subscription>();
  #set: ResourceSet = emptySet;
  #isReady = false;
  #nonce = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  receive(message: Buffer): void {
    const request = fromBinary(DiscoveryRequestSchema, message);
    this.node ??= request.node ?? null;
    if (!this.node) throw new GrpcError('invalidArgument', 'the first request names no node');
    const type = typeOfUrl(request.typeUrl);
    if (!type) return;
    if (request.resourceNames.length > maxNames)
      throw new GrpcError('resourceExhausted', `more than ${maxNames} names of ${request.typeUrl}`);
    const known = this.#subscriptions.get(type);
    // Crossed with a newer response; the request that answers that one will say it again.
    if (known && request.responseNonce !== known.sentNonce && request.responseNonce !== '') return;
    const subscription = known ?? newSubscription();
    this.#subscriptions.set(type, subscription);
    if (request.responseNonce !== '' && known) this.#takeAnswer(type, known, request);
    const before = subscription.names;
    subscription.names = new Set(request.resourceNames);
    subscription.wildcard = isWildcardType(type) && (subscription.names.size === 0 || subscription.names.has('*'));
    const hasNewNames = request.resourceNames.some((name) => !before.has(name));
    if (!this.#isReady) return;
    const isFirst = request.responseNonce === '';
    if (isFirst || hasNewNames || (subscription.isBehind && subscription.sentAtMs === null))
      this.#send(type, subscription);
  }

  update(set: ResourceSet): void {
    const isFirst = !this.#isReady;
    this.#set = set;
    this.#isReady = true;
    for (const type of xdsTypes) {
      const subscription = this.#subscriptions.get(type);
      if (!subscription) continue;
      if (!isFirst && !subscription.isBehind && !this.#differs(type, subscription)) {
        subscription.unconfirmed.followed(set.version);
        continue;
      }
      if (subscription.sentAtMs === null) this.#send(type, subscription);
      else subscription.isBehind = true;
    }
  }

  status(): Partial<Record<XdsType, TypeStatus>> {
    const entries = Array.from(this.#subscriptions, ([type, each]): [XdsType, TypeStatus] => {
      const { sentNonce, sentVersion, ackedNonce, ackedVersion, error, sent } = each;
      const subscribed = each.wildcard ? ['*'] : [...each.names];
      return [type, { subscribed, sentNonce, sentVersion, ackedNonce, ackedVersion, count: sent.size, error }];
    });
    return Object.fromEntries(entries);
  }

  lacking(): Lacking[] {
    return [...this.#subscriptions].flatMap(([type, subscription]) => {
      const { unconfirmed, sent, isBehind, sentAtMs } = subscription;
      const all = [...unconfirmed.all];
      if (isBehind)
        for (const { name, version } of this.#resources(type, subscription))
          if (sent.get(name) !== version)
            all.push(unconfirmed.unsent(name, sent.has(name), this.#set.version, sentAtMs ?? this.#nowMs()));
      return all.map((each) => ({ ...each, type, resource: this.#set.types[type].get(each.name) ?? null }));
    });
  }

  #takeAnswer(type: XdsType, subscription: Subscription, request: DiscoveryRequest): void {
    const { sentAtMs } = subscription;
    if (sentAtMs === null) return;
    subscription.sentAtMs = null;
    if (request.errorDetail) {
      const { message } = request.errorDetail;
      subscription.error = message;
      subscription.unconfirmed.refused(subscription.sentNonce, { message });
      this.#options.onNack({ type, version: subscription.sentVersion, message, names: [...subscription.sent.keys()] });
      return;
    }
    subscription.error = null;
    subscription.unconfirmed.taken(subscription.sentNonce);
    subscription.ackedNonce = subscription.sentNonce;
    subscription.ackedVersion = subscription.sentVersion;
    this.#options.onAck?.(type, this.#nowMs() - sentAtMs);
  }

  #resources(type: XdsType, { wildcard, names }: Subscription): Resource[] {
    const all = this.#set.types[type];
    if (wildcard) return [...all.values()];
    return [...names].map((name) => all.get(name)).filter((each) => each !== undefined);
  }

  #differs(type: XdsType, subscription: Subscription): boolean {
    const resources = this.#resources(type, subscription);
    const { sent } = subscription;
    return resources.length !== sent.size || resources.some(({ name, version }) => sent.get(name) !== version);
  }

  #send(type: XdsType, subscription: Subscription): void {
    const resources = this.#resources(type, subscription);
    const nonce = `${++this.#nonce}`;
    this.#note(subscription, resources, nonce);
    subscription.sent = new Map(resources.map(({ name, version }) => [name, version]));
    subscription.sentNonce = nonce;
    subscription.sentVersion = this.#set.version;
    subscription.sentAtMs = this.#nowMs();
    subscription.isBehind = false;
    // Changed clusters are warm only when their endpoints have come again (Envoy, "Cluster warming").
    const endpoints = type === 'cluster' ? this.#subscriptions.get('endpoint') : undefined;
    if (endpoints) endpoints.isBehind = true;
    const response = create(DiscoveryResponseSchema, {
      typeUrl: typeUrls[type],
      nonce,
      versionInfo: this.#set.version,
      resources: resources.map(({ any }) => any),
      controlPlane: { identifier: this.#options.identifier },
    });
    this.#options.send(toBinary(DiscoveryResponseSchema, response), type);
  }

  /** Each response holds everything: what differs from the one before is what the proxy may lack from now on. */
  #note({ sent, unconfirmed }: Subscription, resources: readonly Resource[], nonce: string): void {
    const { version } = this.#set;
    const present = new Set(resources.map(({ name }) => name));
    for (const { name } of unconfirmed.all) if (!present.has(name)) unconfirmed.forget(name);
    for (const resource of resources)
      if (sent.get(resource.name) === resource.version) unconfirmed.again(resource.name, nonce);
      else unconfirmed.sent(resource.name, sent.has(resource.name), version, nonce, this.#nowMs());
    unconfirmed.followed(version);
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? performance.now();
  }
}

function newSubscription(): Subscription {
  return {
    wildcard: false,
    names: new Set(),
    sent: new Map(),
    unconfirmed: new UnconfirmedResources(),
    sentAtMs: null,
    isBehind: false,
    sentNonce: '',
    sentVersion: '',
    ackedNonce: '',
    ackedVersion: '',
    error: null,
  };
}
