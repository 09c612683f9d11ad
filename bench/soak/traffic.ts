/** Upstreams that answer, and callers that ask one request after the other and count what goes wrong. */
import {
  createServer,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';

const answer = Buffer.alloc(1024, 'soak');
const question = Buffer.alloc(512, 'ask');

export interface Upstream {
  readonly port: number;
  close(): void;
}

async function listening(
  server: ReturnType<typeof createServer> | ReturnType<typeof createHttp2Server>,
): Promise<Upstream> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** Reads the whole request, then answers 1 KiB. */
export function httpUpstream(): Promise<Upstream> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end(answer));
  });
  server.keepAliveTimeout = 600_000;
  return listening(server);
}

export function http2Upstream(): Promise<Upstream> {
  const server = createHttp2Server((request, response) => {
    request.resume();
    request.on('end', () => response.end(answer));
  });
  return listening(server);
}

export interface Tally {
  done: number;
  /** Sent once more, since an idle connection ended as they left (RFC 9110 §9.2.2 lets callers). */
  repeated: number;
  /** What went wrong, by its words. */
  readonly failures: Map<string, number>;
}

export const newTally = (): Tally => ({ done: 0, repeated: 0, failures: new Map() });

export const failed = ({ failures }: Tally): number => [...failures.values()].reduce((sum, each) => sum + each, 0);

/** Different failures that are told apart; their words may hold ports. */
const maxKinds = 50;

function note(tally: Tally, why: string): void {
  const kind = tally.failures.has(why) || tally.failures.size < maxKinds ? why : 'others';
  tally.failures.set(kind, (tally.failures.get(kind) ?? 0) + 1);
}

/** Callers keep on until `done` says so; resolves when the last one is through. */
export interface Callers {
  readonly tally: Tally;
  readonly finished: Promise<unknown>;
}

/** Over keep-alive connections, a third of the requests with a body. */
export function httpCallers(port: number, count: number, tls: boolean, isOver: () => boolean): Callers {
  const tally = newTally();
  const agent = tls
    ? new HttpsAgent({ keepAlive: true, maxSockets: count })
    : new HttpAgent({ keepAlive: true, maxSockets: count });
  const start = tls ? httpsRequest : httpRequest;
  const ask = (i: number, again: boolean): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const withBody = i % 3 === 0;
    // The certificate names an identity, no host.
    const options: RequestOptions & { rejectUnauthorized?: boolean } = {
      agent,
      port,
      host: '127.0.0.1',
      path: `/soak/${i}`,
      method: withBody ? 'PUT' : 'GET',
      ...(tls && { rejectUnauthorized: false }),
    };
    const request = start(options, (response: IncomingMessage) => {
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      response.on('error', (error) => {
        note(tally, `broken off: ${error.message}`);
        resolve();
      });
      response.on('end', () => {
        if (response.statusCode !== 200) note(tally, `status ${response.statusCode}`);
        else if (bytes !== answer.length) note(tally, `${bytes} bytes`);
        else tally.done++;
        resolve();
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (request.reusedSocket && !again && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) {
        tally.repeated++;
        ask(i, true).then(resolve);
        return;
      }
      note(tally, error.message);
      resolve();
    });
    request.end(withBody ? question : undefined);
    return promise;
  };
  const caller = async () => {
    for (let i = 0; !isOver(); i++) await ask(i, false);
  };
  return { tally, finished: Promise.all(Array.from({ length: count }, caller)).then(() => agent.destroy()) };
}

/** `streams` requests at a time on each of some connections; one that is told to go away is replaced. */
export function http2Callers(port: number, connections: number, streams: number, isOver: () => boolean): Callers {
  const tally = newTally();
  const connection = async () => {
    let session: ClientHttp2Session | null = null;
    const current = (): ClientHttp2Session => {
      if (session !== null && !session.closed && !session.destroyed) return session;
      const made = connectHttp2(`http://127.0.0.1:${port}`);
      made.on('error', () => {});
      // Streams of the old connection end there; new ones go to a new one.
      made.on('goaway', () => {
        if (session === made) session = null;
        if (!made.destroyed) made.close();
      });
      session = made;
      return made;
    };
    const ask = (i: number): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const withBody = i % 3 === 0;
      const stream = current().request(
        { ':path': `/soak/${i}`, ':method': withBody ? 'PUT' : 'GET' },
        { endStream: !withBody },
      );
      let status = 0;
      let bytes = 0;
      let ended = false;
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      stream.on('end', () => {
        ended = true;
      });
      stream.on('error', () => {});
      stream.on('close', () => {
        // A stream that the server refused without treating it may be sent again (RFC 9113 §8.7).
        if (stream.rstCode === 7) {
          tally.repeated++;
          ask(i).then(resolve);
          return;
        }
        if (!ended || stream.rstCode !== 0) note(tally, `stream ended with code ${stream.rstCode}`);
        else if (status !== 200) note(tally, `status ${status}`);
        else if (bytes !== answer.length) note(tally, `${bytes} bytes`);
        else tally.done++;
        resolve();
      });
      if (withBody) stream.end(question);
      return promise;
    };
    await Promise.all(
      Array.from({ length: streams }, async () => {
        for (let i = 0; !isOver(); i++) await ask(i);
      }),
    );
    (session as ClientHttp2Session | null)?.close();
  };
  return { tally, finished: Promise.all(Array.from({ length: connections }, connection)) };
}
