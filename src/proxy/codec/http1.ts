/** Writes HTTP/1.1 messages into the output buffer; reading is in head.ts, head-reader.ts and body.ts. */
import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';
import type { HeaderBlock } from './header-block.ts';
import type { HeaderEdit } from './header-edit.ts';

// Not by an import statement: that reads every export of node:http, one of which loads undici (25 ms, 4 MB).
const { STATUS_CODES } = process.getBuiltinModule('node:http');

const statusLines: Array<Buffer | undefined> = [];

/** `HTTP/1.1 200 OK\r\n`; codes without a registered name say Unknown, as Envoy's do. */
function statusLine(status: number): Buffer {
  let line = statusLines[status];
  if (line === undefined) {
    const known = status === 418 || status === 509 ? undefined : STATUS_CODES[status];
    line = Buffer.from(`HTTP/1.1 ${status} ${known ?? 'Unknown'}\r\n`, 'latin1');
    statusLines[status] = line;
  }
  return line;
}

/** Fields of the head that was written last. */
export const lastHead = { fields: 0 };

/** Fields that were not skipped, in runs as long as the received bytes allow; then those that were added. */
function putFields(block: HeaderBlock | null, edit: HeaderEdit): void {
  let fields = edit.count;
  if (block !== null) {
    const { count, at } = block;
    for (let i = 0; i < count; i++) {
      if (edit.skips(i)) continue;
      let last = i;
      while (last + 1 < count && !edit.skips(last + 1)) last++;
      fields += last - i + 1;
      output.put(block.bytes, at[i * 4], last + 1 < count ? at[(last + 1) * 4] : block.length - 2);
      i = last;
    }
  }
  for (let i = 0; i < edit.count; i++) {
    output.putText(edit.names[i]);
    output.bytes[output.length++] = 58;
    output.bytes[output.length++] = 32;
    output.putText(edit.values[i]);
    output.putCrlf();
  }
  output.putCrlf();
  lastHead.fields = fields;
}

const version11 = Buffer.from(' HTTP/1.1\r\n');

/** Returns the bytes of the head. */
export function putRequestHead(
  transport: Transport,
  method: string,
  target: string,
  block: HeaderBlock,
  edit: HeaderEdit,
): number {
  output.claim(transport, block.length + edit.addedBytes + method.length + target.length + 64);
  const start = output.length;
  output.putText(method);
  output.putByte(32);
  output.putText(target);
  output.put(version11, 0, version11.length);
  putFields(block, edit);
  return output.length - start;
}

/** Length of a status line on the wire, its line end included. */
export const statusLineBytes = (status: number): number => statusLine(status).length;

export function putResponseHead(
  transport: Transport,
  status: number,
  block: HeaderBlock | null,
  edit: HeaderEdit,
): void {
  output.claim(transport, (block === null ? 0 : block.length) + edit.addedBytes + 128);
  const line = statusLine(status);
  output.put(line, 0, line.length);
  putFields(block, edit);
}

const continueLine = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');

export function putContinue(transport: Transport): void {
  output.claim(transport, 64);
  output.put(continueLine, 0, continueLine.length);
}

const maxPiece = 65_536;

/** Body bytes as they are, or as one chunk for each piece of at most 64 KiB. */
export function putBody(transport: Transport, bytes: Buffer, start: number, end: number, chunked: boolean): void {
  for (let from = start; from < end; from += maxPiece) {
    const to = Math.min(end, from + maxPiece);
    output.claim(transport, to - from + 16);
    if (chunked) {
      output.putHex(to - from);
      output.putCrlf();
    }
    output.put(bytes, from, to);
    if (chunked) output.putCrlf();
  }
}

const lastChunk = Buffer.from('0\r\n\r\n');

/** The end of a chunked body, with trailers if there are any. */
export function putLastChunk(transport: Transport, trailers: HeaderBlock | null): void {
  output.claim(transport, 16 + (trailers === null ? 0 : trailers.length));
  if (trailers === null) output.put(lastChunk, 0, lastChunk.length);
  else {
    output.put(lastChunk, 0, 3);
    output.put(trailers.bytes, 0, trailers.length);
  }
}
