/** The control plane's own HTTP: readiness, metrics and the debug pages that Istio's tools ask for. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A page's answer: text is sent as it is, anything else as JSON. */
export type Page = (query: URLSearchParams) => Answer | Promise<Answer>;

export interface Answer {
  status?: number;
  body: unknown;
}

export interface AdminServer {
  listen(port: number, host?: string): Promise<number>;
  close(): Promise<void>;
}

/** Serves GET and HEAD of `pages` by path. */
export function createAdminServer(
  pages: { readonly [path: string]: Page },
  onError: (error: Error) => void,
): AdminServer {
  const server: Server = createServer({ maxHeaderSize: 16 << 10, requestTimeout: 30_000 }, (request, response) => {
    answer(pages, request).then(
      (given) => send(response, given, request.method === 'HEAD'),
      (error: Error) => {
        onError(error);
        send(response, { status: 500, body: `${error.message}\n` }, false);
      },
    );
  });
  server.maxConnections = 200;
  server.on('error', onError);
  return {
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.removeListener('error', reject);
          resolve((server.address() as AddressInfo).port);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  pages: { readonly [path: string]: Page },
  { method, url = '/' }: IncomingMessage,
): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET is answered here\n' };
  const { pathname, searchParams } = new URL(url, 'http://admin');
  if (Object.hasOwn(pages, pathname)) return pages[pathname](searchParams);
  if (pathname === '/debug' || pathname === '/')
    return {
      body: Object.keys(pages)
        .sort()
        .map((path) => `${path}\n`)
        .join(''),
    };
  return { status: 404, body: `nothing at ${pathname}; / lists what there is\n` };
}

function send(response: ServerResponse, { status = 200, body }: Answer, headOnly: boolean): void {
  const isText = typeof body === 'string';
  const text = isText ? body : `${JSON.stringify(body, null, 2)}\n`;
  response.writeHead(status, { 'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json' });
  response.end(headOnly ? undefined : text);
}
