/**
 * gRPC over `node:http2`, as much of it as the mesh speaks: unary calls and bidirectional streams, no compression.
 * docs/adr/0002-own-grpc.md has the measurements behind it.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { frameMessage, MessageReader } from './message.ts';
import { codeOf, codeOfHttpStatus, decodeGrpcMessage, GrpcError } from './status.ts';

// Not by an import statement, which a bundle carries out at its start: 5 MB in proxies that have no control plane.
const { connect: connectHttp2, constants } = process.getBuiltinModule('node:http2');

/** Where a gRPC server is and how each side proves itself. The functions are asked at every new connection, so renewed files count. */
export interface GrpcTarget {
  host: string;
  port: number;
  /** `null` speaks plaintext HTTP/2 (prior knowledge). */
  tls: {
    /** Name that the server's certificate must carry; `host` unless told. */
    serverName?: string;
    /** PEM of the roots that may have signed it. */
    roots(): string | Buffer | Promise<string | Buffer>;
    /** Mesh certificate chain and key in PEM, or null to show none. */
    certificate?(): { chain: string | Buffer; key: string | Buffer } | null;
  } | null;
  /** Bearer token, or null for none. */
  token?(): string | null | Promise<string | null>;
}

export interface ChannelOptions {
  connectTimeoutMs?: number;
  /** PING when nothing was read for so long; no answer within 10 s ends the connection. */
  keepaliveMs?: number;
  maxMessageBytes?: number;
  signal?: AbortSignal;
}

export interface ClientCall {
  /** Sends one encoded message. */
  send(message: Uint8Array): void;
  /** Bytes accepted by `send` and not yet taken by the network. */
  readonly queuedBytes: number;
  /** No more messages from this side. */
  end(): void;
  cancel(): void;
}

export interface CallHandlers {
  onMessage(message: Buffer): void;
  /** Exactly once; null when the server ended with status OK. */
  onEnd(error: GrpcError | null): void;
}

const keepaliveTimeoutMs = 10_000;
const windowBytes = 1 << 20;
/** Node's own 10 is less than one large message. */
const maxSessionMegabytes = 128;

/** One connection to a server. */
export class GrpcChannel {
  readonly #session: ClientHttp2Session;
  readonly #token: string | null;
  readonly #maxMessageBytes: number;

  constructor(session: ClientHttp2Session, token: string | null, maxMessageBytes: number) {
    this.#session = session;
    this.#token = token;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Starts a call of `/package.Service/Method`. */
  call(path: string, handlers: CallHandlers, timeoutMs?: number): ClientCall {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      'user-agent': 'lateen',
      te: 'trailers',
      ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
      ...(timeoutMs === undefined ? {} : { 'grpc-timeout': `${Math.ceil(timeoutMs)}m` }),
    });
    return followCall(stream, handlers, this.#maxMessageBytes, timeoutMs);
  }

  /** Why the connection broke is told to its calls. */
  close(): void {
    this.#session.destroy();
  }
}

function followCall(
  stream: ClientHttp2Stream,
  handlers: CallHandlers,
  maxMessageBytes: number,
  timeoutMs?: number,
): ClientCall {
  const reader = new MessageReader(maxMessageBytes);
  let outcome: GrpcError | null | undefined;
  let failure: GrpcError | undefined;
  let timer: NodeJS.Timeout | undefined;
  const fail = (error: GrpcError) => {
    failure ??= error;
    stream.close(constants.NGHTTP2_CANCEL);
  };
  const readStatus = (headers: { [name: string]: unknown }) => {
    const status = headers['grpc-status'];
    if (typeof status !== 'string') return false;
    const message = decodeGrpcMessage(String(headers['grpc-message'] ?? ''));
    outcome = status === '0' ? null : new GrpcError(codeOf(status), message);
    return true;
  };
  if (timeoutMs !== undefined)
    timer = setTimeout(() => fail(new GrpcError('deadlineExceeded', `no answer within ${timeoutMs} ms`)), timeoutMs);
  stream.on('response', (headers) => {
    const status = Number(headers[':status']);
    if (!readStatus(headers) && status !== 200)
      fail(new GrpcError(codeOfHttpStatus(status), `the server answered with HTTP status ${status}`));
  });
  stream.on('trailers', readStatus);
  stream.on('data', (chunk: Buffer) => {
    try {
      for (const message of reader.push(chunk)) if (!failure) handlers.onMessage(message);
    } catch (error) {
      fail(error instanceof GrpcError ? error : new GrpcError('internal', String(error)));
    }
  });
  stream.on('error', (error: Error) => {
    // A server may answer and reset before it has read everything: the answer counts.
    if (outcome === undefined) failure ??= new GrpcError('unavailable', error.message);
  });
  stream.once('close', () => {
    clearTimeout(timer);
    const lost = new GrpcError('unavailable', 'the connection was lost');
    handlers.onEnd(failure ?? (outcome === undefined ? lost : outcome));
  });
  return {
    send(message) {
      if (!stream.destroyed && !stream.closed) stream.write(frameMessage(message));
    },
    get queuedBytes() {
      return stream.writableLength;
    },
    end() {
      stream.end();
    },
    cancel: () => fail(new GrpcError('cancelled', 'cancelled by the caller')),
  };
}

