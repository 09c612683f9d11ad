import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { unmapped } from '../net/connection.ts';

// An import statement would read every export of node:http, one of which loads undici: 4 MB and 25 ms that nothing here needs.
const { createServer } = process.getBuiltinModule('node:http');

export interface Reply {
  readonly status: number;
  readonly body: string | Buffer;
  /** `text/plain; charset=UTF-8` unless told. */
  readonly type?: string;
}

export type Handler = (request: IncomingMessage, url: URL) => Reply | Promise<Reply>;

/** Handlers by path; a path that ends with `/` takes everything below it. */
export type Routes = Readonly<Record<string, Handler>>;

export interface SmallServer {
  readonly port: number;
  close(): void;
}

export const text = (body: string, status = 200): Reply => ({ status, body });
export const json = (value: unknown, status = 200): Reply => ({
  status,
  body: `${JSON.stringify(value, null, 1)}\n`,
  type: 'application/json',
});

/** Serves the few requests of probes, scrapes and people; `unknown` answers what no route takes. `host` null is every address of both families. Rejects when the address cannot be bound. */
export function serve(
  host: string | null,
  port: number,
  routes: Routes,
  unknown: Handler = notFound,
): Promise<SmallServer> {
  const server = createServer(
    { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 15_000 },
    (request, response) => {
      const answer = ({ status, body, type = 'text/plain; charset=UTF-8' }: Reply) => {
        response.writeHead(status, {
          'content-type': type,
          'cache-control': 'no-cache, max-age=0',
          'x-content-type-options': 'nosniff',
          'content-length': Buffer.byteLength(body),
          server: 'lateen',
        });
        response.end(request.method === 'HEAD' ? undefined : body);
      };
      // What a request carries is of no interest here, and must not pile up.
      request.resume();
      void (async () => {
        try {
          const url = new URL(request.url ?? '/', 'http://localhost');
          answer(await (handlerOf(routes, url.pathname) ?? unknown)(request, url));
        } catch (error) {
          answer(text(`${(error as Error).message}\n`, 500));
        }
      })();
    },
  );
  server.maxConnections = 100;
  server.on('clientError', (_error, socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`${host ?? '*'}:${port}: ${error.message}`)));
    server.listen({ ...(host !== null && { host }), port }, () => resolve(opened(server)));
  });
}

function opened(server: Server): SmallServer {
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const notFound: Handler = (_request, url) => text(`${url.pathname} is not known here\n`, 404);

function handlerOf(routes: Routes, path: string): Handler | null {
  if (Object.hasOwn(routes, path)) return routes[path];
  for (const [prefix, handler] of Object.entries(routes))
    if (prefix.length > 1 && prefix.endsWith('/') && path.startsWith(prefix)) return handler;
  return null;
}

/** Refuses everything but a POST: GET must change nothing. */
export function post(handler: Handler): Handler {
  return (request, url) => (request.method === 'POST' ? handler(request, url) : text('Method Not Allowed\n', 405));
}

/** Refuses callers that are not on this pod. */
export function fromLoopback(handler: Handler): Handler {
  return (request, url) => {
    const ip = unmapped(request.socket.remoteAddress ?? '');
    return ip === '::1' || ip.startsWith('127.')
      ? handler(request, url)
      : text('Only requests from localhost are allowed\n', 403);
  };
}
