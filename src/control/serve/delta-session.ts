/**
 * The incremental dialect of the aggregated discovery service, served.
 *
 * Of each type at most one push is under way; what changes meanwhile goes out with the acknowledgement. Requests for names are
 * answered at once. Clusters that vanish are taken away only when the listeners and routes that may name them are acknowledged:
 *
 *   clusters added, changed ─► endpoints ─► listeners ─► routes ─► all acknowledged ─► clusters removed
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Node } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { GrpcError } from '../../xds/grpc/status.ts';
import { routePatchFeature } from '../../xds/route-patch.ts';
import { isWildcardType, typeOfUrl, typeUrls, type XdsType, xdsTypes } from '../../xds/type-urls.ts';
import { deltaElement, emptySet, knownDifference, patchElement, type Resource, type ResourceSet } from './resources.ts';
import { type Lacking, maxNames, type Nack, type Session, type SessionOptions, type TypeStatus } from './session.ts';
import { UnconfirmedResources } from './unconfirmed.ts';

/** A response is cut so that clients with gRPC's usual limit of 4 MiB can read it. */
const maxResponseBytes = 3 << 20;

interface Push {
  version: string;
  names: string[];
  /** Those of `names` that went out as a patch. */
  patched: readonly string[];
  sentAtMs: number;
}

interface Subscription {
  wildcard: boolean;
  names: Set<string>;
  /** By name the version that the proxy was sent; '' for "there is none". */
  sent: Map<string, string>;
  /** The table that `sent` follows in everything; null when something was asked for or must be sent again since. */
  followed: ReadonlyMap<string, Resource> | null;
  /** By nonce, what the proxy has not answered yet. */
  unanswered: Map<string, Push>;
  readonly unconfirmed: UnconfirmedResources;
  /** A push waits for an answer to the one before. */
  isBehind: boolean;
  /** What the proxy refused: it may hold another version than it was sent last, so that no patch fits. */
  readonly refused: Set<string>;
  sentNonce: string;
  sentVersion: string;
  ackedNonce: string;
  ackedVersion: string;
  error: string | null;
}

export class DeltaSession implements Session {
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
    const request = fromBinary(DeltaDiscoveryRequestSchema, message);
    this.node ??= request.node ?? null;
    if (!this.node) throw new GrpcError('invalidArgument', 'the first request names no node');
    const type = typeOfUrl(request.typeUrl);
    // Types that this server knows nothing of have no resources; silence is what tells so.
    if (!type) return;
    const known = this.#subscriptions.get(type);
    const subscription = known ?? newSubscription();
    this.#subscriptions.set(type, subscription);
    if (request.responseNonce) this.#takeAnswer(type, subscription, request);
    const isAsking = takeNames(type, subscription, request, known === undefined);
    if (!this.#isReady) return;
    // Asking is answered even with nothing: without an answer a client waits for its first fetch to time out.
    if (isAsking) this.#push(type, subscription, known === undefined, type !== 'cluster');
    else if (subscription.isBehind) this.#pushUnlessBusy(type, subscription);
    this.#releaseRemovals();
  }

  update(set: ResourceSet): void {
    const isFirst = !this.#isReady;
    this.#set = set;
    this.#isReady = true;
    for (const type of xdsTypes) {
      const subscription = this.#subscriptions.get(type);
      if (!subscription) continue;
      if (isFirst) this.#push(type, subscription, true, type !== 'cluster');
      else this.#pushUnlessBusy(type, subscription);
    }
    this.#releaseRemovals();
  }

