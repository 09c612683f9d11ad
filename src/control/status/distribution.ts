/**
 * How many proxies run a resource as it is now, and which have refused it: what Istio's pilot/pkg/status/distribution counts, from what the
 * sessions of this replica know.
 *
 * A proxy does not run an object when it has not taken an Envoy resource that the object stands behind, and that became what it is in a
 * change of the mesh's in which the object changed as well. It stands behind a resource that bears its name (routes and clusters bear API
 * paths, rules of RBAC the names of policies, all of them the hosts of ServiceEntries). What leaves no name (Gateway, PeerAuthentication,
 * Sidecar, VirtualServices for TCP and TLS) stands behind every resource of its kinds of which the proxy lacks an update.
 */
import type { MeshObjects } from '../model/objects.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Laggard } from '../serve/discovery.ts';
import type { ProxyNode } from '../serve/proxy-node.ts';
import type { Resource } from '../serve/resources.ts';
import type { Lacking } from '../serve/session.ts';
import { apiPath } from '../translate/names.ts';

const tables = {
  VirtualService: 'virtualServices',
  DestinationRule: 'destinationRules',
  Gateway: 'gateways',
  ServiceEntry: 'serviceEntries',
  AuthorizationPolicy: 'authorizationPolicies',
  PeerAuthentication: 'peerAuthentications',
  Sidecar: 'sidecars',
} as const;

type Kind = keyof typeof tables;
type Tracked = MeshObjects[(typeof tables)[Kind]] extends ReadonlyMap<string, infer T> ? T : never;

interface Change {
  readonly kind: Kind;
  readonly object: Tracked;
  /** Of the snapshot that had it first as it is; 1 for what was there when this replica began to look. */
  readonly version: number;
}

/** Since which snapshot each object is as it is. Told of every snapshot, on every replica: who leads tomorrow must know of today's changes. */
export class ObjectChanges {
  readonly #known = new Map<string, Change>();
  #last: MeshObjects | null = null;

  follow({ objects, version }: Snapshot): void {
    const before = this.#last;
    this.#last = objects;
    for (const [kind, table] of Object.entries(tables) as Array<[Kind, (typeof tables)[Kind]]>) {
      const now = objects[table] as ReadonlyMap<string, Tracked>;
      const old = before?.[table] as ReadonlyMap<string, Tracked> | undefined;
      if (now === old) continue;
      for (const [key, object] of now)
        if (old?.get(key) !== object)
          this.#known.set(`${kind} ${key}`, { kind, object, version: before ? version : 1 });
      for (const key of old?.keys() ?? []) if (!now.has(key)) this.#known.delete(`${kind} ${key}`);
    }
  }

  get all(): Iterable<Change> {
    return this.#known.values();
  }
}

/** Of one object: how far it has come. */
export interface Progress {
  /** Proxies connected to this replica. */
  readonly total: number;
  readonly behind: number;
  readonly refused: ReadonlyArray<{ readonly proxy: string; readonly reason: string }>;
  /** That others are behind is no news yet: they have been asked a moment ago. */
  readonly isFresh: boolean;
}

export interface DistributionFacts {
  readonly changes: Iterable<Change>;
  readonly laggards: readonly Laggard[];
  readonly total: number;
  readonly rootNamespace: string;
  readonly nowMs: number;
  /** How long a proxy may take to answer before that is said. */
  readonly patienceMs: number;
}

/** By `Kind namespace name`, for objects that some proxy does not run. Pure. */
export function progressOf(facts: DistributionFacts): Map<string, Progress> {
  const found = new Map<string, Progress>();
  if (facts.laggards.length === 0) return found;
  const { nowMs, patienceMs, total } = facts;
  // One that is starting is not late with any resource in particular.
  const laggards = facts.laggards.map(({ proxy, lacking, unsent }) => ({
    proxy,
    lacking: lacking.filter(({ refusal, isUpdate }) => refusal !== null || isUpdate),
    unsent: unsent && unsent.version > 0 ? unsent : null,
  }));
  // In a mesh of thousands of objects a push is about those few that have just changed.
  let oldest = Number.POSITIVE_INFINITY;
  for (const { lacking, unsent } of laggards) {
    for (const { spans } of lacking) for (const { after } of spans) oldest = Math.min(oldest, after);
    if (unsent) oldest = Math.min(oldest, unsent.version);
  }
  for (const change of facts.changes) {
    if (change.version <= oldest) continue;
    const refused: Array<Progress['refused'][number]> = [];
    let behind = 0;
    let slow = 0;
    for (const { proxy, lacking, unsent } of laggards) {
      const own = lacking.filter((each) => isLacked(change, each, proxy, facts.rootNamespace));
      const refusal = own.find((each) => each.refusal !== null);
      const wasSkipped = unsent !== null && change.version > unsent.version;
      if (own.length === 0 && !wasSkipped) continue;
      behind++;
      if (refusal) refused.push({ proxy: `${proxy.pod}.${proxy.namespace}`, reason: refusal.refusal ?? '' });
      const since = Math.min(...own.map(({ sinceMs }) => sinceMs), wasSkipped ? unsent.sinceMs : nowMs);
      if (!refusal && nowMs - since >= patienceMs) slow++;
    }
    if (behind === 0) continue;
    const { namespace = '', name = '' } = change.object.metadata;
    refused.sort((a, b) => (a.proxy < b.proxy ? -1 : 1));
    const isFresh = refused.length === 0 && slow === 0;
    found.set(`${change.kind} ${namespace} ${name}`, { total, behind, refused, isFresh });
  }
  return found;
}

