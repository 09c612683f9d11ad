import { output } from '../net/output.ts';
import type { HeaderBlock } from './header-block.ts';
import type { HeaderEdit } from './header-edit.ts';
import { idOfName, idSet } from './header-names.ts';
import { isMethod, isPath, isScheme, isStatus, staticNameIndex, staticTable } from './hpack-table.ts';

/** Never put into a table, here or further on: guesses at them must not show in sizes (RFC 7541 §7.1.3). */
const secret = idSet('authorization', 'cookie', 'proxy-authorization', 'set-cookie');
/** Differ from message to message: a table would only lose others to them. */
const fleeting = idSet('content-length', 'date', 'x-request-id', 'traceparent', 'x-envoy-upstream-service-time');
const maxTableBytes = 4096;
const maxIndexedValueBytes = 256;
const sightings = 512;

/** The most bytes that encoding a field adds to its name and value. */
const fieldOverhead = 12;

interface Remembered {
  readonly hash: number;
  /** As HPACK counts it (RFC 7541 §4.1). */
  readonly size: number;
  /** Name and value, one behind the other. */
  readonly bytes: Buffer;
  readonly nameLength: number;
}

const methodIndex: Readonly<Record<string, number>> = indexes(isMethod);
const pathIndex: Readonly<Record<string, number>> = indexes(isPath);
const schemeIndex: Readonly<Record<string, number>> = indexes(isScheme);
const statusIndex: Readonly<Record<string, number>> = indexes(isStatus);
const authorityNameIndex = 1;
const protocolName = Buffer.from(':protocol');

function indexes(pseudo: number): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [i, entry] of staticTable.entries()) if (entry.pseudo === pseudo) found[entry.text] = i + 1;
  return found;
}

let textBytes: Buffer = Buffer.allocUnsafeSlow(4096);

/**
 * The sending side of a connection's header compression (RFC 7541), writing into `output`, which must be claimed with
 * room. A field enters the table when it is seen for the second time, so that what is unique does not push out what
 * repeats. No Huffman code: it costs both sides more than the bytes it saves.
 */
export class HpackEncoder {
  private capacity = maxTableBytes;
  /** A change of the table's size that the peer has not been told of yet. */
  private toldCapacity = maxTableBytes;
  private used = 0;
  /** Oldest first, from `first` on; the number of the entry at place i is `base + i`. */
  private entries: Remembered[] = [];
  private first = 0;
  private base = 0;
  private readonly numberByHash = new Map<number, number>();
  private readonly seen = new Int32Array(sightings);

  /** What the peer's SETTINGS_HEADER_TABLE_SIZE allows; at most 4096 is used. */
  limit(bytes: number): void {
    this.capacity = Math.min(bytes, maxTableBytes);
    this.evict(this.capacity);
  }

  /** Room that the pseudo-fields and fields of a message may take. */
  static bound(block: HeaderBlock | null, edit: HeaderEdit, pseudoBytes: number): number {
    const fields = (block === null ? 0 : block.count) + edit.count + 8;
    return (block === null ? 0 : block.length) + edit.addedBytes + pseudoBytes + fields * fieldOverhead;
  }

  putRequest(method: string, scheme: string, authority: string, path: string, protocol: string): void {
    this.tellCapacity();
    this.putPseudo(methodIndex[method], 2, ':method', method);
    if (scheme !== '') this.putPseudo(schemeIndex[scheme], 6, ':scheme', scheme);
    if (path !== '') this.putPseudo(pathIndex[path], 4, ':path', path);
    this.putText(authorityNameIndex, 0, ':authority', authority);
    if (protocol !== '') {
      output.putByte(0);
      this.putString(protocolName, 0, protocolName.length);
      this.putLatin1(protocol);
    }
  }

  putStatus(status: number): void {
    this.tellCapacity();
    const text = String(status);
    this.putPseudo(statusIndex[text], 8, ':status', text);
  }

  /** Fields that were not skipped, then those that were added. Names are written in lower case. */
  putFields(block: HeaderBlock | null, edit: HeaderEdit): void {
    if (block !== null) {
      const { count, at, ids, bytes } = block;
      for (let i = 0; i < count; i++) {
        if (edit.skips(i)) continue;
        const place = i * 4;
        this.putField(ids[i], bytes, at[place], at[place + 1], at[place + 2], at[place + 3]);
      }
    }
    for (let i = 0; i < edit.count; i++) this.putText(0, idOfName(edit.names[i]), edit.names[i], edit.values[i]);
  }

  putTrailers(block: HeaderBlock): void {
    this.tellCapacity();
    const { count, at, ids, bytes } = block;
    for (let i = 0; i < count; i++)
      this.putField(ids[i], bytes, at[i * 4], at[i * 4 + 1], at[i * 4 + 2], at[i * 4 + 3]);
  }

  private tellCapacity(): void {
    if (this.toldCapacity === this.capacity) return;
    this.toldCapacity = this.capacity;
    this.putInteger(32, 5, this.capacity);
  }

  private putPseudo(index: number | undefined, nameIndex: number, name: string, text: string): void {
    if (index !== undefined) output.putByte(128 | index);
    else this.putText(nameIndex, 0, name, text);
  }

