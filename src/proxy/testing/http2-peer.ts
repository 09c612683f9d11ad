/** A peer that speaks HTTP/2 frame by frame, for tests: it sends exactly what it is told, right or wrong. */
import { connect, type Socket } from 'node:net';
import { preface } from '../codec/http2-frames.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal field without indexing and without Huffman code. */
export function field(name: string, value: string): Buffer {
  const length = (text: string): Buffer => {
    if (text.length < 127) return Buffer.from([text.length]);
    const bytes = [127];
    let rest = text.length - 127;
    for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
    return Buffer.from([...bytes, rest]);
  };
  return Buffer.concat([
    Buffer.from([0]),
    length(name),
    Buffer.from(name, 'latin1'),
    length(value),
    Buffer.from(value, 'latin1'),
  ]);
}

export const fields = (...pairs: ReadonlyArray<readonly [string, string]>): Buffer =>
  Buffer.concat(pairs.map(([name, value]) => field(name, value)));

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

export const settings = (...pairs: ReadonlyArray<readonly [number, number]>): Buffer =>
  Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 255]), uint32(value)])));

export const request: ReadonlyArray<readonly [string, string]> = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'shop'],
  [':path', '/'],
];

export class Http2Peer {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  closed = false;
  private kept: Buffer = Buffer.alloc(0);
  private readonly waits: Array<() => void> = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.kept = Buffer.concat([this.kept, bytes]);
      while (this.kept.length >= 9) {
        const size = this.kept.readUIntBE(0, 3);
        if (this.kept.length < 9 + size) break;
        this.frames.push({
          type: this.kept[3],
          flags: this.kept[4],
          stream: this.kept.readUInt32BE(5),
          payload: this.kept.subarray(9, 9 + size),
        });
        this.kept = this.kept.subarray(9 + size);
      }
      this.tell();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.tell();
    });
  }

  static async to(port: number): Promise<Http2Peer> {
    const socket = connect(port, '127.0.0.1');
    const peer = new Http2Peer(socket);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    return peer;
  }

  /** Preface and an empty SETTINGS. */
  greet(given: Buffer = Buffer.alloc(0)): this {
    return this.send(preface, frame(4, 0, 0, given));
  }

  send(...pieces: readonly Buffer[]): this {
    if (!this.closed) this.socket.write(Buffer.concat(pieces));
    return this;
  }

  private tell(): void {
    for (const wait of this.waits.splice(0)) wait();
  }

  async until(test: () => boolean): Promise<void> {
    while (!test() && !this.closed) await new Promise<void>((resolve) => this.waits.push(resolve));
  }

  /** The first frame of this type, and of this stream if one is named; undefined when the connection ended without. */
  async next(type: number, stream: number | null = null): Promise<Frame | undefined> {
    const find = () => this.frames.find((one) => one.type === type && (stream === null || one.stream === stream));
    await this.until(() => find() !== undefined);
    return find();
  }

  /** How the peer ended what it was sent: `GOAWAY n`, `RST n`, or `closed`. */
  async ending(stream = 1): Promise<string> {
    const goaway = () => this.frames.find(({ type }) => type === 7);
    const reset = () => this.frames.find((one) => one.type === 3 && one.stream === stream);
    await this.until(() => goaway() !== undefined || reset() !== undefined);
    const [first] = [reset(), goaway()].filter((one) => one !== undefined);
    if (first === undefined) return 'closed';
    return first.type === 7 ? `GOAWAY ${first.payload.readUInt32BE(4)}` : `RST ${first.payload.readUInt32BE(0)}`;
  }

  stop(): void {
    this.socket.destroy();
  }
}