function isLacked(change: Change, lacking: Lacking, proxy: ProxyNode, rootNamespace: string): boolean {
  const { spans, isUpdate, resource } = lacking;
  if (!spans.some(({ after, upTo }) => after < change.version && change.version <= upTo)) return false;
  if (resource && bearsName(resource, change)) return true;
  return isUpdate && mayStandBehind(change, lacking, proxy, rootNamespace);
}

/** The same resource is sent to all the proxies of a scope, and all of them may refuse it. */
const found = new WeakMap<Resource, WeakMap<Change, boolean>>();

function bearsName(resource: Resource, change: Change): boolean {
  const known = found.get(resource) ?? new WeakMap<Change, boolean>();
  found.set(resource, known);
  let bears = known.get(change);
  if (bears === undefined) {
    const { value } = resource.any;
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    bears = namesOf(change).some((name) => bytes.includes(name));
    known.set(change, bears);
  }
  return bears;
}

/** How resources that come of an object bear its name. */
function namesOf({ kind, object }: Change): Buffer[] {
  const { namespace, name } = object.metadata;
  switch (kind) {
    case 'VirtualService':
      return [inFull(apiPath(object, 'virtual-service'))];
    case 'DestinationRule':
      return [inFull(apiPath(object, 'destination-rule'))];
    case 'AuthorizationPolicy':
      return [Buffer.from(`ns[${namespace}]-policy[${name}]-`)];
    case 'ServiceEntry':
      return ((object.spec as { hosts?: string[] }).hosts ?? []).map((host) => Buffer.from(host));
    default:
      return [];
  }
}

/** A string field of at most 127 bytes with its length, so that `…/cart` is not found in `…/cart-v2`; a longer one without. */
function inFull(text: string): Buffer {
  const bytes = Buffer.from(text);
  return bytes.length > 127 ? bytes : Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function mayStandBehind({ kind, object }: Change, { type }: Lacking, proxy: ProxyNode, rootNamespace: string): boolean {
  const { namespace } = object.metadata;
  const reaches = namespace === proxy.namespace || namespace === rootNamespace;
  switch (kind) {
    case 'VirtualService': {
      const { tcp, tls } = object.spec as { tcp?: unknown[]; tls?: unknown[] };
      return type === 'listener' && !!(tcp?.length || tls?.length);
    }
    case 'Gateway':
      return proxy.kind === 'router' && (type === 'listener' || type === 'route');
    case 'PeerAuthentication':
      return reaches && type === 'listener';
    case 'Sidecar':
      return reaches && proxy.kind === 'sidecar';
    default:
      return false;
  }
}

const maxNamed = 3;
const maxReasonLength = 200;

/** `118/120 proxies up to date; refused by cart-1.shop: …`, in Istio's words. */
export function progressMessage({ total, behind, refused }: Progress, replica: string | null): string {
  const count = `${total - behind}/${total} proxies up to date`;
  const parts = [replica === null ? count : `${count}, of those connected to ${replica}`];
  for (const { proxy, reason } of refused.slice(0, maxNamed))
    parts.push(`refused by ${proxy}: ${reason.slice(0, maxReasonLength)}`);
  if (refused.length > maxNamed) parts.push(`refused by ${refused.length - maxNamed} more`);
  return parts.join('; ');
}

/** Whether a condition's message speaks of proxies. */
export const tellsProgress = (message: string): boolean => /\d+\/\d+ proxies up to date/.test(message);
