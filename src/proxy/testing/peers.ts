/** Real sockets on loopback for tests: origins that answer as told, and callers that say what they are told. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Exchange, TcpSession, Telemetry } from '../http/exchange.ts';
import type { Secrets } from '../net/secrets.ts';

/** A TCP server on port 0; `onConnection` gets every socket. */
export class Origin {
  private readonly server: Server;
  readonly sockets: Set<Socket> = new Set();
  port = 0;
  connections = 0;

  constructor(onConnection: (socket: Socket) => void) {
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {});
      onConnection(socket);
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = (this.server.address() as { port: number }).port;
    return this;
  }

  stop(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

export interface ReceivedRequest {
  /** Request line and headers, CRLF between, without the blank line. */
  readonly head: string;
  readonly body: string;
  readonly socket: Socket;
  /** Ordinal of its connection, from 1. */
  readonly connection: number;
}

/** Splits a stream of HTTP/1.1 requests with a length, in chunks, or without body. */
export function httpOrigin(answer: (request: ReceivedRequest) => string | Buffer | null): Origin {
  const origin: Origin = new Origin((socket) => {
    const connection = origin.connections;
    let kept = Buffer.alloc(0);
    socket.on('end', () => socket.end());
    socket.on('data', (bytes: Buffer) => {
      kept = Buffer.concat([kept, bytes]);
      for (;;) {
        const headEnd = kept.indexOf('\r\n\r\n');
        if (headEnd < 0) return;
        const head = kept.toString('latin1', 0, headEnd);
        let end = headEnd + 4;
        let body = '';
        const length = /^content-length: *(\d+)/im.exec(head);
        if (/^transfer-encoding: *chunked/im.test(head)) {
          const last = kept.indexOf('0\r\n\r\n', end);
          if (last < 0) return;
          const text = kept.toString('latin1', end, last);
          for (let at = 0; at < text.length; ) {
            const sizeEnd = text.indexOf('\r\n', at);
            const size = Number.parseInt(text.slice(at, sizeEnd), 16);
            body += text.slice(sizeEnd + 2, sizeEnd + 2 + size);
            at = sizeEnd + 4 + size;
          }
          end = last + 5;
        } else if (length !== null) {
          end += Number(length[1]);
          if (kept.length < end) return;
          body = kept.toString('latin1', headEnd + 4, end);
        }
        kept = kept.subarray(end);
        const reply = answer({ head, body, socket, connection });
        if (reply !== null && !socket.destroyed) socket.write(reply);
      }
    });
  });
  return origin;
}

/** `200` with this body. */
export function ok(body: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A caller that collects what it is sent. */
export class Caller {
  readonly socket: Socket;
  received = '';
  closed = false;
  ended = false;
  private readonly waits: Array<() => void> = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.toString('latin1');
      this.tell();
    });
    socket.on('end', () => {
      this.ended = true;
      this.tell();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.tell();
    });
  }

  static async to(port: number): Promise<Caller> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const caller = new Caller(socket);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    return caller;
  }

  private tell(): void {
    for (const wait of this.waits.splice(0)) wait();
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  async until(test: () => boolean): Promise<void> {
    while (!test()) {
      if (this.closed) throw new Error(`the connection was closed after: ${JSON.stringify(this.received.slice(-400))}`);
      await new Promise<void>((resolve) => this.waits.push(resolve));
    }
  }

  /** Waits for as many whole responses with a length, and returns what came up to the end of the last. */
  async responses(count = 1): Promise<string> {
    let end = 0;
    const complete = () => {
      end = 0;
      for (let i = 0; i < count; i++) {
        const headEnd = this.received.indexOf('\r\n\r\n', end);
        if (headEnd < 0) return false;
        const head = this.received.slice(end, headEnd);
        const length = /^content-length: *(\d+)/im.exec(head);
        if (/^transfer-encoding: *chunked/im.test(head)) {
          const last = this.received.indexOf('\r\n0\r\n\r\n', headEnd);
          if (last < 0) return false;
          end = last + 7;
        } else end = headEnd + 4 + Number(length?.[1] ?? 0);
      }
      return this.received.length >= end;
    };
    await this.until(complete);
    const text = this.received.slice(0, end);
    this.received = this.received.slice(end);
    return text;
  }

  async finished(): Promise<string> {
    while (!this.closed && !this.ended) await new Promise<void>((resolve) => this.waits.push(resolve));
    return this.received;
  }

  stop(): void {
    this.socket.destroy();
  }
}

/** Tells the test what the data path told telemetry. */
export class Witness implements Telemetry {
  readonly finished: Array<{
    status: number;
    flags: string;
    details: string;
    attempts: number;
    path: string;
    requestBytes: number;
    responseBytes: number;
    requestId: string;
    cluster: string;
    upstreamFailure: string;
    alpn: string;
  }> = [];
  readonly opened: TcpSession[] = [];
  readonly ended: TcpSession[] = [];
  private readonly waits: Array<() => void> = [];

  during(): void {}

  finish(exchange: Exchange): void {
    this.finished.push({
      status: exchange.status,
      flags: exchange.flags,
      details: exchange.details,
      attempts: exchange.attempts,
      path: exchange.path,
      requestBytes: exchange.requestBodyBytes,
      responseBytes: exchange.responseBodyBytes,
      requestId: exchange.header('x-request-id') ?? '',
      cluster: exchange.cluster?.name ?? '',
      upstreamFailure: exchange.upstreamFailure,
      alpn: exchange.connection.alpn,
    });
    this.tell();
  }

  adopt(): void {}

  tcpOpened(session: TcpSession): void {
    this.opened.push(session);
    this.tell();
  }

  tcpClosed(session: TcpSession): void {
    this.ended.push(session);
    this.tell();
  }

  private tell(): void {
    for (const wait of this.waits.splice(0)) wait();
  }

  async until(test: (witness: this) => boolean): Promise<void> {
    while (!test(this)) await new Promise<void>((resolve) => this.waits.push(resolve));
  }
}

export const noSecrets: Secrets = { context: () => null };
