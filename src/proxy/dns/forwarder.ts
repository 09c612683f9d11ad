/**
 * Questions that the table does not answer go to the resolvers of /etc/resolv.conf, by the protocol they came by: what is too long for UDP is
 * said to be (TC) and asked again by TCP. Each has a socket of its own, so that its port and its number are nothing that a stranger could guess
 * (RFC 5452 §4.5), and the number of questions under way is the number of sockets.
 */
import { randomInt } from 'node:crypto';
import { connect, isIPv6 } from 'node:net';
import type { DnsCounters } from './counters.ts';
import { isReplyTo, maxTcpBytes, type Query } from './message.ts';

export interface Resolver {
  readonly host: string;
  readonly port: number;
}

export interface ForwarderOptions {
  readonly resolvers: readonly Resolver[];
  readonly counters: DnsCounters;
  /** How long one resolver has; 2 s unless told. */
  readonly attemptMs?: number;
  /** Questions under way at once, a socket each; 512 unless told. */
  readonly maxOutstanding?: number;
}

/** `busy`: too many are under way. `failed`: no resolver had an answer in time. */
export type Outcome = Buffer | 'busy' | 'failed';

/** More resolvers than these are not asked for one question: its sender has given up by then. */
const maxAttempts = 3;
/** Datagrams of strangers that one question outlives. */
const maxStrangers = 32;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #abandon = new Set<() => void>();
  #closed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  get outstanding(): number {
    return this.#abandon.size;
  }

  /** Asks one resolver after the other, beginning with any of them (Istio: `queryUpstream`); the reply has the question's number. Never throws. */
  async ask(bytes: Buffer, query: Query, protocol: 'udp' | 'tcp'): Promise<Outcome> {
    const { resolvers, counters, attemptMs = 2000, maxOutstanding = 512 } = this.#options;
    if (this.#abandon.size >= maxOutstanding) {
      counters.busy++;
      return 'busy';
    }
    counters.forwarded++;
    const number = bytes.readUInt16BE(0);
    const asked = Buffer.from(bytes);
    const first = resolvers.length > 0 ? randomInt(resolvers.length) : 0;
    for (let i = 0; i < Math.min(resolvers.length, maxAttempts) && !this.#closed; i++) {
      asked.writeUInt16BE(randomInt(65_536), 0);
      const exchange = protocol === 'udp' ? overUdp : overTcp;
      const reply = await this.#attempt(attemptMs, (done) =>
        exchange(resolvers[(first + i) % resolvers.length], asked, query, done),
      );
      if (reply === null) continue;
      reply.writeUInt16BE(number, 0);
      return reply;
    }
    counters.failed++;
    return 'failed';
  }

  /** Abandons what is under way. */
  close(): void {
    this.#closed = true;
    for (const abandon of this.#abandon) abandon();
  }

  /** Null when there is no reply, or none in time. `start` returns what ends it, which nothing follows. */
  #attempt(timeoutMs: number, start: (done: (reply: Buffer | null) => void) => () => void): Promise<Buffer | null> {
    return new Promise((resolve) => {
      const done = (reply: Buffer | null) => {
        if (!this.#abandon.delete(abandon)) return;
        clearTimeout(timer);
        stop();
        resolve(reply);
      };
      const abandon = () => done(null);
      this.#abandon.add(abandon);
      const timer = setTimeout(abandon, timeoutMs);
      let stop = () => {};
      try {
        stop = start(done);
      } catch {
        // No socket is left for it.
        done(null);
      }
    });
  }
}

type Exchange = (to: Resolver, asked: Buffer, query: Query, done: (reply: Buffer | null) => void) => () => void;

const overUdp: Exchange = ({ host, port }, asked, query, done) => {
  // Loaded by those who answer DNS alone.
  const { createSocket } = process.getBuiltinModule('node:dgram');
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  let strangers = 0;
  let stopped = false;
  socket.on('error', () => done(null));
  socket.on('message', (reply) => {
    if (isReplyTo(reply, asked, query)) done(reply);
    else if (++strangers > maxStrangers) done(null);
  });
  // Connected, the kernel lets nobody else answer, and tells when nobody listens.
  socket.connect(port, host, (error?: Error) => {
    if (error) done(null);
    else if (!stopped) socket.send(asked);
  });
  return () => {
    stopped = true;
    socket.close();
  };
};

const overTcp: Exchange = ({ host, port }, asked, query, done) => {
  const socket = connect({ host, port });
  const received: Buffer[] = [];
  let length = 0;
  /** Bytes, with the two that tell; unknown until these are here. */
  let wanted = Number.POSITIVE_INFINITY;
  socket.on('error', () => done(null));
  socket.on('close', () => done(null));
  socket.on('connect', () => socket.write(framed(asked)));
  socket.on('data', (chunk) => {
    received.push(chunk as Buffer);
    length += chunk.length;
    if (wanted === Number.POSITIVE_INFINITY && length >= 2) wanted = 2 + Buffer.concat(received).readUInt16BE(0);
    if (length < wanted) return;
    const reply = Buffer.concat(received).subarray(2, wanted);
    done(isReplyTo(reply, asked, query) ? reply : null);
  });
  return () => socket.destroy();
};

/** With its length before it (RFC 1035 §4.2.2). */
export function framed(message: Buffer): Buffer {
  if (message.length > maxTcpBytes) throw new RangeError(`a DNS message of ${message.length} bytes`);
  const frame = Buffer.allocUnsafe(2 + message.length);
  frame.writeUInt16BE(message.length);
  frame.set(message, 2);
  return frame;
}
