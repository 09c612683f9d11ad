/**
 * A RouteConfiguration sent as a change of the one before (proto/lateen/route/v1/route_patch.proto). In a mesh of a thousand services the
 * table of a port has a thousand virtual hosts, of which a change touches one. What stays is passed on as bytes, and not read.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { VirtualHostSchema } from './gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.js';
import { type RoutePatch_PieceSchema, RoutePatchSchema } from './gen/lateen/route/v1/route_patch_pb.js';

/** What a proxy that understands them has among its node's `client_features`. */
export const routePatchFeature = 'lateen.route_patches';
export const routePatchUrl: string = `type.googleapis.com/${RoutePatchSchema.typeName}`;

/** Wire types and tags (protobuf.dev/programming-guides/encoding); `RouteConfiguration.virtual_hosts` is field 2. */
const fixed64 = 1;
const lengthDelimited = 2;
const fixed32 = 5;
const hostTag = (2 << 3) | lengthDelimited;
/** `VirtualHost.name`. */
const nameTag = (1 << 3) | lengthDelimited;

/** A RouteConfiguration, taken apart: `hosts` are its fields `virtual_hosts` with tag and length, `rest` all others. */
export interface RouteParts {
  readonly rest: Uint8Array;
  readonly hosts: readonly Uint8Array[];
}

/** Throws an Error when the bytes are no message. */
export function splitRoutes(bytes: Uint8Array): RouteParts {
  const rest: Uint8Array[] = [];
  const hosts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const from = at;
    const tag = readVarint(bytes, at);
    at = tag.end;
    const wireType = tag.value & 7;
    if (wireType === 0) at = readVarint(bytes, at).end;
    else if (wireType === fixed64) at += 8;
    else if (wireType === fixed32) at += 4;
    else if (wireType === lengthDelimited) {
      const length = readVarint(bytes, at);
      at = length.end + length.value;
    } else throw new Error(`wire type ${wireType} at byte ${from}`);
    if (at > bytes.length) throw new Error(`the field at byte ${from} ends beyond the last of ${bytes.length}`);
    (tag.value === hostTag ? hosts : rest).push(bytes.subarray(from, at));
  }
  return { rest: rest.length === 1 ? rest[0] : Buffer.concat(rest), hosts };
}

/** In the order of the elements of `bytes` as they were split. */
export const joinRoutes = ({ rest, hosts }: RouteParts): Uint8Array<ArrayBuffer> => Buffer.concat([rest, ...hosts]);

/** A message as a field of number 2, with its tag and length. */
export const asField2 = (body: Uint8Array): Uint8Array<ArrayBuffer> =>
  Buffer.concat([Uint8Array.of(hostTag), varint(body.length), body]);

/** The message of a virtual host, without tag and length. */
export const hostBody = (host: Uint8Array): Uint8Array => host.subarray(readVarint(host, 1).end);

/** The name of a virtual host; '' where it does not come first, as encoders write it. */
export function hostName(host: Uint8Array): string {
  const body = hostBody(host);
  if (body[0] !== nameTag) return '';
  const { value, end } = readVarint(body, 1);
  return Buffer.from(body.buffer, body.byteOffset + end, value).toString();
}

/**
 * What makes `to` of `from`, which has the version `baseVersion`: an encoded RoutePatch; null when that would be as much as `to`
 * itself.
 */
export function makePatch(baseVersion: string, from: RouteParts, to: RouteParts): Uint8Array<ArrayBuffer> | null {
  const places = new Map(from.hosts.map((host, i) => [hostName(host), i]));
  const pieces: MessageInitShape<typeof RoutePatch_PieceSchema>[] = [];
  let run = { from: 0, count: 0 };
  let written = 0;
  for (const host of to.hosts) {
    const next = run.from + run.count;
    let place: number | undefined = next;
    if (from.hosts[next] !== host) {
      place = places.get(hostName(host));
      if (place !== undefined && !isSame(from.hosts[place], host)) place = undefined;
    }
    if (place === undefined) {
      written++;
      pieces.push({ host: fromBinary(VirtualHostSchema, hostBody(host)) });
      run = { from: 0, count: 0 };
    } else if (run.count > 0 && place === next) run.count++;
    else {
      run = { from: place, count: 1 };
      pieces.push(run);
    }
    if (written * 2 > to.hosts.length) return null;
  }
  const rest = fromBinary(RouteConfigurationSchema, to.rest);
  return toBinary(RoutePatchSchema, create(RoutePatchSchema, { baseVersion, rest, pieces }));
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a === b || (a.length === b.length && Buffer.compare(a, b) === 0);

/**
 * What a patch makes of `base`, whose version is `baseVersion`. Throws an Error that says what is wrong when it changes another
 * one, or is none.
 */
export function applyPatch(
  base: Uint8Array | null,
  baseVersion: string | undefined,
  patch: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { baseVersion: expected, rest, pieces } = fromBinary(RoutePatchSchema, patch);
  if (base === null || expected !== baseVersion)
    throw new Error(`it changes version ${expected}, and what is here is ${base === null ? 'none' : baseVersion}`);
  if (!rest) throw new Error('it has no rest');
  const before = splitRoutes(base);
  const hosts: Uint8Array[] = [];
  for (const { from, count, host } of pieces) {
    if (from + count > before.hosts.length)
      throw new Error(`it keeps virtual hosts ${from} to ${from + count - 1} of ${before.hosts.length}`);
    for (let i = from; i < from + count; i++) hosts.push(before.hosts[i]);
    if (host) hosts.push(asField2(toBinary(VirtualHostSchema, host)));
  }
  return joinRoutes({ rest: toBinary(RouteConfigurationSchema, rest), hosts });
}

/** Numbers beyond 32 bits are the length of nothing that can be read here. */
function readVarint(bytes: Uint8Array, from: number): { value: number; end: number } {
  let value = 0;
  for (let i = from, shift = 0; i < bytes.length && shift < 70; i++, shift += 7) {
    if (shift < 28) value |= (bytes[i] & 127) << shift;
    else if (shift < 35) value += (bytes[i] & 15) * 2 ** 28;
    if (bytes[i] < 128) return { value, end: i + 1 };
  }
  throw new Error(`no number at byte ${from}`);
}

export function varint(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