  status(): Partial<Record<XdsType, TypeStatus>> {
    const entries = Array.from(this.#subscriptions, ([type, each]): [XdsType, TypeStatus] => {
      const { sentNonce, sentVersion, ackedNonce, ackedVersion, error } = each;
      const subscribed = each.wildcard ? ['*', ...each.names] : [...each.names];
      const count = [...each.sent.values()].filter((version) => version !== '').length;
      return [type, { subscribed, sentNonce, sentVersion, ackedNonce, ackedVersion, count, error }];
    });
    return Object.fromEntries(entries);
  }

  lacking(): Lacking[] {
    return [...this.#subscriptions].flatMap(([type, subscription]) => {
      const { unconfirmed, sent, isBehind, unanswered } = subscription;
      const current = this.#set.types[type];
      const all = [...unconfirmed.all];
      if (isBehind) {
        const sinceMs = Math.min(this.#nowMs(), ...Array.from(unanswered.values(), ({ sentAtMs }) => sentAtMs));
        for (const { name } of missing(subscription, current, false).changed)
          all.push(unconfirmed.unsent(name, !!sent.get(name), this.#set.version, sinceMs));
      }
      return all.map((each) => ({ ...each, type, resource: current.get(each.name) ?? null }));
    });
  }

  #takeAnswer(type: XdsType, subscription: Subscription, request: DeltaDiscoveryRequest): void {
    const push = subscription.unanswered.get(request.responseNonce);
    if (!push) return;
    subscription.unanswered.delete(request.responseNonce);
    if (request.errorDetail) {
      const { message } = request.errorDetail;
      for (const name of push.names) subscription.refused.add(name);
      // Whatever was wrong with it, the whole may be right.
      for (const name of push.patched) subscription.sent.delete(name);
      if (push.patched.length > 0) {
        subscription.followed = null;
        subscription.isBehind = true;
      }
      subscription.error = message;
      subscription.unconfirmed.refused(request.responseNonce, { message });
      const nack: Nack = { type, version: push.version, message, names: push.names };
      this.#options.onNack(nack);
      return;
    }
    subscription.error = null;
    for (const name of push.names) subscription.refused.delete(name);
    subscription.unconfirmed.taken(request.responseNonce);
    subscription.ackedNonce = request.responseNonce;
    subscription.ackedVersion = push.version;
    this.#options.onAck?.(type, this.#nowMs() - push.sentAtMs);
  }

  #pushUnlessBusy(type: XdsType, subscription: Subscription): void {
    subscription.isBehind = subscription.unanswered.size > 0;
    if (!subscription.isBehind) this.#push(type, subscription, false, type !== 'cluster');
  }

  #releaseRemovals(): void {
    const clusters = this.#subscriptions.get('cluster');
    if (!clusters || !this.#isReady) return;
    const isBusy = (['cluster', 'listener', 'route'] as const).some((type) => {
      const each = this.#subscriptions.get(type);
      return each !== undefined && (each.isBehind || each.unanswered.size > 0);
    });
    if (!isBusy) this.#push('cluster', clusters, false, true);
  }

  #push(type: XdsType, subscription: Subscription, mustAnswer: boolean, withRemovals: boolean): void {
    const current = this.#set.types[type];
    const { names, sent, unconfirmed } = subscription;
    if (subscription.followed === current && !mustAnswer) {
      unconfirmed.followed(this.#set.version);
      return;
    }
    const { changed, removed } = missing(subscription, current, withRemovals);
    if (changed.length === 0 && removed.length === 0 && !mustAnswer) {
      if (withRemovals) subscription.followed = current;
      unconfirmed.followed(this.#set.version);
      return;
    }

    const patches = this.#patches(type, subscription, changed);
    if (withRemovals) subscription.followed = current;
    const hadBefore = new Set(changed.flatMap(({ name }) => (sent.get(name) ? name : [])));
    for (const { name, version } of changed) {
      // A changed cluster is warm only when its endpoints have come again (Envoy, "Cluster warming").
      if (type === 'cluster' && sent.has(name)) this.#forgetEndpoints(name);
      sent.set(name, version);
    }
    for (const name of removed) {
      unconfirmed.forget(name);
      if (names.has(name)) sent.set(name, '');
      else sent.delete(name);
    }
    for (const part of split(changed)) this.#send(type, subscription, part, removed.splice(0), hadBefore, patches);
    unconfirmed.followed(this.#set.version);
    const endpoints = type === 'cluster' ? this.#subscriptions.get('endpoint') : undefined;
    if (endpoints?.isBehind) this.#pushUnlessBusy('endpoint', endpoints);
  }

  /** By name, what can be sent as a change of what the proxy has. */
  #patches(
    type: XdsType,
    { followed, sent, refused, unanswered }: Subscription,
    changed: readonly Resource[],
  ): ReadonlyMap<string, Uint8Array<ArrayBuffer>> {
    const patches = new Map<string, Uint8Array<ArrayBuffer>>();
    if (type !== 'route' || followed === null || unanswered.size > 0) return patches;
    if (!this.node?.clientFeatures.includes(routePatchFeature)) return patches;
    for (const resource of changed) {
      const { name } = resource;
      const before = followed.get(name);
      if (before === undefined || sent.get(name) !== before.version || refused.has(name)) continue;
      const patch = patchElement(before, resource);
      if (patch !== null) patches.set(name, patch);
    }
    return patches;
  }

  #forgetEndpoints(cluster: string): void {
    const endpoints = this.#subscriptions.get('endpoint');
    if (!endpoints?.sent.delete(cluster)) return;
    endpoints.followed = null;
    endpoints.isBehind = true;
  }

  #send(
    type: XdsType,
    subscription: Subscription,
    resources: readonly Resource[],
    removed: string[],
    hadBefore: ReadonlySet<string>,
    patches: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  ): void {
    const nonce = `${++this.#nonce}`;
    const { version } = this.#set;
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl: typeUrls[type],
      nonce,
      systemVersionInfo: version,
      removedResources: removed,
      controlPlane: { identifier: this.#options.identifier },
    });
    const names = [...resources.map(({ name }) => name), ...removed];
    const patched = resources.flatMap(({ name }) => (patches.has(name) ? name : []));
    subscription.unanswered.set(nonce, { version, names, patched, sentAtMs: this.#nowMs() });
    const sent = removed.length === 0 ? names : names.slice(0, resources.length);
    subscription.unconfirmed.sentAll(sent, hadBefore, version, nonce, this.#nowMs());
    subscription.sentNonce = nonce;
    subscription.sentVersion = version;
    subscription.isBehind = false;
    const head = toBinary(DeltaDiscoveryResponseSchema, response);
    // The elements of a repeated field may come after every other field.
    const elements = resources.map((resource) => patches.get(resource.name) ?? deltaElement(resource));
    this.#options.send(Buffer.concat([head, ...elements]), type);
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? performance.now();
  }
}

/** What a proxy lacks of `current`, and what it has beyond it. Without `withRemovals` only names that it asked for are removed. */
function missing(
  { wildcard, names, sent, followed }: Subscription,
  current: ReadonlyMap<string, Resource>,
  withRemovals: boolean,
): { changed: Resource[]; removed: string[] } {
  const lacks = ({ name, version }: Resource) => sent.get(name) !== version;
  const difference = followed && knownDifference(followed, current);
  if (difference)
    return {
      changed: difference.changed.filter((resource) => (wildcard || names.has(resource.name)) && lacks(resource)),
      removed: difference.removed.filter((name) =>
        names.has(name) ? sent.get(name) !== '' : wildcard && withRemovals && sent.has(name),
      ),
    };
  const changed: Resource[] = [];
  const removed: string[] = [];
  if (wildcard) for (const resource of current.values()) if (lacks(resource)) changed.push(resource);
  for (const name of names) {
    const resource = current.get(name);
    if (resource && !wildcard && lacks(resource)) changed.push(resource);
    else if (!resource && sent.get(name) !== '') removed.push(name);
  }
  if (wildcard && withRemovals)
    for (const [name, version] of sent)
      if (version !== '' && !current.has(name) && !names.has(name)) removed.push(name);
  return { changed, removed };
}

function newSubscription(): Subscription {
  return {
    wildcard: false,
    names: new Set(),
    sent: new Map(),
    followed: null,
    unanswered: new Map(),
    unconfirmed: new UnconfirmedResources(),
    isBehind: false,
    refused: new Set(),
    sentNonce: '',
    sentVersion: '',
    ackedNonce: '',
    ackedVersion: '',
    error: null,
  };
}

/** Takes over what the request adds and drops; true when it asks for anything. */
function takeNames(type: XdsType, to: Subscription, request: DeltaDiscoveryRequest, isFirst: boolean): boolean {
  if (isFirst || request.resourceNamesSubscribe.length > 0 || request.resourceNamesUnsubscribe.length > 0)
    to.followed = null;
  for (const name of request.resourceNamesUnsubscribe) {
    if (name === '*') to.wildcard = false;
    to.names.delete(name);
    to.unconfirmed.forget(name);
    if (!to.wildcard) to.sent.delete(name);
  }
  if (isFirst)
    for (const [name, version] of Object.entries(request.initialResourceVersions)) to.sent.set(name, version);
  for (const name of request.resourceNamesSubscribe) {
    if (name === '*') to.wildcard = true;
    else {
      to.names.add(name);
      // Asked for again: the client wants it even if it had it (unless it has just said which version it holds).
      if (!isFirst) to.sent.delete(name);
    }
  }
  if (to.names.size > maxNames)
    throw new GrpcError('resourceExhausted', `more than ${maxNames} names of ${typeUrls[type]}`);
  // A first request without names asks for everything (Envoy, "How the client specifies what resources to return").
  if (isFirst && request.resourceNamesSubscribe.length === 0 && isWildcardType(type)) to.wildcard = true;
  return isFirst || request.resourceNamesSubscribe.length > 0;
}

function* split(resources: readonly Resource[]): Generator<readonly Resource[]> {
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < resources.length; at++) {
    const size = resources[at].bytes;
    if (at > from && bytes + size > maxResponseBytes) {
      yield resources.slice(from, at);
      from = at;
      bytes = 0;
    }
    bytes += size;
  }
  yield resources.slice(from);
}