  /** A field out of strings; `nameIndex` is its name's place in the static table, or 0. */
  private putText(nameIndex: number, id: number, name: string, value: string): void {
    const needed = name.length + value.length;
    if (needed > textBytes.length) textBytes = Buffer.allocUnsafeSlow(needed * 2);
    const nameLength = write(textBytes, 0, name);
    const end = write(textBytes, nameLength, value);
    this.put(id, nameIndex || staticNameIndex[id], textBytes, 0, nameLength, nameLength, end);
  }

  private putField(id: number, bytes: Buffer, ns: number, ne: number, vs: number, ve: number): void {
    this.put(id, staticNameIndex[id], bytes, ns, ne, vs, ve);
  }

  private put(id: number, nameIndex: number, bytes: Buffer, ns: number, ne: number, vs: number, ve: number): void {
    if (secret[id] === 1 || fleeting[id] === 1 || ve - vs > maxIndexedValueBytes) {
      this.putLiteral(secret[id] === 1 ? 16 : 0, 4, nameIndex, bytes, ns, ne, vs, ve);
      return;
    }
    let hash = id === 0 ? 17 : id;
    // Names of pseudo-fields that come as text are told apart by their place in the static table.
    if (id === 0) {
      hash = Math.imul(hash, 31) + nameIndex;
      for (let i = ns; i < ne; i++) hash = (Math.imul(hash, 31) + (bytes[i] | 0x20)) | 0;
    }
    for (let i = vs; i < ve; i++) hash = (Math.imul(hash, 31) + bytes[i]) | 0;
    hash = (hash ^ (hash >>> 15)) & 0x3fffffff;
    const number = this.numberByHash.get(hash);
    if (number !== undefined && this.equals(this.entries[number - this.base], bytes, ns, ne, vs, ve)) {
      this.putInteger(128, 7, 62 + (this.base + this.entries.length - 1 - number));
      return;
    }
    const slot = hash & (sightings - 1);
    if (this.seen[slot] !== hash || number !== undefined) {
      this.seen[slot] = hash;
      this.putLiteral(0, 4, nameIndex, bytes, ns, ne, vs, ve);
      return;
    }
    this.putLiteral(64, 6, nameIndex, bytes, ns, ne, vs, ve);
    this.remember(hash, bytes, ns, ne, vs, ve);
  }

  private putLiteral(
    kind: number,
    prefix: number,
    nameIndex: number,
    bytes: Buffer,
    ns: number,
    ne: number,
    vs: number,
    ve: number,
  ): void {
    this.putInteger(kind, prefix, nameIndex);
    if (nameIndex === 0) {
      this.putInteger(0, 7, ne - ns);
      for (let i = ns; i < ne; i++) {
        const byte = bytes[i];
        output.bytes[output.length++] = byte >= 65 && byte <= 90 ? byte | 0x20 : byte;
      }
    }
    this.putString(bytes, vs, ve);
  }

  private putString(bytes: Buffer, start: number, end: number): void {
    this.putInteger(0, 7, end - start);
    output.put(bytes, start, end);
  }

  private putLatin1(text: string): void {
    this.putInteger(0, 7, text.length);
    output.putText(text);
  }

  /** RFC 7541 §5.1. */
  private putInteger(kind: number, prefix: number, value: number): void {
    const most = (1 << prefix) - 1;
    if (value < most) {
      output.putByte(kind | value);
      return;
    }
    output.putByte(kind | most);
    let rest = value - most;
    while (rest >= 128) {
      output.putByte((rest & 127) | 128);
      rest >>>= 7;
    }
    output.putByte(rest);
  }

  private equals(entry: Remembered, bytes: Buffer, ns: number, ne: number, vs: number, ve: number): boolean {
    const known = entry.bytes;
    const { nameLength } = entry;
    if (ne - ns !== nameLength || ve - vs !== known.length - nameLength) return false;
    for (let i = 0; i < nameLength; i++) {
      const byte = bytes[ns + i];
      if ((byte >= 65 && byte <= 90 ? byte | 0x20 : byte) !== known[i]) return false;
    }
    for (let i = vs, k = nameLength; i < ve; i++, k++) if (bytes[i] !== known[k]) return false;
    return true;
  }

  private remember(hash: number, bytes: Buffer, ns: number, ne: number, vs: number, ve: number): void {
    const nameLength = ne - ns;
    const size = nameLength + (ve - vs) + 32;
    this.evict(this.capacity - size);
    if (size > this.capacity) return;
    const kept = Buffer.allocUnsafeSlow(nameLength + (ve - vs));
    bytes.copy(kept, 0, ns, ne);
    for (let i = 0; i < nameLength; i++) if (kept[i] >= 65 && kept[i] <= 90) kept[i] |= 0x20;
    bytes.copy(kept, nameLength, vs, ve);
    this.numberByHash.set(hash, this.base + this.entries.length);
    this.entries.push({ hash, size, bytes: kept, nameLength });
    this.used += size;
  }

  private evict(room: number): void {
    while (this.used > room && this.first < this.entries.length) {
      const { hash } = this.entries[this.first];
      if (this.numberByHash.get(hash) === this.base + this.first) this.numberByHash.delete(hash);
      this.used -= this.entries[this.first++].size;
    }
    if (this.first > 64 && this.first * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.first);
      this.base += this.first;
      this.first = 0;
    }
  }
}

/** ISO 8859-1; control characters become spaces and what does not fit `?`, so that no text can make a malformed field. */
function write(into: Buffer, at: number, text: string): number {
  let end = at;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    into[end++] = (code < 32 && code !== 9) || code === 127 ? 32 : code > 255 ? 63 : code;
  }
  return end;
}
