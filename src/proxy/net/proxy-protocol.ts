/**
 * The header with which a proxy in front tells whose connection it passes on: versions 1 and 2 of the PROXY protocol
 * (haproxy.org/download/2.9/doc/proxy-protocol.txt).
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { Address } from './connection.ts';

export type ProxyHeader =
  /** Not enough bytes yet. */
  | { readonly kind: 'undecided' }
  /** The connection begins with something else. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly reason: string }
  | {
      readonly kind: 'header';
      readonly version: 1 | 2;
      /** Bytes of the header; what follows is the connection's own. */
      readonly length: number;
      /** Null for LOCAL and UNKNOWN: the socket's own addresses hold. */
      readonly source: Address | null;
      readonly destination: Address | null;
    };

const undecided: ProxyHeader = { kind: 'undecided' };
const absent: ProxyHeader = { kind: 'absent' };
const malformed = (reason: string): ProxyHeader => ({ kind: 'malformed', reason });

const signature1 = Buffer.from('PROXY ');
const signature2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
/** CRLF included. */
const maxLine1 = 107;
const fixed2 = 16;
/** Addresses and TLVs of version 2 together; a header may claim up to 65,535 and shall not be waited for so long. */
const maxVariable2 = 16_384;

function beginsLike(bytes: Buffer, length: number, signature: Buffer): boolean {
  const compared = Math.min(length, signature.length);
  return bytes.compare(signature, 0, compared, 0, compared) === 0;
}

/** Looks at `bytes[0, length)`. */
export function readProxyHeader(bytes: Buffer, length: number): ProxyHeader {
  if (length === 0) return undecided;
  if (beginsLike(bytes, length, signature2)) return length < fixed2 ? undecided : readVersion2(bytes, length);
  if (beginsLike(bytes, length, signature1))
    return length < signature1.length ? undecided : readVersion1(bytes, length);
  return absent;
}

/** `PROXY TCP4 192.0.2.1 198.51.100.7 4000 443\r\n` */
function readVersion1(bytes: Buffer, length: number): ProxyHeader {
  const lineEnd = bytes.subarray(0, Math.min(length, maxLine1)).indexOf('\r\n');
  if (lineEnd < 0) return length < maxLine1 ? undecided : malformed('the line is longer than 107 bytes');
  const parts = bytes.toString('latin1', signature1.length, lineEnd).split(' ');
  const header = { kind: 'header', version: 1, length: lineEnd + 2 } as const;
  // What follows UNKNOWN is to be ignored (§2.1).
  if (parts[0] === 'UNKNOWN') return { ...header, source: null, destination: null };
  const isAddress = parts[0] === 'TCP4' ? isIPv4 : parts[0] === 'TCP6' ? isIPv6 : null;
  if (isAddress === null) return malformed(`${JSON.stringify(parts[0])} is none of TCP4, TCP6 and UNKNOWN`);
  const [, from, to, fromPort, toPort] = parts;
  if (parts.length !== 5) return malformed('the line does not hold two addresses and two ports');
  if (!isAddress(from) || !isAddress(to)) return malformed(`an address is not of ${parts[0]}`);
  const ports = [fromPort, toPort].map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : -1));
  if (ports.some((port) => port < 0 || port > 65_535)) return malformed('a port is no number up to 65535');
  return { ...header, source: { ip: from, port: ports[0] }, destination: { ip: to, port: ports[1] } };
}

