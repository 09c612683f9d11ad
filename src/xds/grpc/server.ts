/** The serving half of this folder: gRPC calls over `node:http2`, with limits on everything a client can make grow. */
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type PeerCertificate, type TLSSocket } from 'node:tls';
import { frameMessage, MessageReader } from './message.ts';
import { encodeGrpcMessage, GrpcError, grpcCodes } from './status.ts';

/** Of an error's text; the rest of it is for the log of this side. */
const maxMessageCharacters = 4096;

/** PEM. `clientRoots` are those whose client certificates count as verified. */
export interface ServerIdentity {
  chain: string;
  key: string;
  clientRoots: string;
}

export interface ServerCall {
  /** The token of `authorization: Bearer …`. */
  readonly token: string | null;
  /** The client's certificate if it showed one that a client root signed and that is valid now. */
  readonly peer: PeerCertificate | null;
  /** `address:port` of the client. */
  readonly remote: string;
  /** Aborts when the call is over, whoever ended it. */
  readonly signal: AbortSignal;
  /** Messages accepted by `send` that the network has not taken yet, bytes. */
  readonly queuedBytes: number;
  send(message: Uint8Array): void;
  /** Resolves when `queuedBytes` is at most `bytes`, or the call is over. */
  drained(bytes: number): Promise<void>;
  /** Ends the call; null is status OK. */
  end(error: GrpcError | null): void;
}

/** What a method does with a call. Whatever these throw ends the call (a `GrpcError` with its status, anything else as `internal`). */
export interface CallReceiver {
  onMessage(message: Buffer): void | Promise<void>;
  /** The client sends no more. */
  onEnd?(): void | Promise<void>;
}

/** Called once the headers are there. May refuse by throwing. */
export type GrpcMethod = (call: ServerCall) => CallReceiver | Promise<CallReceiver>;

export interface GrpcServerOptions {
  /** By path, `/package.Service/Method`. */
  methods: { readonly [path: string]: GrpcMethod };
  /** Null serves plaintext HTTP/2. */
  identity: ServerIdentity | null;
  maxSessions?: number;
  maxStreamsPerSession?: number;
  maxMessageBytes?: number;
  /** PING after so long without a byte from the client; ends the connection when no answer comes within the same time again. */
  keepaliveMs?: number;
  onError?(error: Error): void;
}

export interface GrpcServer {
  /** Resolves to the port. */
  listen(port: number, host?: string): Promise<number>;
  /** Takes a renewed certificate into use for new connections. */
  renew(identity: ServerIdentity): void;
  readonly sessions: number;
  /** Stops accepting, sends GOAWAY, lets calls end for `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

/** Messages of one call that wait for their receiver; beyond it the client is stopped by flow control. */
const maxWaitingMessages = 64;
/** Node's own 10 is less than one large message. */
const maxSessionMegabytes = 128;

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { maxSessions = 5_000, maxStreamsPerSession = 100, maxMessageBytes = 16 << 20, keepaliveMs = 30_000 } = options;
  const sessions = new Set<ServerHttp2Session>();
  const http2 = {
    settings: { maxConcurrentStreams: maxStreamsPerSession, enablePush: false },
    maxSessionMemory: maxSessionMegabytes,
  };
  const secure = options.identity
    ? createSecureServer({
        ...tlsOf(options.identity),
        minVersion: 'TLSv1.2',
        // Whoever shows no certificate may prove itself with a token; what is shown is checked at each call.
        requestCert: true,
        rejectUnauthorized: false,
        allowHTTP1: false,
        handshakeTimeout: 10_000,
        ...http2,
      })
    : null;
  const server: Http2Server | Http2SecureServer = secure ?? createServer(http2);

  server.on('session', (session: ServerHttp2Session) => {
    if (sessions.size >= maxSessions)
      return session.destroy(new Error('too many connections'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    sessions.add(session);
    const stopPings = keepAlive(session, keepaliveMs);
    session.once('close', () => {
      stopPings();
      sessions.delete(session);
    });
    session.on('error', (error) => options.onError?.(error));
  });
  server.on('sessionError', (error: Error) => options.onError?.(error));
  server.on('tlsClientError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = String(headers[':path']);
    const method = Object.hasOwn(options.methods, path) ? options.methods[path] : null;
    serveCall(stream, headers, path, method, maxMessageBytes, options.onError);
  });

  return {
    listen(port, host) {
      return new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.removeListener('error', reject);
          server.on('error', (error: Error) => options.onError?.(error));
          resolve((server.address() as AddressInfo).port);
        });
      });
    },
    renew(identity) {
      secure?.setSecureContext(tlsOf(identity));
    },
    get sessions() {
      return sessions.size;
    },
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.close();
      const cut = setTimeout(() => {
        for (const session of sessions) session.destroy();
      }, graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}

function tlsOf({ chain, key, clientRoots }: ServerIdentity) {
  // Made once here so that a bad pair fails now and not at the first handshake.
  createSecureContext({ cert: chain, key, ca: clientRoots });
  return { cert: chain, key, ca: clientRoots };
}

