/** DNS over one TCP connection (RFC 7766): messages with their lengths before them, answered as the answers come, in whatever order. */
import type { Socket } from 'node:net';
import { framed } from './forwarder.ts';
import { maxQueryBytes } from './message.ts';
import type { Responder } from './responder.ts';

export interface StreamLimits {
  /** A connection without a whole query for so long is closed. */
  readonly idleMs: number;
  /** Queries of one connection under way; the next are read when these are answered. */
  readonly maxPipelined: number;
  /** A client that lets more answers than these pile up is dropped. */
  readonly maxQueuedBytes: number;
}

export function serveStream(socket: Socket, responder: Responder, limits: StreamLimits): void {
  const { counters } = responder;
  let pending: Buffer = Buffer.alloc(0);
  let under = 0;
  let ended = false;

  const drop = () => {
    counters.closed++;
    socket.destroy();
  };
  let timer = setTimeout(drop, limits.idleMs);
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(drop, limits.idleMs);
  };

  function answer(reply: Buffer | null): void {
    under--;
    if (socket.destroyed) return;
    if (reply !== null) socket.write(framed(reply));
    if (socket.writableLength > limits.maxQueuedBytes) drop();
    else take();
  }

  /** Hands on what is whole, as far as it may. */
  function take(): void {
    while (under < limits.maxPipelined && pending.length >= 2) {
      const length = pending.readUInt16BE(0);
      if (length > maxQueryBytes) {
        drop();
        return;
      }
      if (pending.length < 2 + length) break;
      // A copy: the rest of what was read need not wait for this one's answer.
      const query = Buffer.from(pending.subarray(2, 2 + length));
      pending = pending.subarray(2 + length);
      under++;
      wait();
      responder.handle(query, 'tcp', (reply) => setImmediate(answer, reply));
    }
    if (under >= limits.maxPipelined) socket.pause();
    else if (ended && under === 0) socket.end();
    else socket.resume();
  }

  socket.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    take();
  });
  socket.on('end', () => {
    ended = true;
    take();
  });
  socket.on('error', () => {});
  socket.on('close', () => clearTimeout(timer));
}