function readVersion2(bytes: Buffer, length: number): ProxyHeader {
  const version = bytes[12] >> 4;
  const command = bytes[12] & 15;
  if (version !== 2) return malformed(`version ${version} is unknown`);
  if (command > 1) return malformed(`command ${command} is neither LOCAL nor PROXY`);
  const variable = bytes.readUInt16BE(14);
  if (variable > maxVariable2) return malformed(`${variable} bytes of addresses and TLVs are too many`);
  const family = bytes[13] >> 4;
  const needs = family === 1 ? 12 : family === 2 ? 36 : 0;
  if (command === 1) {
    if (needs === 0) return malformed(`address family ${family} is neither IPv4 nor IPv6`);
    if ((bytes[13] & 15) !== 1) return malformed('the protocol is not a stream');
    if (variable < needs) return malformed(`${variable} bytes cannot hold the addresses`);
  }
  const total = fixed2 + variable;
  if (length < total) return undecided;
  const header = { kind: 'header', version: 2, length: total } as const;
  if (command === 0) return { ...header, source: null, destination: null };
  const size = family === 1 ? 4 : 16;
  for (let at = fixed2 + needs; at < total; ) {
    if (at + 3 > total) return malformed('a TLV is cut off');
    at += 3 + bytes.readUInt16BE(at + 1);
    if (at > total) return malformed('a TLV is longer than the header');
  }
  return {
    ...header,
    source: { ip: ipText(bytes, fixed2, size), port: bytes.readUInt16BE(fixed2 + 2 * size) },
    destination: { ip: ipText(bytes, fixed2 + size, size), port: bytes.readUInt16BE(fixed2 + 2 * size + 2) },
  };
}

/** Null for both ends says nothing of them: UNKNOWN, or LOCAL. Addresses of different families are written as IPv6. */
export function writeProxyHeader(version: 1 | 2, source: Address | null, destination: Address | null): Buffer {
  const known = source !== null && destination !== null && isIP(source.ip) !== 0 && isIP(destination.ip) !== 0;
  if (!known)
    return version === 1 ? Buffer.from('PROXY UNKNOWN\r\n') : Buffer.concat([signature2, Buffer.of(0x20, 0, 0, 0)]);
  const is4 = isIPv4(source.ip) && isIPv4(destination.ip);
  if (version === 1) {
    const [from, to] = [source, destination].map(({ ip }) => (is4 || isIPv6(ip) ? ip : `::ffff:${ip}`));
    return Buffer.from(`PROXY ${is4 ? 'TCP4' : 'TCP6'} ${from} ${to} ${source.port} ${destination.port}\r\n`);
  }
  const addresses = [source, destination].map(({ ip }) =>
    is4 ? Buffer.from(ip.split('.').map(Number)) : ipv6Bytes(ip),
  );
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(source.port, 0);
  tail.writeUInt16BE(destination.port, 2);
  const head = Buffer.of(0x21, is4 ? 0x11 : 0x21, 0, is4 ? 12 : 36);
  return Buffer.concat([signature2, head, ...addresses, tail]);
}

function ipv6Bytes(ip: string): Buffer {
  const bytes = Buffer.alloc(16);
  const whole = isIPv4(ip) ? `::ffff:${ip}` : ip;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(whole);
  const hex = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16);
  const text = dotted ? `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}` : whole;
  const [before, after] = text.split('::').map((part) => (part === '' ? [] : part.split(':')));
  for (const [i, group] of before.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  for (const [i, group] of (after ?? []).entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), 16 - ((after ?? []).length - i) * 2);
  return bytes;
}

function ipText(bytes: Buffer, at: number, size: number): string {
  return size === 4 ? bytes.subarray(at, at + 4).join('.') : ipv6Text(bytes, at);
}

/** RFC 5952: lower case, no leading zeros, the longest run of zero groups as `::`. */
export function ipv6Text(bytes: Buffer, at: number): string {
  const groups: string[] = [];
  for (let i = 0; i < 8; i++) groups.push(bytes.readUInt16BE(at + 2 * i).toString(16));
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === '0') run++;
    if (run > bestLength) {
      bestStart = i;
      bestLength = run;
    }
  }
  if (bestStart < 0) return groups.join(':');
  return `${groups.slice(0, bestStart).join(':')}::${groups.slice(bestStart + bestLength).join(':')}`;
}
