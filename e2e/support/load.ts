import { spawn } from 'node:child_process';
import { cluster } from './cluster.ts';
import { type Place, podName } from './pods.ts';

export interface LoadResult {
  /** How often each outcome was seen: a status such as `200`, or why there was none such as `ECONNRESET`. */
  outcomes: Record<string, number>;
  /** Requests that were sent. */
  sent: number;
  /** The first outcomes other than 200, with the milliseconds since the start; 20 at most. */
  failures: { atMs: number; outcome: string; body: string }[];
  /** Of the requests that were answered. */
  p50Ms: number;
  p99Ms: number;
}

export interface Load {
  /** Ends the load, waits for the requests in flight (10 s at most) and tells what was seen. */
  stop(): Promise<LoadResult>;
}

/** Requests in flight are limited, so that a hanging server does not exhaust the pod. */
const script = `
  import http from 'node:http';
  const { url, perSecond, headers, reuse } = JSON.parse(process.argv[1]);
  const agent = new http.Agent({ keepAlive: reuse, maxSockets: 200 });
  const outcomes = {}, failures = [], times = [];
  const start = performance.now();
  let sent = 0, open = 0;
  const count = (outcome, body, began) => {
    open--;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (outcome === '200') times.push(performance.now() - began);
    else if (failures.length < 20) failures.push({ atMs: Math.round(began - start), outcome, body: body.slice(0, 200) });
  };
  const one = () => {
    if (open >= 1000) return;
    sent++;
    open++;
    const began = performance.now();
    const asked = http.get(url, { agent, headers, timeout: 10000 }, (answer) => {
      let body = '';
      answer.on('data', (chunk) => { body += chunk; });
      answer.on('end', () => count(String(answer.statusCode), body, began));
      answer.on('error', (error) => count(error.code ?? error.message, body, began));
    });
    asked.on('timeout', () => asked.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
    asked.on('error', (error) => count(error.code ?? error.message, '', began));
  };
  const timer = setInterval(() => { while (sent < ((performance.now() - start) * perSecond) / 1000) { const before = sent; one(); if (sent === before) break; } }, 5);
  console.log('started');
  process.stdin.resume();
  process.stdin.on('end', () => {
    clearInterval(timer);
    const deadline = performance.now() + 10000;
    const wait = setInterval(() => {
      if (open > 0 && performance.now() < deadline) return;
      clearInterval(wait);
      times.sort((a, b) => a - b);
      const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0;
      console.log(JSON.stringify({ outcomes, sent, failures, p50Ms: at(0.5), p99Ms: at(0.99) }));
      process.exit(0);
    }, 10);
  });`;

/**
 * Starts a steady load of GET requests, sent on time whatever the answers take, from a pod of the tools image.
 * Returns once the first is on its way.
 * @param options.reuse whether connections are kept alive; true unless told.
 */
export async function startLoad(
  place: Place,
  url: string,
  options: { perSecond: number; headers?: Record<string, string>; reuse?: boolean },
): Promise<Load> {
  const container = place.container ? ['-c', place.container] : [];
  const request = JSON.stringify({
    url,
    perSecond: options.perSecond,
    headers: options.headers ?? {},
    reuse: options.reuse ?? true,
  });
  const inside = ['node', '--input-type=module', '-e', script, request];
  const [command, ...args] = [
    ...cluster.kubectlCommand,
    '-n',
    place.namespace,
    'exec',
    '-i',
    await podName(place),
    ...container,
    '--',
    ...inside,
  ];
  const child = spawn(command, args, {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  let wrong = '';
  const started = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk;
    if (said.includes('started\n')) started.resolve();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    wrong = (wrong + chunk).slice(-2000);
  });
  child.stdin.on('error', () => {});
  child.on('error', started.reject);
  child.on('close', () => {
    started.reject(new Error(`load on ${url}: ended before it began: ${wrong}`));
    ended.resolve();
  });
  await started.promise;
  const stop = async () => {
    child.stdin.end();
    await ended.promise;
    const result = said.split('\n').find((line) => line.startsWith('{'));
    if (!result) throw new Error(`load on ${url}: ended without a result: ${wrong}`);
    return JSON.parse(result) as LoadResult;
  };
  return { stop };
}
