/**
 * DNS messages (RFC 1035 §4, EDNS: RFC 6891), as far as this proxy looks at them: the one question of a query and its EDNS record are read,
 * addresses and aliases are written, and everything else passes through as the bytes that it came in.
 *
 *     header (12 bytes) │ question: name, type, class │ answers │ authority │ additional, with OPT if the sender speaks EDNS
 */

export const types = { a: 1, cname: 5, aaaa: 28, opt: 41 } as const;
export const codes = { noError: 0, formatError: 1, serverFailure: 2 } as const;

const headerBytes = 12;
const classInternet = 1;
/** Without EDNS a reply by UDP is no larger (RFC 1035 §4.2.1). */
export const plainUdpBytes = 512;
/** By UDP nothing larger is sent, whatever the other side says that it takes. */
export const maxUdpBytes = 4096;
export const maxTcpBytes = 65_535;
/** A query has one name, of 255 bytes at most, and options; RFC 7766 lets nobody send much more. */
export const maxQueryBytes = 4096;

export interface Query {
  /** Lower case, without a dot at the end; null when this is no plain question for addresses that a table could answer. */
  readonly name: string | null;
  readonly family: 4 | 6;
  /** Where the question ends; 12 when there is none that was looked at. */
  readonly questionEnd: number;
  /** What the sender says that it takes by UDP, bytes; null without EDNS. */
  readonly udpBytes: number | null;
  /** EDNS flag DO, which a reply repeats (RFC 3225 §3). */
  readonly wantsSignatures: boolean;
}

/** What to do with bytes that came in: `ignored` are no query (an answer to it could go round for ever), `malformed` is told so. */
export type Incoming = { kind: 'query'; query: Query } | { kind: 'malformed' } | { kind: 'ignored' };

const ignored: Incoming = { kind: 'ignored' };
const malformed: Incoming = { kind: 'malformed' };

/** Never throws, whatever the bytes. */
export function readQuery(bytes: Buffer): Incoming {
  if (bytes.length < headerBytes || bytes[2] & 0x80) return ignored;
  if (bytes.length > maxQueryBytes) return malformed;
  // Notifications, updates and the like are for the resolver.
  if ((bytes[2] >> 3) & 15) return { kind: 'query', query: { ...opaque } };
  // RFC 9619: a query has one question.
  if (bytes.readUInt16BE(4) !== 1) return malformed;
  const question = readQuestion(bytes);
  if (question === null) return malformed;
  const { end, name } = question;
  const extra = readOptions(bytes, end);
  if (extra === 'malformed') return malformed;
  const type = bytes.readUInt16BE(end - 4);
  const isPlain =
    bytes.readUInt16BE(end - 2) === classInternet &&
    (type === types.a || type === types.aaaa) &&
    (extra === null || extra.version === 0);
  const query: Query = {
    name: isPlain ? name : null,
    family: type === types.aaaa ? 6 : 4,
    questionEnd: end,
    udpBytes: extra === null ? null : extra.udpBytes,
    wantsSignatures: extra?.wantsSignatures ?? false,
  };
  return { kind: 'query', query };
}

const opaque: Query = { name: null, family: 4, questionEnd: headerBytes, udpBytes: null, wantsSignatures: false };

/** `name` is null when a label holds a dot, which would make it another name. */
function readQuestion(bytes: Buffer): { name: string | null; end: number } | null {
  const labels: string[] = [];
  let hasDot = false;
  let at = headerBytes;
  for (;;) {
    const length = bytes[at];
    // Nothing comes before a question that a compressed name could point to.
    if (length === undefined || length > 63 || at + length - headerBytes > 254) return null;
    at++;
    if (length === 0) break;
    if (at + length > bytes.length) return null;
    const label = bytes.toString('latin1', at, at + length);
    hasDot ||= label.includes('.');
    labels.push(label);
    at += length;
  }
  if (at + 4 > bytes.length) return null;
  return { name: hasDot ? null : lowerCase(labels.join('.')), end: at + 4 };
}

/** Of ASCII letters alone (RFC 4343). */
const lowerCase = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

interface Edns {
  readonly udpBytes: number;
  readonly version: number;
  readonly wantsSignatures: boolean;
}

/** Walks the records behind the question, each 11 bytes at least. Null without EDNS. */
function readOptions(bytes: Buffer, from: number): Edns | 'malformed' | null {
  let left = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  let found: Edns | null = null;
  let at = from;
  for (; left > 0; left--) {
    const named = at;
    for (;;) {
      const length = bytes[at];
      if (length === undefined) return 'malformed';
      if (length >= 0xc0) at += 2;
      else if (length > 63) return 'malformed';
      else at += length + 1;
      if (length === 0 || length >= 0xc0) break;
    }
    if (at + 10 > bytes.length) return 'malformed';
    if (bytes.readUInt16BE(at) === types.opt) {
      // Once, and of the root (RFC 6891 §6.1.1).
      if (found !== null || bytes[named] !== 0) return 'malformed';
      found = {
        udpBytes: bytes.readUInt16BE(at + 2),
        version: bytes[at + 5],
        wantsSignatures: (bytes[at + 6] & 0x80) !== 0,
      };
    }
    at += 10 + bytes.readUInt16BE(at + 8);
    if (at > bytes.length) return 'malformed';
  }
  return found;
}

