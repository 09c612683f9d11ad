import { findNameId, hashStep, internName } from './header-names.ts';
import { tokenByte, valueByte } from './syntax.ts';

/** Pseudo-header fields (RFC 9113 §8.3, RFC 8441 §4); 0 is an ordinary field. */
export const pseudoNames = ['', ':method', ':path', ':scheme', ':authority', ':status', ':protocol'] as const;
export const isMethod = 1;
export const isPath = 2;
export const isScheme = 3;
export const isAuthority = 4;
export const isStatus = 5;
export const isProtocol = 6;
/** Begins with a colon and is none of these. */
export const isUnknownPseudo = 7;

/** What is wrong with a field by itself (RFC 9113 §8.2). */
export const sound = 0;
export const badName = 1;
export const badValue = 2;

/** One field of a table, looked at once: what follows from its bytes need not be found out again for every request. */
export class HpackEntry {
  readonly name: Buffer;
  readonly value: Buffer;
  /** As HPACK counts it (RFC 7541 §4.1). */
  readonly size: number;
  /** Id of an ordinary name (header-names.ts). */
  readonly id: number;
  readonly pseudo: number;
  readonly fault: number;
  /** The value of a pseudo-header as text; '' for others. */
  readonly text: string;

  /** `named` has the same name: what follows from it is known. */
  constructor(name: Buffer, value: Buffer, named: HpackEntry | null = null) {
    this.name = name;
    this.value = value;
    this.size = name.length + value.length + 32;
    if (named === null) {
      this.pseudo = name[0] === 58 ? pseudoOf(name) : 0;
      this.id = this.pseudo === 0 ? nameId(name) : 0;
      this.fault = nameFault(name) || valueFault(value);
    } else {
      this.pseudo = named.pseudo;
      this.id = named.id;
      this.fault = named.fault === badName ? badName : valueFault(value);
    }
    this.text = this.pseudo === 0 ? '' : value.toString('latin1');
  }
}

function pseudoOf(name: Buffer): number {
  const place = (pseudoNames as readonly string[]).indexOf(name.toString('latin1'));
  return place < 0 ? isUnknownPseudo : place;
}

function nameId(name: Buffer): number {
  let hash = 0;
  for (const byte of name) hash = hashStep(hash, byte);
  return findNameId(hash, name, 0, name.length);
}

/** Names are lower-case tokens. */
function nameFault(name: Buffer): number {
  const from = name[0] === 58 ? 1 : 0;
  if (name.length === from) return badName;
  for (let i = from; i < name.length; i++)
    if (tokenByte[name[i]] === 0 || (name[i] >= 65 && name[i] <= 90)) return badName;
  return sound;
}

/** Values hold no control characters and neither begin nor end with white space. */
function valueFault(value: Buffer): number {
  const { length } = value;
  for (let i = 0; i < length; i++) if (valueByte[value[i]] === 0) return badValue;
  if (length > 0 && (isSpace(value[0]) || isSpace(value[length - 1]))) return badValue;
  return sound;
}

function isSpace(byte: number): boolean {
  return byte === 32 || byte === 9;
}

/** RFC 7541 appendix A: names, each with the values that it has an entry for. */
const listed = `:authority|:method=GET=POST|:path=/=/index.html|:scheme=http=https|:status=200=204=206=304=400=404=500|
accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|
authorization|cache-control|content-disposition|content-encoding|content-language|content-length|content-location|
content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|
if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|
retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`;

function readListed(): HpackEntry[] {
  return listed
    .split('|')
    .map((text) => text.trim())
    .flatMap((text) => {
      const [name, ...values] = text.split('=');
      if (!name.startsWith(':')) internName(name);
      return (values.length === 0 ? [''] : values).map(
        (value) => new HpackEntry(Buffer.from(name), Buffer.from(value)),
      );
    });
}

/** The static table: index 1 is `staticTable[0]`. */
export const staticTable: readonly HpackEntry[] = readListed();

/** The index of a name in the static table by its header id; 0 when it has none. */
export const staticNameIndex: Uint8Array = new Uint8Array(4096);
for (const [i, entry] of staticTable.entries())
  if (entry.pseudo === 0 && staticNameIndex[entry.id] === 0) staticNameIndex[entry.id] = i + 1;

/** What a decoder remembers: the newest entry has index 62 (RFC 7541 §2.3.2). */
export class DynamicTable {
  /** Oldest first, from `first` on. */
  private entries: HpackEntry[] = [];
  private first = 0;
  private size = 0;
  capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** `index` from 0, the newest; undefined beyond the end. */
  get(index: number): HpackEntry | undefined {
    const place = this.entries.length - 1 - index;
    return place < this.first ? undefined : this.entries[place];
  }

  add(entry: HpackEntry): void {
    this.evict(this.capacity - entry.size);
    // An entry larger than the table empties it (RFC 7541 §4.4).
    if (entry.size > this.capacity) return;
    this.entries.push(entry);
    this.size += entry.size;
  }

  resize(capacity: number): void {
    this.capacity = capacity;
    this.evict(capacity);
  }

  private evict(room: number): void {
    while (this.size > room && this.first < this.entries.length) this.size -= this.entries[this.first++].size;
    if (this.first > 64 && this.first * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.first);
      this.first = 0;
    }
  }
}
