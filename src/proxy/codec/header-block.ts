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

  name(index: number): string {
    return this.bytes.toString('latin1', this.at[index * 4], this.at[index * 4 + 1]);
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
