/** Says what a connection speaks from its first bytes, which stay where they are: nothing is consumed. */

export interface ClientHello {
  readonly sni: string;
  readonly alpn: readonly string[];
}

export type Detected =
  /** Not enough bytes yet. */
  | { readonly kind: 'undecided' }
  | { readonly kind: 'tls'; readonly hello: ClientHello }
  | { readonly kind: 'http1'; readonly version: 'http/1.0' | 'http/1.1' }
  | { readonly kind: 'http2' }
  | { readonly kind: 'unknown' };

const undecided: Detected = { kind: 'undecided' };
const unknown: Detected = { kind: 'unknown' };
const http2: Detected = { kind: 'http2' };
const http11: Detected = { kind: 'http1', version: 'http/1.1' };
const http10: Detected = { kind: 'http1', version: 'http/1.0' };

export const http2Preface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** A ClientHello that does not end within this is refused, and a request line that does not is taken for no HTTP. */
export const maxDetectBytes = 65_536;
const maxRequestLineBytes = 32_768;
const maxMethodBytes = 32;

const handshakeRecord = 22;
const clientHelloMessage = 1;

/** The handshake message's bytes out of its records (RFC 8446 §5.1); null when more is needed, false when it is none. */
function handshakeBytes(bytes: Buffer, length: number): Buffer | null | false {
  const parts: Buffer[] = [];
  let gathered = 0;
  let wanted = -1;
  for (let at = 0; ; ) {
    if (at + 5 > length) return null;
    if (bytes[at] !== handshakeRecord || bytes[at + 1] !== 3) return false;
    const recordLength = bytes.readUInt16BE(at + 3);
    if (recordLength === 0 || recordLength > 16_384) return false;
    const part = bytes.subarray(at + 5, Math.min(at + 5 + recordLength, length));
    parts.push(part);
    gathered += part.length;
    if (wanted < 0 && gathered >= 4) {
      const head = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      if (head[0] !== clientHelloMessage) return false;
      wanted = 4 + head.readUIntBE(1, 3);
      if (wanted > maxDetectBytes) return false;
    }
    if (wanted >= 0 && gathered >= wanted) return parts.length === 1 ? parts[0] : Buffer.concat(parts);
    if (part.length < recordLength) return null;
    at += 5 + recordLength;
  }
}

/** Server name and ALPN of a ClientHello message (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301 §3.1); null when malformed. */
function readClientHello(message: Buffer): ClientHello | null {
  const end = 4 + message.readUIntBE(1, 3);
  let at = 4 + 2 + 32;
  const skip = (lengthBytes: 1 | 2): boolean => {
    if (at + lengthBytes > end) return false;
    at += lengthBytes + message.readUIntBE(at, lengthBytes);
    return at <= end;
  };
  if (at > end || !skip(1) || !skip(2) || !skip(1)) return null;
  let sni = '';
  const alpn: string[] = [];
  if (at === end) return { sni, alpn };
  if (at + 2 > end || at + 2 + message.readUInt16BE(at) > end) return null;
  const extensionsEnd = at + 2 + message.readUInt16BE(at);
  at += 2;
  while (at + 4 <= extensionsEnd) {
    const type = message.readUInt16BE(at);
    const start = at + 4;
    const stop = start + message.readUInt16BE(at + 2);
    if (stop > extensionsEnd) return null;
    if (type === 0 && stop - start >= 5 && message[start + 2] === 0) {
      const nameLength = message.readUInt16BE(start + 3);
      if (start + 5 + nameLength > stop) return null;
      sni = message.toString('latin1', start + 5, start + 5 + nameLength).toLowerCase();
    } else if (type === 16) {
      for (let name = start + 2; name < stop && alpn.length < 64; name += 1 + message[name]) {
        if (name + 1 + message[name] > stop) return null;
        alpn.push(message.toString('latin1', name + 1, name + 1 + message[name]));
      }
    }
    at = stop;
  }
  return { sni, alpn };
}

function detectTls(bytes: Buffer, length: number): Detected {
  const message = handshakeBytes(bytes, length);
  if (message === null) return length >= maxDetectBytes ? unknown : undecided;
  if (message === false) return unknown;
  const hello = readClientHello(message);
  return hello === null ? unknown : { kind: 'tls', hello };
}

function detectHttp(bytes: Buffer, length: number): Detected {
  let prefix = 0;
  while (prefix < length && prefix < http2Preface.length && bytes[prefix] === http2Preface[prefix]) prefix++;
  if (prefix === http2Preface.length) return http2;
  if (prefix === length) return undecided;
  let i = 0;
  while (i < length && i <= maxMethodBytes && bytes[i] > 32 && bytes[i] < 127 && bytes[i] !== 58) i++;
  if (i > maxMethodBytes || i === 0) return unknown;
  if (i === length) return undecided;
  if (bytes[i] !== 32) return unknown;
  const lineEnd = bytes.indexOf(10, i);
  if (lineEnd < 0 || lineEnd >= length) return length > maxRequestLineBytes ? unknown : undecided;
  const line = bytes.toString('latin1', Math.max(0, lineEnd - 10), lineEnd);
  if (line === ' HTTP/1.1\r' || line.endsWith(' HTTP/1.1')) return http11;
  if (line === ' HTTP/1.0\r' || line.endsWith(' HTTP/1.0')) return http10;
  return unknown;
}

/** Looks at `bytes[0, length)`, as far as the listener inspects (`tls`, `http`). */
export function detect(bytes: Buffer, length: number, tls: boolean, http: boolean): Detected {
  if (length === 0) return undecided;
  if (tls && bytes[0] === handshakeRecord) return detectTls(bytes, length);
  return http ? detectHttp(bytes, length) : unknown;
}