/** Connects; throws `GrpcError` `unavailable` (with the reason) when that fails. */
export async function openChannel(target: GrpcTarget, options: ChannelOptions = {}): Promise<GrpcChannel> {
  const { connectTimeoutMs = 10_000, keepaliveMs = 30_000, maxMessageBytes = 64 << 20, signal } = options;
  const where = `${target.host}:${target.port}`;
  const unavailable = (reason: string) => new GrpcError('unavailable', `${where}: ${reason}`);
  const token = (await target.token?.()) ?? null;
  const socket = await dial(target, connectTimeoutMs, signal).catch((error: Error) => {
    throw unavailable(error.message);
  });
  const authority = `${target.tls ? 'https' : 'http'}://${target.tls?.serverName ?? target.host}:${target.port}`;
  const session = connectHttp2(authority, {
    createConnection: () => socket,
    maxSessionMemory: maxSessionMegabytes,
    settings: { initialWindowSize: windowBytes, enablePush: false },
  });
  session.once('connect', () => session.setLocalWindowSize(windowBytes));
  // Told to the calls through their own streams; without a listener it would end the process.
  session.on('error', () => {});
  session.on('goaway', () => session.close());
  keepAlive(session, socket, keepaliveMs);
  return new GrpcChannel(session, token, maxMessageBytes);
}

function keepAlive(session: ClientHttp2Session, socket: Socket, keepaliveMs: number): void {
  let seenBytes = 0;
  const timer = setInterval(() => {
    if (socket.bytesRead !== seenBytes) {
      seenBytes = socket.bytesRead;
      return;
    }
    const late = setTimeout(
      () => session.destroy(new Error(`no answer to a ping within ${keepaliveTimeoutMs} ms`)),
      keepaliveTimeoutMs,
    );
    const sent = session.ping(() => clearTimeout(late));
    if (!sent) clearTimeout(late);
  }, keepaliveMs);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}

async function dial(target: GrpcTarget, timeoutMs: number, signal?: AbortSignal): Promise<Socket> {
  const { host, port, tls } = target;
  const material = tls && { ca: await tls.roots(), ...identity(tls.certificate?.() ?? null) };
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const serverName = tls?.serverName ?? host;
    const isIp = /^[\d.]+$|:/.test(serverName);
    const socket = material
      ? connectTls({
          host,
          port,
          ...material,
          ...(isIp ? {} : { servername: serverName }),
          ALPNProtocols: ['h2'],
          minVersion: 'TLSv1.2',
        })
      : connectTcp({ host, port });
    const give = (error: Error) => {
      socket.destroy();
      done(() => reject(error));
    };
    const onAbort = () => give(new Error('stopped'));
    const done = (then: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.removeListener('error', give);
      then();
    };
    const timer = setTimeout(() => give(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('error', give);
    socket.setNoDelay(true);
    socket.once(material ? 'secureConnect' : 'connect', () => done(() => resolve(socket)));
  });
}

function identity(shown: { chain: string | Buffer; key: string | Buffer } | null) {
  return shown ? { cert: shown.chain, key: shown.key } : {};
}

/** One request, one response, on a connection of its own. */
export async function callUnary(
  target: GrpcTarget,
  path: string,
  request: Uint8Array,
  options: ChannelOptions & { timeoutMs: number },
): Promise<Buffer> {
  const channel = await openChannel(target, { ...options, connectTimeoutMs: options.timeoutMs });
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      let answer: Buffer | undefined;
      const call = channel.call(
        path,
        {
          onMessage(message) {
            answer = message;
          },
          onEnd(error) {
            if (error) reject(error);
            else if (answer) resolve(answer);
            else reject(new GrpcError('internal', `${path}: the server answered without a message`));
          },
        },
        options.timeoutMs,
      );
      call.send(request);
      call.end();
    });
  } finally {
    channel.close();
  }
}
