import type { HeaderBlock } from './header-block.ts';
import { findNameId, hashStep, idSet, knownId } from './header-names.ts';
import { targetByte, tokenByte, valueByte } from './syntax.ts';

/**
 * Parses the head of an HTTP/1 message (RFC 9112) strictly: CRLF only, no folding, no space before a colon, no control
 * characters, one Content-Length, no Transfer-Encoding but `chunked`. What two parsers could read differently is refused,
 * since that is what request smuggling lives on.
 */

/** `parseHead` returns the head's length, or one of these. */
export const needMore = -1;
export const malformed = -2;
export const tooLarge = -3;
export const unsupportedCoding = -4;

export interface HeadLimits {
  readonly maxBytes: number;
  readonly maxFields: number;
}

/** Why the last head was refused, as Envoy names it in response code details. */
export const refusal = { details: '' };

const treated = idSet('host', 'content-length', 'transfer-encoding', 'connection', 'expect');
const hostId = knownId('host');
const contentLengthId = knownId('content-length');
const transferEncodingId = knownId('transfer-encoding');
const connectionId = knownId('connection');
const expectId = knownId('expect');
const maxMethodBytes = 64;
const maxReasonBytes = 1024;

function refuse(details: string, outcome = malformed): number {
  refusal.details = details;
  return outcome;
}

/** Compares ASCII letters in either case with a lower-case word. */
function equals(bytes: Buffer, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if ((bytes[start + i] | 0x20) !== word.charCodeAt(i)) return false;
  return true;
}

function readConnection(block: HeaderBlock, bytes: Buffer, start: number, end: number): void {
  if (equals(bytes, start, end, 'keep-alive')) block.keepAlive = true;
  else if (equals(bytes, start, end, 'close')) block.close = true;
  else {
    for (const option of bytes.toString('latin1', start, end).toLowerCase().split(',')) {
      const word = option.trim();
      if (word === 'close') block.close = true;
      else if (word === 'keep-alive') block.keepAlive = true;
      else if (word === 'upgrade') block.upgrade = true;
      else if (word !== '' && word !== 'te' && word !== 'http2-settings' && word !== 'proxy-connection')
        block.nominates = true;
    }
  }
}

/** Digits only, at most 15 of them, which a double holds exactly; -1 otherwise. */
export function readLength(bytes: Buffer, start: number, end: number): number {
  if (start === end || end - start > 15) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function readFraming(block: HeaderBlock, id: number, bytes: Buffer, start: number, end: number): number {
  if (id === hostId) {
    if (block.host >= 0) return refuse('http1.codec_error');
    block.host = block.count;
  } else if (id === contentLengthId) {
    if (block.contentLength >= 0) return refuse('http1.codec_error');
    block.contentLength = readLength(bytes, start, end);
    if (block.contentLength < 0) return refuse('http1.codec_error');
  } else if (id === transferEncodingId) {
    if (block.chunked || !equals(bytes, start, end, 'chunked')) block.otherCoding = true;
    block.chunked = true;
  } else if (id === connectionId) readConnection(block, bytes, start, end);
  else if (id === expectId && equals(bytes, start, end, '100-continue')) block.expectContinue = true;
  return 0;
}

/**
 * Reads fields from `from` up to and with the blank line; returns the index after it, or a negative outcome. `base` is
 * where the block's bytes begin. Also reads trailers.
 */
export function parseFields(
  block: HeaderBlock,
  bytes: Buffer,
  base: number,
  from: number,
  end: number,
  maxFields: number,
): number {
  let i = from;
  for (;;) {
    if (i >= end) return needMore;
    if (bytes[i] === 13) {
      if (i + 1 >= end) return needMore;
      return bytes[i + 1] === 10 ? i + 2 : refuse('http1.codec_error');
    }
    const nameStart = i;
    let hash = 0;
    let byte = bytes[i];
    while (tokenByte[byte] === 1) {
      hash = hashStep(hash, byte);
      if (++i >= end) return needMore;
      byte = bytes[i];
    }
    if (byte !== 58 || i === nameStart) return refuse('http1.codec_error');
    const nameEnd = i++;
    while (i < end && (bytes[i] === 32 || bytes[i] === 9)) i++;
    const valueStart = i;
    while (i < end && valueByte[bytes[i]] === 1) i++;
    if (i >= end) return needMore;
    if (bytes[i] !== 13) return refuse('http1.codec_error');
    if (i + 1 >= end) return needMore;
    if (bytes[i + 1] !== 10) return refuse('http1.codec_error');
    let valueEnd = i;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === 32 || bytes[valueEnd - 1] === 9)) valueEnd--;
    i += 2;
    if (block.count >= maxFields) return refuse('request_headers_too_large', tooLarge);
    if (block.count === block.ids.length) block.growFields();
    const id = findNameId(hash, bytes, nameStart, nameEnd);
    if (treated[id] === 1) {
      const outcome = readFraming(block, id, bytes, valueStart, valueEnd);
      if (outcome < 0) return outcome;
    }
    const place = block.count * 4;
    block.ids[block.count] = id;
    block.at[place] = nameStart - base;
    block.at[place + 1] = nameEnd - base;
    block.at[place + 2] = valueStart - base;
    block.at[place + 3] = valueEnd - base;
    block.count++;
  }
}