/** The largest reply that the sender of a query takes. */
export function replyLimit({ udpBytes }: Query, protocol: 'udp' | 'tcp'): number {
  if (protocol === 'tcp') return maxTcpBytes;
  return Math.min(Math.max(udpBytes ?? 0, plainUdpBytes), maxUdpBytes);
}

export interface Answers {
  /** The name that the addresses are of, when it is another than was asked for. */
  readonly alias: string | null;
  /** Of 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  readonly ttlSeconds: number;
}

/** An answer of this proxy's own. What does not fit into `limit` bytes is left out, and the reply says so (TC). */
export function answerTo(bytes: Buffer, query: Query, answers: Answers, limit: number): Buffer {
  const { alias, addresses, ttlSeconds } = answers;
  const room = limit - (query.udpBytes === null ? 0 : optionBytes);
  const parts: Uint8Array[] = [bytes.subarray(0, query.questionEnd)];
  let length = query.questionEnd;
  let count = 0;
  let truncated = false;
  const add = (owner: number, type: number, data: Uint8Array) => {
    if (length + 12 + data.length > room) {
      truncated = true;
      return;
    }
    const record = Buffer.allocUnsafe(12);
    record.writeUInt16BE(0xc000 | owner, 0);
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(classInternet, 4);
    record.writeUInt32BE(ttlSeconds, 6);
    record.writeUInt16BE(data.length, 10);
    parts.push(record, data);
    length += 12 + data.length;
    count++;
  };
  let owner = headerBytes;
  if (alias !== null && addresses.length > 0) {
    const target = encodeName(alias);
    const at = length + 12;
    add(owner, types.cname, target);
    owner = at;
  }
  for (const address of addresses) {
    if (truncated) break;
    add(owner, address.length === 4 ? types.a : types.aaaa, address);
  }
  return finish(parts, query, { code: codes.noError, truncated, authoritative: true, count });
}

/** An answer that is only a code: the question, and nothing to it. */
export const failureTo = (bytes: Buffer, query: Query, code: number): Buffer =>
  finish([bytes.subarray(0, query.questionEnd)], query, { code, truncated: false, authoritative: false, count: 0 });

/** To something with which no more can be done than to repeat its number. */
export const formatErrorTo = (bytes: Buffer): Buffer => failureTo(bytes, opaque, codes.formatError);

/** Says that the answer is larger than the sender takes by UDP: it asks again by TCP. */
export const truncatedTo = (bytes: Buffer, query: Query): Buffer =>
  finish([bytes.subarray(0, query.questionEnd)], query, {
    code: codes.noError,
    truncated: true,
    authoritative: false,
    count: 0,
  });

const optionBytes = 11;

function finish(
  parts: Uint8Array[],
  query: Query,
  {
    code,
    truncated,
    authoritative,
    count,
  }: { code: number; truncated: boolean; authoritative: boolean; count: number },
): Buffer {
  const hasQuestion = query.questionEnd > headerBytes;
  if (query.udpBytes !== null) {
    // An answer to EDNS speaks EDNS (RFC 6891 §6.1.1).
    const option = Buffer.alloc(optionBytes);
    option.writeUInt16BE(types.opt, 1);
    option.writeUInt16BE(maxUdpBytes, 3);
    if (query.wantsSignatures) option[7] = 0x80;
    parts.push(option);
  }
  const reply = Buffer.concat(parts);
  // Number, opcode, RD and CD are the query's; RA, or resolvers would look for another server.
  reply[2] = 0x80 | (reply[2] & 0x79) | (authoritative ? 4 : 0) | (truncated ? 2 : 0);
  reply[3] = 0x80 | (reply[3] & 0x10) | code;
  reply.writeUInt16BE(hasQuestion ? 1 : 0, 4);
  reply.writeUInt16BE(count, 6);
  reply.writeUInt16BE(0, 8);
  reply.writeUInt16BE(query.udpBytes === null ? 0 : 1, 10);
  return reply;
}

/** Of a name that `isName` holds for. */
function encodeName(name: string): Buffer {
  const bytes = Buffer.alloc(name.length + 2);
  let at = 0;
  for (const label of name.split('.')) {
    bytes[at++] = label.length;
    bytes.write(label, at, 'latin1');
    at += label.length;
  }
  return bytes;
}

/** Whether a name, without a dot at its end, can be asked for (RFC 1035 §2.3.4). */
export const isName = (name: string): boolean =>
  name.length <= 253 && name.split('.').every((label) => label.length > 0 && label.length <= 63);

/** Whether bytes from a resolver are the reply to a query (RFC 5452 §9.1: number and question). */
export function isReplyTo(reply: Buffer, asked: Buffer, { questionEnd }: Query): boolean {
  if (reply.length < headerBytes || !(reply[2] & 0x80) || reply.readUInt16BE(0) !== asked.readUInt16BE(0)) return false;
  if (questionEnd === headerBytes) return true;
  // A server that cannot read the question has none to repeat.
  if (reply.readUInt16BE(4) === 0) return (reply[3] & 15) !== codes.noError;
  if (reply.length < questionEnd) return false;
  const own = asked.toString('latin1', headerBytes, questionEnd - 4);
  const theirs = reply.toString('latin1', headerBytes, questionEnd - 4);
  return (
    lowerCase(own) === lowerCase(theirs) &&
    reply.compare(asked, questionEnd - 4, questionEnd, questionEnd - 4, questionEnd) === 0
  );
}
