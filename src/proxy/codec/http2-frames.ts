/** Frames of HTTP/2 (RFC 9113 §4, §6): their numbers, and the writers of the small ones. */
import { output } from '../net/output.ts';
import type { Transport } from '../net/transport.ts';

export const dataFrame = 0;
export const headersFrame = 1;
export const priorityFrame = 2;
export const resetFrame = 3;
export const settingsFrame = 4;
export const pushPromiseFrame = 5;
export const pingFrame = 6;
export const goawayFrame = 7;
export const windowUpdateFrame = 8;
export const continuationFrame = 9;

export const endStreamFlag = 1;
export const ackFlag = 1;
export const endHeadersFlag = 4;
export const paddedFlag = 8;
export const priorityFlag = 32;

/** Error codes (RFC 9113 §7). */
export const noError = 0;
export const protocolError = 1;
export const internalError = 2;
export const flowControlError = 3;
export const settingsTimeout = 4;
export const streamClosed = 5;
export const frameSizeError = 6;
export const refusedStream = 7;
export const cancelled = 8;
export const compressionError = 9;
export const enhanceYourCalm = 11;

export const headerTableSize = 1;
export const enablePush = 2;
export const maxConcurrentStreams = 3;
export const initialWindowSize = 4;
export const maxFrameSize = 5;
export const maxHeaderListSize = 6;
export const enableConnectProtocol = 8;

export const frameHeaderBytes = 9;
export const defaultWindowBytes = 65_535;
export const defaultFrameBytes = 16_384;
export const largestWindowBytes = 2_147_483_647;

export const preface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** `output` must be claimed. */
export function putFrameHeader(length: number, type: number, flags: number, streamId: number): void {
  const { bytes } = output;
  const at = output.length;
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes[at + 5] = streamId >>> 24;
  bytes[at + 6] = streamId >>> 16;
  bytes[at + 7] = streamId >>> 8;
  bytes[at + 8] = streamId;
  output.length = at + frameHeaderBytes;
}

function put32(value: number): void {
  const { bytes } = output;
  const at = output.length;
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  output.length = at + 4;
}

/** `settings` is identifier, value, identifier, value. */
export function putSettings(transport: Transport, settings: readonly number[]): void {
  output.claim(transport, frameHeaderBytes + settings.length * 3);
  putFrameHeader(settings.length * 3, settingsFrame, 0, 0);
  for (let i = 0; i < settings.length; i += 2) {
    output.putByte(settings[i] >>> 8);
    output.putByte(settings[i] & 255);
    put32(settings[i + 1]);
  }
}

export function putSettingsAck(transport: Transport): void {
  output.claim(transport, frameHeaderBytes);
  putFrameHeader(0, settingsFrame, ackFlag, 0);
}

export function putReset(transport: Transport, streamId: number, code: number): void {
  output.claim(transport, frameHeaderBytes + 4);
  putFrameHeader(4, resetFrame, 0, streamId);
  put32(code);
}

export function putWindowUpdate(transport: Transport, streamId: number, bytes: number): void {
  output.claim(transport, frameHeaderBytes + 4);
  putFrameHeader(4, windowUpdateFrame, 0, streamId);
  put32(bytes);
}

/** `payload[at, at + 8)` comes back as it was sent. */
export function putPing(transport: Transport, ack: boolean, payload: Buffer, at: number): void {
  output.claim(transport, frameHeaderBytes + 8);
  putFrameHeader(8, pingFrame, ack ? ackFlag : 0, 0);
  output.put(payload, at, at + 8);
}

export function putGoaway(transport: Transport, lastStreamId: number, code: number): void {
  output.claim(transport, frameHeaderBytes + 8);
  putFrameHeader(8, goawayFrame, 0, 0);
  put32(lastStreamId);
  put32(code);
}

export function read32(bytes: Buffer, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