function keepAlive(session: ServerHttp2Session, keepaliveMs: number): () => void {
  const socket = session.socket;
  let seenBytes = 0;
  let waiting = false;
  const timer = setInterval(() => {
    const { bytesRead } = socket;
    if (bytesRead !== seenBytes) {
      seenBytes = bytesRead;
      waiting = false;
    } else if (waiting) session.destroy(new Error('no answer to a ping'));
    else waiting = !session.destroyed && session.ping(() => {});
  }, keepaliveMs);
  timer.unref();
  return () => clearInterval(timer);
}

function peerOf(stream: ServerHttp2Stream): PeerCertificate | null {
  const socket = stream.session?.socket as TLSSocket | undefined;
  if (!socket?.encrypted || !socket.authorized) return null;
  const certificate = socket.getPeerCertificate();
  if (!certificate?.valid_to || Date.parse(certificate.valid_to) < Date.now()) return null;
  return certificate;
}

function serveCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  path: string,
  method: GrpcMethod | null,
  maxMessageBytes: number,
  onError?: (error: Error) => void,
): void {
  const over = new AbortController();
  const reader = new MessageReader(maxMessageBytes);
  const socket = stream.session?.socket;
  let ended = false;

  const end = (error: GrpcError | null) => {
    if (ended) return;
    ended = true;
    if (stream.destroyed) return;
    const status = {
      'grpc-status': String(grpcCodes[error?.code ?? 'ok']),
      ...(error ? { 'grpc-message': encodeGrpcMessage(error.message.slice(0, maxMessageCharacters)) } : {}),
    };
    if (!stream.headersSent) {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true });
    } else {
      stream.once('wantTrailers', () => stream.sendTrailers(status));
      stream.end();
    }
    // The client may still be sending: nothing of it is read any more.
    stream.resume();
    setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), 1_000).unref();
  };
  const fail = (thrown: unknown) => {
    if (!(thrown instanceof GrpcError)) onError?.(thrown instanceof Error ? thrown : new Error(String(thrown)));
    end(
      thrown instanceof GrpcError ? thrown : new GrpcError('internal', `${path}: the server failed; its log says how`),
    );
  };

  stream.on('error', () => {});
  stream.once('close', () => over.abort());
  if (headers[':method'] !== 'POST' || !String(headers['content-type']).startsWith('application/grpc')) {
    stream.respond({ ':status': 415 }, { endStream: true });
    return;
  }
  if (!method) {
    end(new GrpcError('unimplemented', `no method ${path} here`));
    return;
  }

  const call: ServerCall = {
    token: /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? null,
    peer: peerOf(stream),
    remote: `${socket?.remoteAddress}:${socket?.remotePort}`,
    signal: over.signal,
    get queuedBytes() {
      return stream.writableLength;
    },
    send(message) {
      if (ended || stream.destroyed) return;
      respondOnce(stream);
      stream.write(frameMessage(message));
    },
    async drained(bytes) {
      while (!stream.destroyed && stream.writableLength > bytes)
        await new Promise<void>((resolve) => {
          const go = () => {
            stream.off('drain', go);
            over.signal.removeEventListener('abort', go);
            resolve();
          };
          stream.once('drain', go);
          over.signal.addEventListener('abort', go, { once: true });
        });
    },
    end,
  };

  // One message at a time, in order; a receiver that lags behind stops the reading.
  let waiting = 0;
  let turn: Promise<void> = Promise.resolve();
  const receiver = Promise.resolve()
    .then(() => method(call))
    .catch((error) => {
      fail(error);
      return null;
    });
  const next = (step: (receiver: CallReceiver) => void | Promise<void>) => {
    if (++waiting >= maxWaitingMessages) stream.pause();
    turn = turn
      .then(async () => {
        const to = await receiver;
        if (to && !ended && !over.signal.aborted) await step(to);
      })
      .catch(fail)
      .finally(() => {
        if (--waiting < maxWaitingMessages) stream.resume();
      });
  };
  stream.on('data', (chunk: Buffer) => {
    if (ended) return;
    try {
      for (const message of reader.push(chunk)) next((to) => to.onMessage(message));
    } catch (error) {
      fail(error);
    }
  });
  stream.once('end', () => {
    if (reader.isPartial) fail(new GrpcError('invalidArgument', 'the last message is not whole'));
    else next((to) => to.onEnd?.());
  });
}

function respondOnce(stream: ServerHttp2Stream): void {
  if (!stream.headersSent)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
}

/** A method of one request and one response. */
export function unaryMethod(answer: (request: Buffer, call: ServerCall) => Promise<Uint8Array>): GrpcMethod {
  return (call) => {
    let request: Buffer | null = null;
    return {
      onMessage(message) {
        if (request) throw new GrpcError('invalidArgument', 'more than one request message');
        request = message;
      },
      async onEnd() {
        if (!request) throw new GrpcError('invalidArgument', 'no request message');
        call.send(await answer(request, call));
        call.end(null);
      },
    };
  };
}
