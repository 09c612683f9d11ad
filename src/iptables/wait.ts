/**
 * `lateen wait`: ends as soon as the pod's proxy is ready (Istio: `pilot-agent wait`, with its flags). As the proxy's
 * postStart hook it holds the containers that come after.
 */
import { get } from 'node:http';

const flags = {
  url: 'http://127.0.0.1:15021/healthz/ready',
  timeoutSeconds: '60',
  periodMillis: '20',
  requestTimeoutMillis: '500',
};

export async function main(args: string[]): Promise<number> {
  const given: Record<keyof typeof flags, string> = { ...flags };
  for (let i = 0; i < args.length; i++) {
    const [, name, value] = /^--(\w+)(?:=(.*))?$/.exec(args[i]) ?? [];
    if (name === undefined || !Object.hasOwn(flags, name)) {
      process.stderr.write(
        `lateen wait: unknown argument "${args[i]}"; there are --${Object.keys(flags).join(', --')}\n`,
      );
      return 64;
    }
    given[name as keyof typeof flags] = value ?? args[++i] ?? '';
  }
  const [timeoutMs, periodMs, requestTimeoutMs] = [
    Number(given.timeoutSeconds) * 1000,
    Number(given.periodMillis),
    Number(given.requestTimeoutMillis),
  ];
  if (!(timeoutMs > 0 && periodMs > 0 && requestTimeoutMs > 0 && given.url.startsWith('http://'))) {
    process.stderr.write('lateen wait: the times must be numbers above 0 and --url an http:// URL\n');
    return 64;
  }
  const deadline = performance.now() + timeoutMs;
  let last = '';
  while (performance.now() < deadline) {
    last = await answer(given.url, requestTimeoutMs);
    if (last === 'ready') return 0;
    await new Promise((resolve) => setTimeout(resolve, periodMs));
  }
  process.stderr.write(`lateen wait: the proxy is not ready after ${given.timeoutSeconds} s: ${given.url}: ${last}\n`);
  return 1;
}

/** `ready`, or what came instead. */
function answer(url: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: timeoutMs, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        if (body.length < 300) body += text;
      });
      response.on('error', (error) => resolve(error.message));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? 'ready' : `${response.statusCode} ${body.trim().slice(0, 300)}`),
      );
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on('error', (error) => resolve(error.message));
  });
}
