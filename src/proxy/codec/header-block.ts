import { idOfName } from './header-names.ts';

const initialHeaders = 24;
const initialBytes = 2048;
/** Blocks kept for reuse, and the largest that are kept. */
const maxSpare = 1024;
const maxSpareBytes = 16_384;

/**
 * One message's start line and fields: its bytes, and where in them each name and value lies. Values become strings only
 * when they are asked for. `at` holds four offsets a field: name start, name end, value start, value end.
 */
export class HeaderBlock {
  bytes: Buffer = Buffer.allocUnsafeSlow(initialBytes);
  length = 0;
  count = 0;
  ids: Uint16Array = new Uint16Array(initialHeaders);
  at: Int32Array = new Int32Array(initialHeaders * 4);
  /** Where the first field begins. */
  fieldsStart = 0;
  /** Request line: method is [0, methodEnd), target is [targetStart, targetEnd). */
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  /** Status line. */
  status = 0;
  /** 0 or 1 of HTTP/1.x. */
  minorVersion = 1;
  /** -1 when absent. */
  contentLength = -1;
  chunked = false;
  /** A coding besides `chunked` was named, or that one twice. */
  otherCoding = false;
  /** Tokens of Connection. */
  close = false;
  keepAlive = false;
  upgrade = false;
  /** Connection names fields besides the usual ones, which must not be passed on (RFC 9110 §7.6.1). */
  nominates = false;
  expectContinue = false;
  /** Place of the Host field, or -1. */
  host = -1;

  clear(): void {
    this.length = 0;
    this.count = 0;
    this.fieldsStart = 0;
    this.methodEnd = 0;
    this.targetStart = 0;
    this.targetEnd = 0;
    this.status = 0;
    this.minorVersion = 1;
    this.contentLength = -1;
    this.chunked = false;
    this.otherCoding = false;
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.nominates = false;
    this.expectContinue = false;
    this.host = -1;
  }

  growFields(): void {
    const ids = new Uint16Array(this.ids.length * 2);
    ids.set(this.ids);
    this.ids = ids;
    const at = new Int32Array(this.at.length * 2);
    at.set(this.at);
    this.at = at;
  }

  /** Takes the head's bytes over, after the offsets were recorded relative to `start`. */
  adopt(source: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(Math.max(length, this.bytes.length * 2));
    source.copy(this.bytes, 0, start, end);
    this.length = length;
  }

