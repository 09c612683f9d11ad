/** Load by wrk (HTTP/1.1) and h2load (HTTP/2), on the load's core, and what they say. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../e2e/cluster/command.ts';
import { loadCore } from './contender.ts';
import type { Scene } from './scene.ts';

/** What one measurement did. */
export interface Done {
  /** Requests, handshakes or bytes. */
  readonly count: number;
  readonly perSecond: number;
  /** NaN where it says nothing. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that are no success, and connections that failed. */
  readonly errors: number;
}

/** With Host, ten headers. */
const requestHeaders = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64)',
  'Accept: application/json, text/plain, */*',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-US,en;q=0.9',
  'Cookie: session=0123456789abcdef0123456789abcdef',
  'Content-Type: application/json',
  'X-Tenant: acme',
  'X-Client-Version: 1.2.3',
  'Cache-Control: no-cache',
];

export interface Http1Load {
  readonly port: number;
  readonly tls: boolean;
  readonly connections: number;
  readonly seconds: number;
  readonly host: string;
  readonly extraHeaders: readonly string[];
}

const pinned = ['taskset', '-c', String(loadCore)];

export async function http1Load(load: Http1Load): Promise<Done> {
  const headers = [`Host: ${load.host}`, ...requestHeaders, ...load.extraHeaders].flatMap((header) => ['-H', header]);
  const url = `${load.tls ? 'https' : 'http'}://127.0.0.1:${load.port}/api/v1/items/42?full=1`;
  const text = await run(
    [...pinned, 'wrk', '-t1', '-c', `${load.connections}`, '-d', `${load.seconds}s`, '--latency', ...headers, url],
    { timeoutMs: load.seconds * 1000 + 30_000 },
  );
  return readWrk(text);
}

const units: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

function number(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`not understood: ${text.trim().slice(0, 800)}`);
  return Number(found);
}

/** Throws when it is no summary of wrk's. */
export function readWrk(text: string): Done {
  const milliseconds = (percent: number) => {
    const [, value, unit] = new RegExp(`\\b${percent}%\\s+([\\d.]+)(us|ms|s|m)\\b`).exec(text) ?? [];
    return Number(value) * (units[unit] ?? Number.NaN);
  };
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? [];
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  return {
    count: number(text, /(\d+) requests in/),
    perSecond: number(text, /Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(50),
    p99Ms: milliseconds(99),
    errors: socketErrors.slice(1).reduce((sum, each) => sum + Number(each), refused),
  };
}

export interface Http2Load {
  readonly port: number;
  readonly connections: number;
  readonly streams: number;
  readonly seconds: number;
  /** A unary call of gRPC, or else a GET. */
  readonly grpc: boolean;
}

export async function http2Load(load: Http2Load, scene: Scene): Promise<Done> {
  const log = join(scene.folder, 'h2load.log');
  const message = scene.file('message.bin', `\0\0\0\0\u0010${'m'.repeat(16)}`);
  const headers = load.grpc
    ? ['content-type: application/grpc', 'te: trailers', 'grpc-timeout: 5S', 'user-agent: grpc-go/1.80.0']
    : requestHeaders.map((header) => header.toLowerCase());
  const url = `http://127.0.0.1:${load.port}${load.grpc ? '/bench.Shop/Find' : '/api/v1/items/42?full=1'}`;
  rmSync(log, { force: true });
  const text = await run(
    [
      ...pinned,
      ...['h2load', '-t', '1', '-D', `${load.seconds}`, '-c', `${load.connections}`, '-m', `${load.streams}`],
      ...['--warm-up-time', '0', `--log-file=${log}`],
      ...(load.grpc ? ['-d', message] : []),
      ...headers.flatMap((header) => ['-H', header]),
      url,
    ],
    { timeoutMs: load.seconds * 1000 + 30_000 },
  );
  return readH2load(text, readFileSync(log, 'utf8'));
}

/** `log` has a line a request: start, status, duration in microseconds (h2load(1), --log-file). */
export function readH2load(text: string, log: string): Done {
  const times = log
    .split('\n')
    .map((line) => Number(line.split('\t')[2]))
    .filter((micros) => micros > 0)
    .sort((a, b) => a - b);
  const at = (part: number) => (times[Math.max(0, Math.ceil(part * times.length) - 1)] ?? Number.NaN) / 1000;
  const [, succeeded, failed] = /(\d+) succeeded, (\d+) failed/.exec(text) ?? [];
  const [, ok, other3, other4, other5] = /(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(text) ?? [];
  if (succeeded === undefined || ok === undefined) throw new Error(`not understood: ${text.trim().slice(0, 800)}`);
  return {
    count: Number(ok),
    perSecond: number(text, /finished in [^,]+, ([\d.]+) req\/s/),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    errors: Number(failed) + Number(other3) + Number(other4) + Number(other5),
  };
}
