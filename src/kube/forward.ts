/** HTTP to a port that listens on loopback in a pod, through the API server's port-forward (docs/adr/0018-port-forward-over-ws.md). */
import { request } from 'node:http';
import { Duplex } from 'node:stream';
import WebSocket from 'ws';
import type { Connection } from './connection.ts';
import { ApiError } from './error.ts';

/** Two channels a port: data, then errors; each begins with the port's number in two bytes (Kubernetes: pkg/kubelet, portforward websocket.go). */
const subprotocol = 'v4.channel.k8s.io';
const dataChannel = 0;
const errorChannel = 1;
const headBytes = 2;
/** Far more than a proxy in a mesh of ten thousand services says. */
const maxBytes = 512 << 20;

export interface ForwardedRequest {
  readonly pod: string;
  readonly namespace: string;
  readonly port: number;
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The body of a successful answer; throws `ApiError` otherwise. */
export async function askThroughForward(connection: Connection, asked: ForwardedRequest): Promise<string> {
  const { pod, namespace, port, path, method, timeoutMs, signal } = asked;
  const what = `port ${port} of pod ${namespace}/${pod}`;
  const { headers, agent } = await connection.credentials(false);
  const url = new URL(
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward?ports=${port}`,
    connection.server,
  );
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url, [subprotocol], {
    headers,
    agent,
    handshakeTimeout: timeoutMs,
    perMessageDeflate: false,
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const fail = (message: string, code = 0) => reject(new ApiError(what, code, 'PortForward', message));
  const timer = setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
  const abort = () => fail('interrupted');
  signal?.addEventListener('abort', abort, { once: true });
  socket.on('unexpected-response', (_, response) => {
    fail(`the API server answers ${response.statusCode} ${response.statusMessage}`, response.statusCode);
    response.resume();
  });
  socket.on('error', (error) => fail(error.message));
  socket.on('open', () => {
    const stream = streamOf(socket, fail);
    const sent = request(
      {
        createConnection: () => stream as never,
        host: 'localhost',
        port,
        path,
        method,
        headers: { connection: 'close' },
      },
      (response) => {
        const pieces: Buffer[] = [];
        let size = 0;
        response.on('data', (bytes: Buffer) => {
          pieces.push(bytes);
          size += bytes.length;
          if (size > maxBytes) fail(`says more than ${maxBytes} bytes`);
        });
        response.on('end', () => {
          const body = Buffer.concat(pieces).toString();
          if (response.statusCode === 200) resolve(body);
          else fail(`answers ${response.statusCode}: ${body.trim().slice(0, 200)}`, response.statusCode);
        });
        response.on('error', (error) => fail(error.message));
      },
    );
    sent.on('error', (error) => fail(error.message));
    sent.end();
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    socket.on('error', () => {});
    socket.terminate();
  }
}

function streamOf(socket: WebSocket, fail: (message: string) => void): Duplex {
  const begun = [false, false];
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      socket.send(Buffer.concat([Buffer.of(dataChannel), chunk]), (error) => done(error ?? null));
    },
    final(done) {
      done();
    },
  });
  socket.on('message', (data: WebSocket.RawData) => {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    const channel = bytes[0];
    if (channel !== dataChannel && channel !== errorChannel) return;
    const from = begun[channel] ? 1 : 1 + headBytes;
    begun[channel] = true;
    if (bytes.length <= from) return;
    if (channel === dataChannel) stream.push(bytes.subarray(from));
    else fail(bytes.subarray(from).toString().trim());
  });
  socket.on('close', () => stream.push(null));
  return stream;
}
