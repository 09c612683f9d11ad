/** Both sides of DNS for tests: a client that says exactly these bytes, and a resolver that answers as it is told. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface Question {
  id?: number;
  name: string;
  type?: number;
  /** Size that the sender takes by UDP. */
  edns?: number;
}

export const encodedName = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter(Boolean)
      .map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')])),
    Buffer.of(0),
  ]);

export function question({ id = 7, name, type = 1, edns }: Question): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id);
  head[2] = 1;
  head[5] = 1;
  head[11] = edns === undefined ? 0 : 1;
  const option = edns === undefined ? [] : [Buffer.of(0, 0, 41, edns >> 8, edns & 255, 0, 0, 0x80, 0, 0, 0)];
  return Buffer.concat([head, encodedName(name), Buffer.of(0, type, 0, 1), ...option]);
}

export interface Reply {
  id: number;
  code: number;
  authoritative: boolean;
  truncated: boolean;
  question: string;
  /** `NAME TYPE DATA`, in order of text. */
  records: string[];
  edns: boolean;
}

export function readReply(bytes: Buffer): Reply {
  let at = 12;
  const name = (): string => {
    const labels: string[] = [];
    let back = -1;
    for (let steps = 0; steps < 130; steps++) {
      const length = bytes[at++];
      if (length >= 0xc0) {
        if (back < 0) back = at + 1;
        at = ((length & 63) << 8) | bytes[at];
      } else if (length === 0) break;
      else {
        labels.push(bytes.toString('latin1', at, at + length));
        at += length;
      }
    }
    if (back >= 0) at = back;
    return labels.join('.');
  };
  const asked = bytes.readUInt16BE(4) > 0 ? name() : '';
  if (bytes.readUInt16BE(4) > 0) at += 4;
  const records: string[] = [];
  let edns = false;
  for (let left = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10); left > 0; left--) {
    const owner = name();
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 8);
    at += 10;
    if (type === 41) edns = true;
    else if (type === 5) {
      const end = at + length;
      records.push(`${owner} CNAME ${name()}`);
      at = end;
      continue;
    } else {
      const data = bytes.subarray(at, at + length);
      records.push(`${owner} ${type === 1 ? `A ${[...data].join('.')}` : `${type} ${data.toString('hex')}`}`);
    }
    at += length;
  }
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes are left over`);
  return {
    id: bytes.readUInt16BE(0),
    code: bytes[3] & 15,
    authoritative: (bytes[2] & 4) !== 0,
    truncated: (bytes[2] & 2) !== 0,
    question: asked,
    records: records.sort(),
    edns,
  };
}

export async function askUdp(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = createSocket('udp4');
  try {
    socket.send(bytes, port, '127.0.0.1');
    const [reply] = await once(socket, 'message');
    return reply;
  } finally {
    socket.close();
  }
}

/** Says something and wants no answer. */
export async function tellUdp(port: number, bytes: Buffer): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.send(bytes, port, '127.0.0.1', () => resolve()));
  socket.close();
}

export const framed = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]);

/** The messages of a connection until it ends. */
export async function* messages(socket: Socket): AsyncGenerator<Buffer> {
  let pending = Buffer.alloc(0);
  for await (const chunk of socket) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0);
      yield pending.subarray(2, end);
      pending = pending.subarray(end);
    }
  }
}

/** Sends all and closes its side; the replies in the order in which they come. */
export async function askTcp(port: number, ...queries: Buffer[]): Promise<Buffer[]> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(Buffer.concat(queries.map(framed)));
  const replies: Buffer[] = [];
  for await (const reply of messages(socket)) replies.push(reply);
  return replies;
}

type Answer = Buffer | readonly Buffer[] | null;

/** `null` is silence; of several, all are sent. */
export type Answering = (query: Buffer, protocol: 'udp' | 'tcp') => Answer | Promise<Answer>;

/** A resolver on loopback, the same port by UDP and TCP. */
export class FakeResolver {
  readonly asked: Array<{ bytes: Buffer; protocol: 'udp' | 'tcp' }> = [];
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;
  readonly #answer: Answering;
  readonly #sockets = new Set<Socket>();
  #heard = () => {};

  static async start(answer: Answering): Promise<FakeResolver> {
    for (;;) {
      const tcp = createServer();
      tcp.listen(0, '127.0.0.1');
      await once(tcp, 'listening');
      const udp = createSocket('udp4');
      try {
        udp.bind((tcp.address() as AddressInfo).port, '127.0.0.1');
        await once(udp, 'listening');
        return new FakeResolver(udp, tcp, answer);
      } catch {
        // The number is taken by UDP: another.
        tcp.close();
      }
    }
  }

  private constructor(udp: DatagramSocket, tcp: Server, answer: Answering) {
    [this.#udp, this.#tcp, this.#answer] = [udp, tcp, answer];
    udp.on('message', async (query, from) => {
      for (const reply of [(await this.#take(query, 'udp')) ?? []].flat()) udp.send(reply, from.port, from.address);
    });
    tcp.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      // Whoever asked may leave at any time.
      void this.#serve(socket).catch(() => {});
    });
  }

  get port(): number {
    return this.#udp.address().port;
  }

  /** Resolves when `count` queries have come in all. */
  async heard(count: number): Promise<void> {
    while (this.asked.length < count)
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #serve(socket: Socket): Promise<void> {
    for await (const query of messages(socket)) {
      for (const reply of [(await this.#take(query, 'tcp')) ?? []].flat()) socket.write(framed(reply));
    }
  }

  #take(bytes: Buffer, protocol: 'udp' | 'tcp'): Answer | Promise<Answer> {
    this.asked.push({ bytes, protocol });
    this.#heard();
    return this.#answer(bytes, protocol);
  }
}

/** A reply that repeats the question, with one address of it. */
export function addressReply(query: Buffer, ip: readonly number[], more: Buffer = Buffer.alloc(0)): Buffer {
  const end = 12 + query.subarray(12).indexOf(0) + 5;
  const head = Buffer.from(query.subarray(0, end));
  head[2] |= 0x80;
  head.writeUInt16BE(1, 6);
  head.writeUInt16BE(0, 10);
  return Buffer.concat([head, Buffer.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...ip), more]);
}
