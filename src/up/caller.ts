/**
 * A program that runs inside a pod and sends the requests it is told: a line of JSON in, a line of JSON out.
 * In: `{"url": "http://reviews:9080/reviews/0", "headers": {…}, "count": 100}`; out: `{"answers": [{"status", "body", "error"}, …]}`.
 */
import { Agent, get } from 'node:http';
import { createInterface } from 'node:readline';

export interface Ask {
  url: string;
  headers?: Record<string, string>;
  /** 1 when absent; at most 10,000. */
  count?: number;
}

export interface CallerAnswer {
  /** 0 when no answer came. */
  status: number;
  headers: Record<string, string>;
  body: string;
  error: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const timeoutMs = 10_000;
const maxBodyBytes = 1024 * 1024;

function once(ask: Ask): Promise<CallerAnswer> {
  return new Promise((resolve) => {
    const fail = (error: Error) => resolve({ status: 0, headers: {}, body: '', error: error.message });
    const request = get(ask.url, { agent, headers: ask.headers, timeout: timeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        if (body.length < maxBodyBytes) body += chunk;
      });
      response.on('error', fail);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers as Record<string, string>,
          body,
          error: '',
        }),
      );
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on('error', fail);
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line) as Ask;
  const answers: CallerAnswer[] = [];
  for (let left = Math.min(ask.count ?? 1, 10_000); left > 0; ) {
    const wave = Math.min(left, 4);
    answers.push(...(await Promise.all(Array.from({ length: wave }, () => once(ask)))));
    left -= wave;
  }
  process.stdout.write(`${JSON.stringify({ answers })}\n`);
}
