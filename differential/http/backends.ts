import { createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { grpcServer, services } from './services.ts';

export interface Seen {
  readonly backend: string;
  /** Request line, then the header lines in the order of their names. */
  readonly head: readonly string[];
  readonly body: string;
}

export interface Backends {
  readonly ports: Readonly<Record<string, number>>;
  /** What was seen since this was last asked. */
  take(): Seen[];
  /** Answers begin anew, as for the first of those that are compared. */
  reset(): void;
  stop(): void;
}

/** Backends of HTTP/1 and the header of a request that tells each its answers. */
const names = { a: 'x-replies', b: 'x-replies', c: 'x-replies', check: 'x-check' };

/** Backends of HTTP/1, one of HTTP/2, and services of gRPC. They note what they see, and answer as a header says or with a greeting. */
export async function startBackends(): Promise<Backends> {
  let seen: Seen[] = [];
  const counts = new Map<string, number>();
  const open = new Set<{ destroy(): void }>();
  const stops: Array<() => void> = [];
  const ports: Record<string, number> = {};

  const replyTo = (backend: string, header: string | undefined): string => {
    if (header === undefined)
      return `HTTP/1.1 200 OK\r\nx-backend: ${backend}\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello`;
    const count = counts.get(header) ?? 0;
    counts.set(header, count + 1);
    const answers = header.split(',');
    return decodeURIComponent(answers[Math.min(count, answers.length - 1)]);
  };

  const listen = (server: { listen(port: number, host: string, done: () => void): unknown; address(): unknown }) =>
    new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    });

  for (const [name, instruction] of Object.entries(names)) {
    const server = createServer((socket) => {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => open.delete(socket));
      serve(socket, (head, body) => {
        const [line, ...fields] = head.split('\r\n');
        seen.push({ backend: name, head: [line, ...fields.sort()], body });
        const answer = replyTo(
          name,
          fields
            .find((field) => field.toLowerCase().startsWith(`${instruction}:`))
            ?.slice(instruction.length + 1)
            .trim(),
        );
        if (answer === 'CLOSE') socket.destroy();
        else if (answer !== 'SILENT') socket.write(Buffer.from(answer, 'latin1'));
      });
    });
    ports[name] = await listen(server);
    stops.push(() => server.close());
  }

  const http2 = createHttp2Server();
  http2.on('session', (session: ServerHttp2Session) => {
    open.add(session);
    session.on('close', () => open.delete(session));
  });
  http2.on('stream', (stream: ServerHttp2Stream, headers) => {
    let body = '';
    stream.on('error', () => {});
    stream.setEncoding('latin1');
    stream.on('data', (piece: string) => {
      body += piece;
    });
    stream.on('end', () => {
      const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      seen.push({ backend: 'h2', head: ['HTTP/2', ...fields.sort()], body });
      const given = headers['x-replies'];
      if (typeof given !== 'string') {
        stream.respond(
          { ':status': 200, 'x-backend': 'h2', 'content-type': String(headers['content-type'] ?? 'text/plain') },
          { waitForTrailers: true },
        );
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end('hello');
        return;
      }
      const answer = replyTo('h2', given);
      if (answer.startsWith('RESET ')) {
        stream.close(Number(answer.slice(6)));
        return;
      }
      const [head, ...rest] = answer.split('\r\n\r\n');
      const [line, ...lines] = head.split('\r\n');
      const pairs = lines.map((field) => [
        field.slice(0, field.indexOf(':')),
        field.slice(field.indexOf(':') + 1).trim(),
      ]);
      stream.respond({ ...Object.fromEntries(pairs), ':status': Number(line.split(' ')[1]) });
      stream.end(rest.join('\r\n\r\n'));
    });
  });
  for (const [name, service] of Object.entries(services)) {
    const server = grpcServer(service, (head, body) => seen.push({ backend: name, head, body }));
    server.on('session', (session: ServerHttp2Session) => {
      open.add(session);
      session.on('close', () => open.delete(session));
    });
    ports[name] = await listen(server);
    stops.push(() => server.close());
  }
  ports.h2 = await listen(http2);
  stops.push(() => http2.close());

  return {
    ports,
    take() {
      const taken = seen;
      seen = [];
      return taken;
    },
    reset() {
      seen = [];
      counts.clear();
    },
    stop() {
      for (const stop of stops) stop();
      for (const one of open) one.destroy();
    },
  };
}

/** Splits a connection into requests with a length, in chunks, or without a body. */
function serve(socket: Socket, onRequest: (head: string, body: string) => void): void {
  let kept = '';
  socket.on('data', (bytes: Buffer) => {
    kept += bytes.toString('latin1');
    for (;;) {
      const headEnd = kept.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const head = kept.slice(0, headEnd);
      const start = headEnd + 4;
      let end = start + Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      let body = kept.slice(start, end);
      if (/^transfer-encoding: *chunked/im.test(head)) {
        const chunks = dechunked(kept, start);
        if (chunks === null) return;
        ({ body, end } = chunks);
      }
      if (kept.length < end) return;
      kept = kept.slice(end);
      onRequest(head, body);
    }
  });
}

/** Body and trailers out of chunks; null while they are not complete. */
export function dechunked(text: string, from: number): { body: string; end: number } | null {
  let at = from;
  let body = '';
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) {
      const end = text.indexOf('\r\n\r\n', at - 2);
      if (end < 0) return null;
      const trailers = text.slice(at, end);
      return { body: trailers === '' ? body : `${body}\n${trailers}`, end: end + 4 };
    }
    if (text.length < at + size + 2) return null;
    body += text.slice(at, at + size);
    at += size + 2;
  }
}
