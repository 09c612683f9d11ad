import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { dechunked } from './backends.ts';
import type { Http2Request } from './case.ts';

export interface Answer {
  readonly status: string;
  /** `name: value` in the order of their names; those of interim responses first. */
  readonly headers: readonly string[];
  readonly body: string;
}

const patienceMs = 8000;

/** Sends one request on a connection of its own; what the proxy leaves unanswered ends with status `closed` or `silent`. */
export function exchange(port: number, request: string | Http2Request, host: string): Promise<Answer> {
  return typeof request === 'string'
    ? overHttp1(port, request.replaceAll('HOST', host))
    : overHttp2(port, request, host);
}

function overHttp1(port: number, request: string): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const socket = connect(port, '127.0.0.1');
  let text = '';
  let closed = false;
  const timer = setTimeout(() => done({ status: 'silent', headers: [], body: text }), patienceMs);
  const done = (answer: Answer) => {
    clearTimeout(timer);
    socket.destroy();
    resolve(answer);
  };
  const look = () => {
    const answer = parse(text, request, closed);
    if (answer !== null) done(answer);
  };
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
    look();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
    look();
  });
  socket.write(Buffer.from(request, 'latin1'));
  return promise;
}

/** What is asked through a tunnel right behind its CONNECT is answered behind the tunnel's own answer. */
function parse(text: string, request: string, closed: boolean): Answer | null {
  const headOnly = request.startsWith('HEAD ');
  const tunnels = request.startsWith('CONNECT ');
  const inner = tunnels && request.indexOf('\r\n\r\n') + 4 < request.length;
  const headers: string[] = [];
  let at = 0;
  for (;;) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return closed ? { status: 'closed', headers, body: text.slice(at) } : null;
    const [line, ...fields] = text.slice(at, headEnd).split('\r\n');
    const status = line.split(' ')[1];
    const start = headEnd + 4;
    if (status.startsWith('1') && status !== '101') {
      headers.push(status, ...fields.map(lowerName).sort());
      at = start;
      continue;
    }
    if (tunnels && status.startsWith('2') && at === 0) {
      headers.push(status, ...fields.map(lowerName).sort());
      if (!inner) return { status, headers, body: '' };
      at = start;
      continue;
    }
    headers.push(...fields.map(lowerName).sort());
    const length = fields.find((field) => /^content-length:/i.test(field));
    if (headOnly || status === '204' || status === '304' || status === '101') return { status, headers, body: '' };
    if (fields.some((field) => /^transfer-encoding: *chunked/i.test(field))) {
      const chunks = dechunked(text, start);
      if (chunks !== null) return { status, headers, body: chunks.body };
    } else if (length !== undefined) {
      const end = start + Number(length.slice(15));
      if (text.length >= end) return { status, headers, body: text.slice(start, end) };
    }
    return closed ? { status, headers, body: `${text.slice(start)} (broken off)` } : null;
  }
}

function lowerName(field: string): string {
  const colon = field.indexOf(':');
  return field.slice(0, colon).toLowerCase() + field.slice(colon);
}

function overHttp2(port: number, request: Http2Request, host: string): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const headers: string[] = [];
  let status = '';
  let body = '';
  let trailers: string[] = [];
  const flat = (given: object) =>
    Object.entries(given)
      .filter(([name]) => name !== ':status')
      .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => `${name}: ${one}`))
      .sort();
  const timer = setTimeout(() => done('silent'), patienceMs);
  const done = (outcome: string) => {
    clearTimeout(timer);
    session.destroy();
    resolve({ status: outcome, headers: [...headers, ...trailers.map((line) => `trailer ${line}`)], body });
  };
  session.on('error', () => done(status || 'closed'));
  const stream = session.request({ ':authority': host, ...request.headers });
  stream.setEncoding('latin1');
  stream.on('headers', (given) => headers.push(String(given[':status'])));
  stream.on('response', (given) => {
    status = String(given[':status']);
    headers.push(...flat(given));
  });
  stream.on('trailers', (given) => {
    trailers = flat(given);
  });
  stream.on('data', (piece: string) => {
    body += piece;
  });
  stream.on('error', () => {});
  stream.on('close', () => done(stream.rstCode === 0 ? status : `${status} reset ${stream.rstCode}`));
  stream.end(request.body);
  return promise;
}
