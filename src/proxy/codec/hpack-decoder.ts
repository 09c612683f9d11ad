import { readLength } from './head.ts';
import type { HeaderBlock } from './header-block.ts';
import { idSet, knownId } from './header-names.ts';
import { huffmanBound, huffmanDecode } from './hpack-huffman.ts';
import {
  DynamicTable,
  HpackEntry,
  isAuthority,
  isMethod,
  isPath,
  isProtocol,
  isScheme,
  isStatus,
  sound,
  staticTable,
} from './hpack-table.ts';

/** Of one connection of HTTP/1 only: a message that has one of these is malformed (RFC 9113 §8.2.2). */
const connectionSpecific = idSet('connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade');
const treated = idSet('te', 'content-length', 'cookie', 'host', 'expect');
const teId = knownId('te');
const contentLengthId = knownId('content-length');
const cookieId = knownId('cookie');
const hostId = knownId('host');
const nothing: Buffer = Buffer.alloc(0);

export interface FieldLimits {
  /** Decoded bytes of all names and values, with 32 for each field (RFC 9113 §6.5.2). */
  readonly maxBytes: number;
  readonly maxFields: number;
}

/** One decoded field section: pseudo-header fields as text, all others in a block in the form of HTTP/1. */
export class FieldSection {
  method = '';
  path = '';
  scheme = '';
  authority = '';
  protocol = '';
  status = 0;
  block: HeaderBlock = null as unknown as HeaderBlock;
  /** Why the message is malformed (RFC 9113 §8.1.1), as Envoy names it in its details; '' for a sound one. */
  fault = '';
  /** It has more bytes or fields than allowed; the rest was decoded and dropped. */
  tooLarge = false;
  private seen = 0;
  private kind: 'request' | 'response' | 'trailers' = 'request';
  private ordinary = false;
  private bytes = 0;
  private limits: FieldLimits = { maxBytes: 0, maxFields: 0 };

  begin(kind: 'request' | 'response' | 'trailers', block: HeaderBlock, limits: FieldLimits): void {
    this.method = '';
    this.path = '';
    this.scheme = '';
    this.authority = '';
    this.protocol = '';
    this.status = 0;
    this.block = block;
    this.fault = '';
    this.tooLarge = false;
    this.seen = 0;
    this.kind = kind;
    this.ordinary = false;
    this.bytes = 0;
    this.limits = limits;
  }

  take(entry: HpackEntry): void {
    this.bytes += entry.size;
    if (this.bytes > this.limits.maxBytes || this.block.count >= this.limits.maxFields) {
      this.tooLarge = true;
      return;
    }
    if (entry.fault !== sound) this.fail('http2.invalid.header.field');
    else if (entry.pseudo !== 0) this.takePseudo(entry);
    else this.takeOrdinary(entry);
  }

  private fail(fault: string): void {
    if (this.fault === '') this.fault = fault;
  }

  private takePseudo({ pseudo, text }: HpackEntry): void {
    const bit = 1 << pseudo;
    if (this.ordinary || (this.seen & bit) !== 0 || this.kind === 'trailers') {
      this.fail('http2.violation.of.messaging.rule');
      return;
    }
    this.seen |= bit;
    if (this.kind === 'response') {
      if (pseudo === isStatus && /^[1-9]\d\d$/.test(text)) this.status = Number(text);
      else this.fail('http2.violation.of.messaging.rule');
      return;
    }
    if (pseudo === isMethod) this.method = text;
    else if (pseudo === isPath) this.path = text;
    else if (pseudo === isScheme) this.scheme = text;
    else if (pseudo === isAuthority) this.authority = text;
    else if (pseudo === isProtocol) this.protocol = text;
    else this.fail('http2.violation.of.messaging.rule');
  }

