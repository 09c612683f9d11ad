/** What a proxy is to have: resources in wire form, each with a version that is a digest of its content. */
import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { type VirtualHost, VirtualHostSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { type RouteConfiguration, RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { ResourceSchema } from '../../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { asField2, joinRoutes, makePatch, type RouteParts, routePatchUrl } from '../../xds/route-patch.ts';
import { nameOf, schemas, typeUrls, type XdsMessages, type XdsType, xdsTypes } from '../../xds/type-urls.ts';

export interface Resource {
  readonly name: string;
  /** The same for the same content, whichever replica made it: a proxy that changes replicas is sent nothing twice. */
  readonly version: string;
  /** Of the encoded message. */
  readonly bytes: number;
  readonly any: Any;
}

/** A RouteConfiguration in its parts, of which other tables have most too; it is put together when somebody is sent the whole. */
class EncodedRoutes implements Resource {
  readonly name: string;
  readonly version: string;
  readonly parts: RouteParts;

  constructor(name: string, version: string, parts: RouteParts) {
    this.name = name;
    this.version = version;
    this.parts = parts;
  }

  get bytes(): number {
    return this.parts.hosts.reduce((sum, { length }) => sum + length, this.parts.rest.length);
  }

  get any(): Any {
    return create(AnySchema, { typeUrl: typeUrls.route, value: joinRoutes(this.parts) });
  }
}

export interface ResourceSet {
  /** Of the snapshot behind it; for people. */
  readonly version: string;
  readonly types: { readonly [T in XdsType]: ReadonlyMap<string, Resource> };
}

export type ResourceMessages = { readonly [T in XdsType]?: Iterable<XdsMessages[T]> };

type Table = ReadonlyMap<string, Resource>;

/** With `before`, what the proxy was to have until now: a type of which nothing changed is the very same table. */
export function encodeResources(version: string, messages: ResourceMessages, before?: ResourceSet): ResourceSet {
  const types = Object.fromEntries(
    xdsTypes.map((type) => {
      const table = encodeType(type, messages[type] ?? []);
      const known = before?.types[type];
      if (known === undefined) return [type, table];
      const difference = differenceOf(known, table);
      if (difference.changed.length === 0 && difference.removed.length === 0) return [type, known];
      differences.set(table, difference);
      return [type, table];
    }),
  );
  return { version, types: types as unknown as ResourceSet['types'] };
}

/** The same with other endpoints in place of those of their names, which must be there already; else null. */
export function withEndpoints(
  { types }: ResourceSet,
  version: string,
  endpoints: readonly XdsMessages['endpoint'][],
): ResourceSet | null {
  const before = types.endpoint;
  const changed: Resource[] = [];
  for (const resource of encodeType('endpoint', endpoints).values()) {
    const known = before.get(resource.name);
    if (!known) return null;
    if (known.version !== resource.version) changed.push(resource);
  }
  if (changed.length === 0) return { version, types };
  const table = new Map(before);
  for (const resource of changed) table.set(resource.name, resource);
  differences.set(table, { from: new WeakRef(before), changed, removed: [] });
  return { version, types: { ...types, endpoint: table } };
}

export interface Difference {
  readonly from: WeakRef<Table>;
  /** Added, or of another version. */
  readonly changed: readonly Resource[];
  readonly removed: readonly string[];
}

/** From the table before to this one: found once, though all the proxies of a scope need it. */
const differences = new WeakMap<Table, Difference>();

/** What leads from one table to another; null when that is not known, and all of them must be looked at. */
export function knownDifference(from: Table, to: Table): Difference | null {
  const known = differences.get(to);
  return known?.from.deref() === from ? known : null;
}

function differenceOf(from: Table, to: Table): Difference {
  const changed: Resource[] = [];
  for (const resource of to.values()) if (from.get(resource.name)?.version !== resource.version) changed.push(resource);
  // Nothing added and as many as before: none can have gone.
  const removed = changed.length === 0 && from.size === to.size ? [] : [...from.keys()].filter((name) => !to.has(name));
  return { from: new WeakRef(from), changed, removed };
}

function encodeType<T extends XdsType>(type: T, messages: Iterable<XdsMessages[T]>): Map<string, Resource> {
  const encoded = new Map<string, Resource>();
  for (const message of messages) {
    const resource = encodedBefore.get(message) ?? encode(type, message);
    encodedBefore.set(message, resource);
    encoded.set(resource.name, resource);
  }
  return encoded;
}

/** Translations share messages, and a message never changes once made. */
const encodedBefore = new WeakMap<object, Resource>();

const digestOf = (bytes: Uint8Array): string => hash('sha1', bytes, 'base64url').slice(0, 16);

function encode<T extends XdsType>(type: T, message: XdsMessages[T]): Resource {
  if (type === 'route') return encodeRoutes(message as RouteConfiguration);
  const value = toBinary(schemas[type] as typeof schemas.cluster, message as XdsMessages['cluster']);
  const any = create(AnySchema, { typeUrl: typeUrls[type], value });
  return { name: nameOf(type, message), version: digestOf(value), bytes: value.length, any };
}

/** Virtual hosts are shared between route configurations, and most of them stay when one changes: each is written once. */
const hostsEncoded = new WeakMap<VirtualHost, { readonly bytes: Uint8Array; readonly digest: string }>();

function encodeRoutes(message: RouteConfiguration): Resource {
  const rest = toBinary(RouteConfigurationSchema, { ...message, virtualHosts: [] });
  const hosts: Uint8Array[] = [];
  let digests = digestOf(rest);
  for (const host of message.virtualHosts) {
    let encoded = hostsEncoded.get(host);
    if (encoded === undefined) {
      const body = toBinary(VirtualHostSchema, host);
      encoded = { bytes: asField2(body), digest: digestOf(body) };
      hostsEncoded.set(host, encoded);
    }
    hosts.push(encoded.bytes);
    digests += encoded.digest;
  }
  return new EncodedRoutes(message.name, digestOf(Buffer.from(digests, 'latin1')), { rest, hosts });
}

/** By the later one: what led to it from the one before, the same for all proxies of a scope; null where a patch saves nothing. */
const patches = new WeakMap<Resource, { readonly from: string; readonly element: Uint8Array<ArrayBuffer> | null }>();

/** `to` as a patch of `from` and as an element of `DeltaDiscoveryResponse.resources`; null where the whole is as good. */
export function patchElement(from: Resource | undefined, to: Resource): Uint8Array<ArrayBuffer> | null {
  if (!(from instanceof EncodedRoutes && to instanceof EncodedRoutes)) return null;
  let known = patches.get(to);
  if (known?.from !== from.version) {
    const value = makePatch(from.version, from.parts, to.parts);
    const { name, version } = to;
    const element = value && encodeElement(name, version, create(AnySchema, { typeUrl: routePatchUrl, value }));
    known = { from: from.version, element };
    patches.set(to, known);
  }
  return known.element;
}

const elements = new WeakMap<Resource, Uint8Array<ArrayBuffer>>();

/** A resource as an element of `DeltaDiscoveryResponse.resources`, with its tag: written once for all that are sent it. */
export function deltaElement(resource: Resource): Uint8Array<ArrayBuffer> {
  let bytes = elements.get(resource);
  if (bytes === undefined) {
    const { name, version, any } = resource;
    bytes = encodeElement(name, version, any);
    elements.set(resource, bytes);
  }
  return bytes;
}

/** `DeltaDiscoveryResponse.resources` is field 2 (protobuf.dev/programming-guides/encoding). */
const encodeElement = (name: string, version: string, resource: Any): Uint8Array<ArrayBuffer> =>
  asField2(toBinary(ResourceSchema, create(ResourceSchema, { name, version, resource })));

/** What a proxy has before it is known. */
export const emptySet: ResourceSet = encodeResources('', {});
