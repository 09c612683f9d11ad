/** What a proxy is to have: resources in wire form, each with a version that is a digest of its content. */
import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { type VirtualHost, VirtualHostSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { type RouteConfiguration, RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { ResourceSchema } from '../../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { nameOf, schemas, typeUrls, type XdsMessages, type XdsType, xdsTypes } from '../../xds/type-urls.ts';

export interface Resource {
  readonly name: string;
  /** The same for the same content, whichever replica made it: a proxy that changes replicas is sent nothing twice. */
  readonly version: string;
  readonly any: Any;
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

function encode<T extends XdsType>(type: T, message: XdsMessages[T]): Resource {
  const value =
    type === 'route'
      ? encodeRoutes(message as RouteConfiguration)
      : toBinary(schemas[type] as typeof schemas.cluster, message as XdsMessages['cluster']);
  const version = hash('sha1', value, 'base64url').slice(0, 16);
  return { name: nameOf(type, message), version, any: create(AnySchema, { typeUrl: typeUrls[type], value }) };
}

/** Field 2, with a length (protobuf.dev/programming-guides/encoding): `RouteConfiguration.virtual_hosts`, `DeltaDiscoveryResponse.resources`. */
const secondField = 0x12;
const hostsEncoded = new WeakMap<VirtualHost, Uint8Array<ArrayBuffer>>();

/** Virtual hosts are shared between route configurations, and most of them stay when one changes: each is written once. */
function encodeRoutes(message: RouteConfiguration): Uint8Array<ArrayBuffer> {
  const parts = [toBinary(RouteConfigurationSchema, { ...message, virtualHosts: [] })];
  for (const host of message.virtualHosts) {
    let bytes = hostsEncoded.get(host);
    if (bytes === undefined) {
      bytes = asSecondField(toBinary(VirtualHostSchema, host));
      hostsEncoded.set(host, bytes);
    }
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

const elements = new WeakMap<Resource, Uint8Array<ArrayBuffer>>();

/** A resource as an element of `DeltaDiscoveryResponse.resources`, with its tag: written once for all that are sent it. */
export function deltaElement(resource: Resource): Uint8Array<ArrayBuffer> {
  let bytes = elements.get(resource);
  if (bytes === undefined) {
    const { name, version, any } = resource;
    bytes = asSecondField(toBinary(ResourceSchema, create(ResourceSchema, { name, version, resource: any })));
    elements.set(resource, bytes);
  }
  return bytes;
}

function asSecondField(body: Uint8Array): Uint8Array<ArrayBuffer> {
  return Buffer.concat([Buffer.of(secondField), varint(body.length), body]);
}

function varint(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** What a proxy has before it is known. */
export const emptySet: ResourceSet = encodeResources('', {});