  private takeOrdinary({ id, name, value }: HpackEntry): void {
    this.ordinary = true;
    const { block } = this;
    if (connectionSpecific[id] === 1) {
      this.fail('http2.violation.of.messaging.rule');
      return;
    }
    if (treated[id] === 1) {
      if (id === teId) {
        if (value.toString('latin1').toLowerCase() !== 'trailers') this.fail('http2.violation.of.messaging.rule');
      } else if (id === contentLengthId) {
        const length = readLength(value, 0, value.length);
        if (this.kind === 'trailers' || length < 0 || block.contentLength >= 0)
          this.fail('http2.violation.of.messaging.rule');
        block.contentLength = length;
      } else if (id === hostId) {
        // The same as :authority, which is the one that counts (RFC 9113 §8.3.1).
        if (this.kind !== 'request') this.fail('http2.violation.of.messaging.rule');
        else if (this.authority === '') this.authority = value.toString('latin1');
        return;
      } else if (id === cookieId) {
        // Crumbs become one field again (RFC 9113 §8.2.3).
        const at = block.find(cookieId);
        if (at >= 0) {
          block.extend(at, value);
          return;
        }
      } else block.expectContinue = value.toString('latin1').toLowerCase() === '100-continue';
    }
    block.append(id, name, value);
  }

  /** Whether what a message of its kind must have is there. Completes the block. */
  end(): void {
    this.block.complete();
    if (this.kind === 'response') {
      if (this.status === 0) this.fail('http2.violation.of.messaging.rule');
      this.block.status = this.status;
      return;
    }
    if (this.kind === 'trailers') return;
    const { seen } = this;
    const has = (pseudo: number) => (seen & (1 << pseudo)) !== 0;
    const connect = this.method === 'CONNECT';
    if (this.method === '' || (connect && this.authority === '')) this.fail('http2.violation.of.messaging.rule');
    const needsTarget = !connect || has(isProtocol);
    if (needsTarget !== has(isPath) || needsTarget !== has(isScheme)) this.fail('http2.violation.of.messaging.rule');
    if (needsTarget && this.path === '') this.fail('http2.violation.of.messaging.rule');
    if (has(isProtocol) && !connect) this.fail('http2.violation.of.messaging.rule');
  }
}

const defaultTableBytes = 4096;
const maxStringBytes = 262_144;
let scratch: Buffer = Buffer.allocUnsafeSlow(16_384);

/**
 * Literal fields that came more than once, as they came: peers that keep no table send the same bytes with every message, and
 * reading them costs more than knowing them again. By hash, the latest in each place, for all connections of the thread.
 */
const literalSlots = 256;
const literals = Array<{ readonly encoded: Buffer; readonly entry: HpackEntry } | undefined>(literalSlots).fill(
  undefined,
);
const maxLiteralBytes = 128;
const notRepeated = -1;
const sightings = new Int32Array(literalSlots).fill(notRepeated);

function isSame(known: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let i = 0, k = from; k < to; i++, k++) if (known[i] !== bytes[k]) return false;
  return true;
}

/** The receiving side of a connection's header compression (RFC 7541). */
export class HpackDecoder {
  private readonly table = new DynamicTable(defaultTableBytes);
  private readonly maxTableBytes = defaultTableBytes;
  /** Where the last integer or string ended; -1 when it was none. */
  private at = 0;
  private scratchUsed = 0;
  private literalEnd = 0;

  /** Decodes `bytes[start, end)` into a section that was begun. False: the connection cannot go on (COMPRESSION_ERROR). */
  decode(bytes: Buffer, start: number, end: number, section: FieldSection): boolean {
    let i = start;
    let resizable = true;
    this.scratchUsed = 0;
    while (i < end) {
      const byte = bytes[i];
      if (byte >= 128) {
        resizable = false;
        const index = this.integer(bytes, i, end, 7);
        const entry = this.at < 0 ? undefined : this.entryAt(index);
        if (entry === undefined) return false;
        section.take(entry);
        i = this.at;
        continue;
      }
      if (byte >= 32 && byte < 64) {
        const capacity = this.integer(bytes, i, end, 5);
        // Only before the first field, and never above what was offered (RFC 7541 §4.2).
        if (this.at < 0 || !resizable || capacity > this.maxTableBytes) return false;
        this.table.resize(capacity);
        i = this.at;
        continue;
      }
      resizable = false;
      const indexed = byte >= 64;
      const entry = this.literal(bytes, i, end, indexed);
      if (entry === null) return false;
      if (indexed) this.table.add(entry);
      section.take(entry);
      i = this.at;
    }
    section.end();
    return true;
  }

