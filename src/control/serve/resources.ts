/** What a proxy is to have: resources in wire form, each with a version that is a digest of its content. */
import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
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

export function encodeResources(version: string, messages: ResourceMessages): ResourceSet {
  const types = Object.fromEntries(xdsTypes.map((type) => [type, encodeType(type, messages[type] ?? [])]));
  return { version, types: types as unknown as ResourceSet['types'] };
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
  const value = toBinary(schemas[type] as typeof schemas.cluster, message as XdsMessages['cluster']);
  const version = hash('sha1', value, 'base64url').slice(0, 16);
  return { name: nameOf(type, message), version, any: create(AnySchema, { typeUrl: typeUrls[type], value }) };
}

/** What a proxy has before it is known. */
export const emptySet: ResourceSet = encodeResources('', {});
