/**
 * Header names as small integers. The parser hashes a name while it validates its bytes and finds the id here, so that
 * no name is turned into a string on the request path. Names that the configuration mentions get an id when it is compiled.
 */

/** Headers that the data path itself treats; their ids are their places in this list. 0 is every unknown name. */
const known = [
  '',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'upgrade',
  'te',
  'expect',
  'x-request-id',
  'x-forwarded-proto',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-client-cert',
  'x-envoy-attempt-count',
  'x-envoy-upstream-service-time',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-internal',
  'x-envoy-external-address',
  'x-envoy-original-path',
  'x-envoy-original-host',
  'server',
  'date',
  'trailer',
  'grpc-status',
  'content-type',
  'user-agent',
  'origin',
  'access-control-request-method',
  'cookie',
  'location',
  'authorization',
  'accept',
  'accept-encoding',
  'traceparent',
  'http2-settings',
  'x-envoy-overloaded',
  'x-lateen-undelivered',
  'proxy-authorization',
  'set-cookie',
  'content-encoding',
  'grpc-message',
  'grpc-timeout',
  'x-forwarded-port',
  'via',
  'x-envoy-retry-grpc-on',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
] as const;

export type KnownName = (typeof known)[number];

/** The id of a name that the data path treats itself. */
export function knownId(name: KnownName): number {
  return known.indexOf(name);
}

/** More names than this from configuration are compared as text instead. */
const maxIds = 4096;
const tableSize = 16_384;
const idBySlot = new Uint16Array(tableSize);
const names: string[] = [];
const nameBytes: Buffer[] = [];
const idByName = new Map<string, number>();

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 14)) & (tableSize - 1);
}

/** One step of the name's hash; `byte` may be in either case. */
export function hashStep(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + (byte | 0x20)) | 0;
}

function hashOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
  return hash;
}

/** Gives a lower-case name its id, the same for ever. 0 when the table is full: such names are found by their text. */
export function internName(name: string): number {
  const present = idByName.get(name);
  if (present !== undefined) return present;
  if (names.length >= maxIds) return 0;
  const id = names.length;
  names.push(name);
  nameBytes.push(Buffer.from(name, 'latin1'));
  idByName.set(name, id);
  for (let slot = slotOf(hashOf(name)); ; slot = (slot + 1) & (tableSize - 1)) {
    if (idBySlot[slot] !== 0) continue;
    idBySlot[slot] = id;
    return id;
  }
}

names.push('');
nameBytes.push(Buffer.alloc(0));
idByName.set('', 0);
for (const name of known) internName(name);

/** Id of an interned lower-case name, or 0. */
export function idOfName(name: string): number {
  return idByName.get(name) ?? 0;
}

function sameName(id: number, bytes: Uint8Array, start: number, end: number): boolean {
  const expected = nameBytes[id];
  if (expected.length !== end - start) return false;
  for (let i = 0; i < expected.length; i++) {
    const byte = bytes[start + i];
    const lower = byte >= 65 && byte <= 90 ? byte | 0x20 : byte;
    if (lower !== expected[i]) return false;
  }
  return true;
}

/** Id of the name in `bytes[start, end)`, whose hash is at hand, or 0. */
export function findNameId(hash: number, bytes: Uint8Array, start: number, end: number): number {
  for (let slot = slotOf(hash); ; slot = (slot + 1) & (tableSize - 1)) {
    const id = idBySlot[slot];
    if (id === 0 || sameName(id, bytes, start, end)) return id;
  }
}

/** A flag for each id, for sets of names that the request path skips or treats. */
export function idSet(...members: KnownName[]): Uint8Array {
  const set = new Uint8Array(maxIds);
  for (const name of members) set[knownId(name)] = 1;
  return set;
}
