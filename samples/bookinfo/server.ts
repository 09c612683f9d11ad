/** What the four Bookinfo services share: a small HTTP server with a health path, and calls that carry the caller's headers on. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';

/** A path's answer: JSON for an object, HTML for a string; `headers` as given. */
export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body: unknown;
}

export interface Request {
  method: string;
  url: URL;
  headers: IncomingHttpHeaders;
  body: string;
}

export type Handler = (request: Request) => Answer | Promise<Answer> | null;

/** Headers that a traced or routed call hands on: W3C and B3 trace context, the request id, and the signed-in user. */
const handedOn = [
  'x-request-id',
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'end-user',
  'user-agent',
  'cookie',
  'authorization',
];

const maxBodyBytes = 64 * 1024;

export const podName = hostname();
export const clusterName = process.env.CLUSTER_NAME ?? 'null';

export function pick(headers: IncomingHttpHeaders): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of handedOn) {
    const value = headers[name];
    if (typeof value === 'string') picked[name] = value;
  }
  return picked;
}

export interface Reply {
  /** 0 when nothing answered in time. */
  status: number;
  body: unknown;
}

/** GETs JSON from another service; a failure or `timeoutMs` without an answer is status 0, never an exception. */
export async function call(url: string, headers: IncomingHttpHeaders, timeoutMs: number): Promise<Reply> {
  try {
    const response = await fetch(url, { headers: pick(headers), signal: AbortSignal.timeout(timeoutMs) });
    const text = await response.text();
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      return { status: response.status, body: text };
    }
  } catch (error) {
    return { status: 0, body: String(error) };
  }
}

/** `NAME_HOSTNAME` and `SERVICES_DOMAIN` move a service, as Istio's Bookinfo lets them. */
export function serviceUrl(name: string): string {
  const upper = name.toUpperCase();
  const domain = process.env.SERVICES_DOMAIN ? `.${process.env.SERVICES_DOMAIN}` : '';
  return `http://${process.env[`${upper}_HOSTNAME`] ?? name}${domain}:${process.env[`${upper}_SERVICE_PORT_NUMBER`] ?? 9080}`;
}

async function read(message: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of message) {
    body += chunk;
    if (body.length > maxBodyBytes) throw new Error(`the body is larger than ${maxBodyBytes} bytes`);
  }
  return body;
}

function send(response: ServerResponse, answer: Answer): void {
  const html = typeof answer.body === 'string';
  response.writeHead(answer.status ?? 200, {
    'content-type': html ? 'text/html; charset=utf-8' : 'application/json',
    ...answer.headers,
  });
  response.end(html ? (answer.body as string) : JSON.stringify(answer.body));
}

/** Serves on the first argument's port (9080) until SIGTERM, then finishes what is under way. */
export function serve(name: string, handle: Handler): void {
  const server = createServer(async (message, response) => {
    try {
      const url = new URL(message.url ?? '/', 'http://bookinfo');
      if (url.pathname === '/health') return send(response, { body: { status: `${name} is healthy` } });
      const answer = await handle({
        method: message.method ?? 'GET',
        url,
        headers: message.headers,
        body: await read(message),
      });
      send(response, answer ?? { status: 404, body: { error: `${name} has no ${url.pathname}` } });
    } catch (error) {
      if (!response.headersSent) send(response, { status: 400, body: { error: String(error) } });
      else response.destroy();
    }
  });
  server.keepAliveTimeout = 60_000;
  const port = Number(process.argv[2] ?? 9080);
  server.listen(port, process.env.LISTEN_HOST, () => console.log(`${name} listens on ${port}`));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      server.close(() => process.exit(0));
      server.closeIdleConnections();
    });
}
