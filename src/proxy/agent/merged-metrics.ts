/** The proxy's metrics and the application's on one port, so that Prometheus needs one target a pod (Istio: metrics merging). */
import { type Handler, text } from '../admin/http-server.ts';

export interface ScrapeTarget {
  port: string;
  path: string;
}

const { request } = process.getBuiltinModule('node:http');

const maxAppBytes = 10 << 20;
const defaultTimeoutMs = 10_000;

/**
 * Reads ISTIO_PROMETHEUS_ANNOTATIONS (`{"scrape":"true","path":"/metrics","port":"9080"}`, or `targets`). Empty when the
 * application is not to be scraped; throws an Error for one that would scrape the proxy itself.
 */
export function scrapeTargets(config: string, ownPorts: readonly number[]): ScrapeTarget[] {
  if (config === '') return [];
  let given: { scrape?: string; path?: string; port?: string; targets?: ScrapeTarget[] };
  try {
    given = JSON.parse(config);
  } catch (error) {
    throw new Error(`ISTIO_PROMETHEUS_ANNOTATIONS: is no JSON: ${(error as Error).message}`);
  }
  if (given.scrape === 'false') return [];
  const targets = given.targets?.length
    ? given.targets
    : [{ port: given.port || '80', path: given.path || '/metrics' }];
  for (const { port } of targets)
    if (!/^\d+$/.test(port) || ownPorts.includes(Number(port)))
      throw new Error(`ISTIO_PROMETHEUS_ANNOTATIONS: port ${port} is no port of the application`);
  return targets.map(({ port, path }) => ({ port, path: path || '/metrics' }));
}

export function mergedMetrics(own: () => Promise<string>, targets: readonly ScrapeTarget[]): Handler {
  return async (incoming) => {
    const seconds = Number(incoming.headers['x-prometheus-scrape-timeout-seconds']);
    const timeoutMs = seconds > 0 ? Math.min(60_000, Math.ceil(seconds * 1000)) : defaultTimeoutMs;
    const scraped = await Promise.all(targets.map((target) => scrape(target, timeoutMs)));
    let body = await own();
    let failures = 0;
    // The application's go last, and without the end mark of OpenMetrics: what follows it would not be read.
    for (const answer of scraped) {
      if (answer === null) failures++;
      else body += `${answer.replace(/\s*# EOF\s*$/, '').trimEnd()}\n`;
    }
    const errors = '# TYPE istio_agent_scrape_failures_total counter\n';
    return text(
      failures === 0 ? body : `${body}${errors}istio_agent_scrape_failures_total{type="application"} ${failures}\n`,
    );
  };
}

function scrape({ port, path }: ScrapeTarget, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const call = request(
      {
        host: 'localhost',
        port: Number(port),
        path,
        headers: { accept: 'text/plain;version=0.0.4' },
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxAppBytes) call.destroy(new Error('too large'));
          else chunks.push(chunk);
        });
        response.on('end', () => resolve(response.statusCode === 200 ? Buffer.concat(chunks).toString() : null));
        response.on('error', () => resolve(null));
      },
    );
    call.on('error', () => resolve(null));
    call.end();
  });
}