/** `HTTP/1.0` or `HTTP/1.1` at `i`: its minor version; needMore or malformed otherwise. */
function readVersion(bytes: Buffer, i: number, end: number): number {
  const word = 'HTTP/1.';
  for (let k = 0; k < word.length; k++) {
    if (i + k >= end) return needMore;
    if (bytes[i + k] !== word.charCodeAt(k)) return refuse('http1.codec_error');
  }
  if (i + 7 >= end) return needMore;
  const minor = bytes[i + 7] - 48;
  return minor === 0 || minor === 1 ? minor : refuse('http1.codec_error');
}

function finish(block: HeaderBlock, bytes: Buffer, base: number, i: number, end: number, limits: HeadLimits): number {
  block.fieldsStart = i - base;
  const next = parseFields(block, bytes, base, i, end, limits.maxFields);
  if (next < 0) return next;
  if (block.chunked && (block.contentLength >= 0 || block.minorVersion === 0)) {
    return refuse('http1.content_length_and_chunked_not_allowed');
  }
  if (block.otherCoding) return refuse('http1.invalid_transfer_encoding', unsupportedCoding);
  block.adopt(bytes, base, next);
  return next - base;
}

function requestHead(block: HeaderBlock, bytes: Buffer, base: number, end: number, limits: HeadLimits): number {
  let i = base;
  while (i < end && tokenByte[bytes[i]] === 1) {
    if (i - base >= maxMethodBytes) return refuse('http1.codec_error');
    i++;
  }
  if (i >= end) return needMore;
  if (bytes[i] !== 32 || i === base) return refuse('http1.codec_error');
  block.methodEnd = i - base;
  const targetStart = ++i;
  while (i < end && targetByte[bytes[i]] === 1) i++;
  if (i >= end) return needMore;
  if (bytes[i] === 35) return refuse('path_normalization_failed');
  if (bytes[i] !== 32 || i === targetStart) return refuse('http1.invalid_url');
  block.targetStart = targetStart - base;
  block.targetEnd = i - base;
  const minor = readVersion(bytes, ++i, end);
  if (minor < 0) return minor;
  block.minorVersion = minor;
  i += 8;
  if (i >= end) return needMore;
  if (bytes[i] !== 13) return refuse('http1.codec_error');
  if (i + 1 >= end) return needMore;
  if (bytes[i + 1] !== 10) return refuse('http1.codec_error');
  return finish(block, bytes, base, i + 2, end, limits);
}

function responseHead(block: HeaderBlock, bytes: Buffer, base: number, end: number, limits: HeadLimits): number {
  const minor = readVersion(bytes, base, end);
  if (minor < 0) return minor;
  block.minorVersion = minor;
  let i = base + 8;
  if (i + 4 > end) return needMore;
  if (bytes[i] !== 32) return refuse('http1.codec_error');
  let status = 0;
  for (let k = 1; k <= 3; k++) {
    const digit = bytes[i + k] - 48;
    if (digit < 0 || digit > 9) return refuse('http1.codec_error');
    status = status * 10 + digit;
  }
  if (status < 100) return refuse('http1.codec_error');
  block.status = status;
  i += 4;
  if (i >= end) return needMore;
  if (bytes[i] === 32) {
    const reasonStart = i;
    while (i < end && valueByte[bytes[i]] === 1) {
      if (i - reasonStart > maxReasonBytes) return refuse('http1.codec_error');
      i++;
    }
    if (i >= end) return needMore;
  }
  if (bytes[i] !== 13) return refuse('http1.codec_error');
  if (i + 1 >= end) return needMore;
  if (bytes[i + 1] !== 10) return refuse('http1.codec_error');
  return finish(block, bytes, base, i + 2, end, limits);
}

/**
 * Parses a head in `bytes[start, end)` into a cleared `block`, which takes a copy. Returns the head's length or a
 * negative outcome; after `needMore` the block must be cleared and the same bytes given again with more behind them.
 */
export function parseHead(
  block: HeaderBlock,
  bytes: Buffer,
  start: number,
  end: number,
  request: boolean,
  limits: HeadLimits,
): number {
  const bounded = Math.min(end, start + limits.maxBytes);
  const parse = request ? requestHead : responseHead;
  const outcome = parse(block, bytes, start, bounded, limits);
  if (outcome === needMore && end - start >= limits.maxBytes) return refuse('request_headers_too_large', tooLarge);
  return outcome;
}