  private entryAt(index: number): HpackEntry | undefined {
    if (index === 0) return undefined;
    return index <= 61 ? staticTable[index - 1] : this.table.get(index - 62);
  }

  private literal(bytes: Buffer, from: number, end: number, indexed: boolean): HpackEntry | null {
    const index = this.integer(bytes, from, end, indexed ? 6 : 4);
    if (this.at < 0) return null;
    // What is never to be indexed is not kept here either; an index into the table means something else each time.
    const mayRepeat = index <= 61 && (indexed || bytes[from] < 16);
    const hash = mayRepeat ? this.hashOfLiteral(bytes, from, end, index) : notRepeated;
    const known = hash === notRepeated ? undefined : literals[hash & (literalSlots - 1)];
    if (known !== undefined && isSame(known.encoded, bytes, from, this.literalEnd)) {
      this.at = this.literalEnd;
      return known.entry;
    }
    const repeats = hash !== notRepeated && sightings[hash & (literalSlots - 1)] === hash;
    if (hash !== notRepeated) sightings[hash & (literalSlots - 1)] = hash;
    const keeps = indexed || repeats;
    let name: Buffer = nothing;
    let named: HpackEntry | null = null;
    if (index > 0) {
      named = this.entryAt(index) ?? null;
      if (named === null) return null;
      name = named.name;
    } else {
      const text = this.string(bytes, this.at, end);
      if (text === null) return null;
      name = keeps ? Buffer.from(text) : text;
    }
    const text = this.string(bytes, this.at, end);
    if (text === null) return null;
    const entry = new HpackEntry(name, keeps ? Buffer.from(text) : text, named);
    if (repeats) literals[hash & (literalSlots - 1)] = { encoded: Buffer.from(bytes.subarray(from, this.at)), entry };
    return entry;
  }

  /** Of an encoded field whose name's index ends at `at`, and sets `literalEnd`; `notRepeated` for a long one, or none. */
  private hashOfLiteral(bytes: Buffer, from: number, end: number, index: number): number {
    const { at } = this;
    let to = at;
    for (let strings = index === 0 ? 2 : 1; strings > 0; strings--) {
      // Lengths of one byte.
      const length = to < end ? bytes[to] & 127 : 127;
      if (length === 127) return notRepeated;
      to += 1 + length;
    }
    if (to > end || to - from > maxLiteralBytes) return notRepeated;
    this.literalEnd = to;
    let hash = 17;
    for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + bytes[i]) | 0;
    return (hash ^ (hash >>> 15)) & 0x3fffffff;
  }

  /** RFC 7541 §5.1; more than 28 bits are nothing that this connection can mean. */
  private integer(bytes: Buffer, from: number, end: number, prefix: number): number {
    const most = (1 << prefix) - 1;
    let value = bytes[from] & most;
    let i = from + 1;
    if (value === most) {
      for (let shift = 0; ; shift += 7) {
        if (i >= end || shift > 21) {
          this.at = -1;
          return 0;
        }
        const byte = bytes[i++];
        value += (byte & 127) << shift;
        if (byte < 128) break;
      }
    }
    this.at = i;
    return value;
  }

  /** RFC 7541 §5.2; null for what is none. The bytes are good until the next section is decoded. */
  private string(bytes: Buffer, from: number, end: number): Buffer | null {
    if (from >= end) return null;
    const huffman = bytes[from] >= 128;
    const length = this.integer(bytes, from, end, 7);
    if (this.at < 0 || length > end - this.at || length > maxStringBytes) return null;
    const start = this.at;
    this.at = start + length;
    if (!huffman) return bytes.subarray(start, start + length);
    const bound = huffmanBound(length);
    if (this.scratchUsed + bound > scratch.length) {
      // Earlier strings of this section keep the old one.
      scratch = Buffer.allocUnsafeSlow(Math.max(scratch.length, bound * 2));
      this.scratchUsed = 0;
    }
    const to = huffmanDecode(bytes, start, start + length, scratch, this.scratchUsed);
    if (to < 0) return null;
    const text = scratch.subarray(this.scratchUsed, to);
    this.scratchUsed = to;
    return text;
  }
}
