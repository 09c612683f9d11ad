/** HTTP exchanges with the API server: credentials, retries, errors. */
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { backoffMs, type Clock, pause } from './clock.ts';
import type { Connection } from './connection.ts';
import { ApiError } from './error.ts';

export interface Exchange {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  path: string;
  contentType?: string;
  body?: object;
  accept?: string;
  /** A repetition does the same as the first: retried on a lost connection and on every 5xx. */
  repeatable: boolean;
  signal?: AbortSignal;
  /** Longest silence of the connection. */
  timeoutMs: number;
}

export interface HttpSettings {
  clock: Clock;
  userAgent: string;
  /** Tries of one call in all. */
  attempts: number;
  firstBackoffMs: number;
  maxBackoffMs: number;
}

/** Objects are limited to 1.5 MiB by etcd and a page to 500 of them; beyond this an answer is not the API server's. */
const maxBodyBytes = 1 << 30;
const maxRetryAfterMs = 30_000;

/** The answer as soon as its headers are there; whoever reads the body sets its own limits. Rejects with `ApiError` unless the status is 2xx. */
export async function open(
  connection: Connection,
  settings: HttpSettings,
  exchange: Exchange,
): Promise<IncomingMessage> {
  const what = `${exchange.method} ${exchange.path.split('?')[0]}`;
  let renewed = false;
  for (let attempt = 0; ; attempt++) {
    let failure: ApiError;
    try {
      const response = await once(connection, settings, exchange, renewed && attempt > 0, what);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return response;
      failure = refusal(what, status, response, await readText(response, 1 << 20));
    } catch (error) {
      failure = error instanceof ApiError ? error : new ApiError(what, 0, codeOf(error), messageOf(error));
    }
    if (exchange.signal?.aborted) throw new ApiError(what, 0, 'Aborted', 'given up by the caller');
    // A projected token may have been renewed on disk since it was read.
    if (failure.code === 401 && !renewed) {
      renewed = true;
      continue;
    }
    if (attempt + 1 >= settings.attempts || !mayRepeat(failure, exchange)) throw failure;
    const delayMs = Math.max(
      Math.min(failure.retryAfterMs ?? 0, maxRetryAfterMs),
      backoffMs(attempt, settings.firstBackoffMs, settings.maxBackoffMs),
    );
    await pause(settings.clock, delayMs, exchange.signal);
    if (exchange.signal?.aborted) throw failure;
  }
}

/** The whole answer as text. */
export async function fetchText(connection: Connection, settings: HttpSettings, exchange: Exchange): Promise<string> {
  const what = `${exchange.method} ${exchange.path.split('?')[0]}`;
  for (let attempt = 0; ; attempt++) {
    const response = await open(connection, settings, exchange);
    try {
      return await readText(response, maxBodyBytes);
    } catch (error) {
      const failure = new ApiError(what, 0, codeOf(error), messageOf(error));
      if (exchange.signal?.aborted || attempt + 1 >= settings.attempts || !exchange.repeatable) throw failure;
      await pause(settings.clock, backoffMs(attempt, settings.firstBackoffMs, settings.maxBackoffMs), exchange.signal);
    }
  }
}

/** 429, 503 and a refused connection: nothing was done. A lost connection or another 5xx: perhaps it was. */
function mayRepeat(failure: ApiError, exchange: Exchange): boolean {
  if (failure.code === 429 || failure.code === 503) return true;
  if (failure.code === 0 && failure.reason === 'ECONNREFUSED') return true;
  return exchange.repeatable && (failure.code === 0 || failure.code >= 500) && failure.reason !== 'Aborted';
}

async function once(
  connection: Connection,
  settings: HttpSettings,
  exchange: Exchange,
  renew: boolean,
  what: string,
): Promise<IncomingMessage> {
  const { headers: secrets, agent } = await connection.credentials(renew);
  const headers: OutgoingHttpHeaders = {
    accept: exchange.accept ?? 'application/json',
    'user-agent': settings.userAgent,
    ...secrets,
  };
  const body = exchange.body === undefined ? null : Buffer.from(JSON.stringify(exchange.body));
  if (body) {
    headers['content-type'] = exchange.contentType ?? 'application/json';
    headers['content-length'] = body.length;
  }
  const base = connection.server.pathname.replace(/\/$/, '');
  const url = new URL(base + exchange.path, connection.server);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = send(url, { method: exchange.method, headers, agent, signal: exchange.signal });
    outgoing.setTimeout(exchange.timeoutMs, () =>
      outgoing.destroy(new ApiError(what, 0, 'Timeout', `no answer for ${exchange.timeoutMs} ms`)),
    );
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    outgoing.end(body ?? undefined);
  });
}

async function readText(response: IncomingMessage, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new Error(`the answer is longer than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString('utf8');
}

interface StatusObject {
  message?: string;
  reason?: string;
  details?: { retryAfterSeconds?: number };
}

function refusal(what: string, code: number, response: IncomingMessage, text: string): ApiError {
  let status: StatusObject = {};
  try {
    status = JSON.parse(text) as StatusObject;
  } catch {
    status = { message: text.trim().slice(0, 500) };
  }
  const seconds = Number(response.headers['retry-after'] ?? status.details?.retryAfterSeconds);
  return new ApiError(
    what,
    code,
    status.reason || response.statusMessage || 'Unknown',
    status.message || 'refused without a word',
    Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null,
  );
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException)?.code ?? 'ConnectionLost';
}

function messageOf(error: unknown): string {
  // A host with several addresses fails with one error for each.
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