  private room(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Adds a field behind the others, as `name: value` and a line's end; `complete` follows the last. For heads that did not come as text. */
  append(id: number, name: Uint8Array, value: Uint8Array): void {
    this.room(name.length + value.length + 6);
    if (this.count === this.ids.length) this.growFields();
    const { bytes, at } = this;
    const place = this.count * 4;
    let i = this.length;
    at[place] = i;
    bytes.set(name, i);
    i += name.length;
    at[place + 1] = i;
    bytes[i++] = 58;
    bytes[i++] = 32;
    at[place + 2] = i;
    bytes.set(value, i);
    i += value.length;
    at[place + 3] = i;
    bytes[i++] = 13;
    bytes[i++] = 10;
    this.ids[this.count++] = id;
    this.length = i;
  }

  /** Adds a field to a block that is complete. */
  insert(id: number, name: Uint8Array, value: Uint8Array): void {
    this.length -= 2;
    this.append(id, name, value);
    this.complete();
  }

  /** Takes a field out of a block that is complete. */
  delete(index: number): void {
    const { at, ids } = this;
    const start = at[index * 4];
    const next = index + 1 < this.count ? at[(index + 1) * 4] : this.length - 2;
    const gap = next - start;
    this.bytes.copyWithin(start, next, this.length);
    this.length -= gap;
    this.count--;
    ids.copyWithin(index, index + 1, this.count + 1);
    at.copyWithin(index * 4, (index + 1) * 4, (this.count + 1) * 4);
    for (let i = index * 4; i < this.count * 4; i++) at[i] -= gap;
    if (this.host === index) this.host = -1;
    else if (this.host > index) this.host--;
  }

  /** Puts `; value` behind a field's value: the crumbs of a cookie (RFC 9113 §8.2.3). */
  extend(index: number, value: Uint8Array): void {
    this.room(value.length + 4);
    const { at } = this;
    const end = at[index * 4 + 3];
    const more = value.length + 2;
    this.bytes.copyWithin(end + more, end, this.length);
    this.bytes[end] = 59;
    this.bytes[end + 1] = 32;
    this.bytes.set(value, end + 2);
    at[index * 4 + 3] += more;
    for (let i = (index + 1) * 4; i < this.count * 4; i++) at[i] += more;
    this.length += more;
  }

  /** The blank line after the last appended field. */
  complete(): void {
    this.room(2);
    this.bytes[this.length++] = 13;
    this.bytes[this.length++] = 10;
  }

  /** Becomes a copy of another block's fields. */
  copyFrom(other: HeaderBlock): void {
    this.clear();
    while (this.ids.length < other.count) this.growFields();
    this.ids.set(other.ids.subarray(0, other.count));
    this.at.set(other.at.subarray(0, other.count * 4));
    this.count = other.count;
    this.adopt(other.bytes, 0, other.length);
  }

  name(index: number): string {
    return this.bytes.toString('latin1', this.at[index * 4], this.at[index * 4 + 1]);
  }

  hasUnderscore(): boolean {
    for (let i = 0; i < this.count; i++) if (this.nameHasUnderscore(i)) return true;
    return false;
  }

  nameHasUnderscore(index: number): boolean {
    for (let i = this.at[index * 4]; i < this.at[index * 4 + 1]; i++) if (this.bytes[i] === 95) return true;
    return false;
  }

  /** Whether a field's value is this text. */
  valueIs(index: number, text: string): boolean {
    const start = this.at[index * 4 + 2];
    if (this.at[index * 4 + 3] - start !== text.length) return false;
    const { bytes } = this;
    for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  value(index: number): string {
    return this.bytes.toString('latin1', this.at[index * 4 + 2], this.at[index * 4 + 3]);
  }

  /** Whether a field's value begins with these characters. */
  valueStartsWith(index: number, text: string): boolean {
    const start = this.at[index * 4 + 2];
    if (this.at[index * 4 + 3] - start < text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  /** Place of the first field with this id at or after `from`, or -1. */
  find(id: number, from = 0): number {
    for (let i = from; i < this.count; i++) if (this.ids[i] === id) return i;
    return -1;
  }

  private nameIs(index: number, name: string): boolean {
    const start = this.at[index * 4];
    if (this.at[index * 4 + 1] - start !== name.length) return false;
    for (let i = 0; i < name.length; i++) {
      const byte = this.bytes[start + i];
      if ((byte >= 65 && byte <= 90 ? byte | 0x20 : byte) !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Place of the first field with this lower-case name at or after `from`, or -1. */
  findName(name: string, id: number, from = 0): number {
    if (id !== 0) return this.find(id, from);
    for (let i = from; i < this.count; i++) if (this.ids[i] === 0 && this.nameIs(i, name)) return i;
    return -1;
  }

  /** Values of a lower-case name joined by `,` in their order (RFC 9110 §5.3); null when absent. */
  get(name: string): string | null {
    const id = idOfName(name);
    let i = this.findName(name, id);
    if (i < 0) return null;
    let joined = this.value(i);
    for (i = this.findName(name, id, i + 1); i >= 0; i = this.findName(name, id, i + 1))
      joined = `${joined},${this.value(i)}`;
    return joined;
  }

  /** Every value of a header by its lower-case name, in their order. */
  all(name: string): string[] {
    const id = idOfName(name);
    const values: string[] = [];
    for (let i = this.findName(name, id); i >= 0; i = this.findName(name, id, i + 1)) values.push(this.value(i));
    return values;
  }
}

const spare: HeaderBlock[] = [];

export function takeBlock(): HeaderBlock {
  const block = spare.pop() ?? new HeaderBlock();
  block.clear();
  return block;
}

/** Gives a block back; it must not be read afterwards. */
export function returnBlock(block: HeaderBlock): void {
  if (spare.length < maxSpare && block.bytes.length <= maxSpareBytes) spare.push(block);
}
