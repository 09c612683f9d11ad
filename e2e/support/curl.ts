import { exec, type Place } from './pods.ts';

export interface CurlAnswer {
  /** HTTP status, or 0 when there was no answer. */
  status: number;
  /** Lower-case names; a header that came twice has its values joined by ", ". */
  headers: Record<string, string>;
  body: string;
  /** curl's exit code: 0, or why there was no answer (7 refused, 28 timed out, 52 empty reply, 56 reset). */
  exitCode: number;
  /** curl's own words when it failed. */
  error: string;
  durationMs: number;
}

export interface CurlOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** 10,000 unless told. */
  timeoutMs?: number;
  /** Further arguments. */
  args?: string[];
}

function curlArguments(url: string, options: CurlOptions): string[] {
  const { method, headers = {}, body, timeoutMs = 10_000, args = [] } = options;
  return [
    ...['curl', '-sS', '-i', '--max-time', String(timeoutMs / 1000), '-w', '\n%{http_code} %{time_total}'],
    ...(method ? ['-X', method] : []),
    ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    ...(body === undefined ? [] : ['--data-binary', body]),
    ...args,
    url,
  ];
}

/** One request by curl from inside of a pod. Never throws for an answer, nor for the lack of one. */
export async function curlFrom(place: Place, url: string, options: CurlOptions = {}): Promise<CurlAnswer> {
  const timeoutMs = (options.timeoutMs ?? 10_000) + 20_000;
  const { code, stdout, stderr } = await exec(place, curlArguments(url, options), { timeoutMs });
  const end = stdout.lastIndexOf('\n');
  const [status, seconds] = stdout
    .slice(end + 1)
    .split(' ')
    .map(Number);
  let rest = stdout.slice(0, Math.max(0, end));
  const headers: Record<string, string> = {};
  // "100 Continue" comes with a header block of its own; the last block is the answer's.
  while (/^HTTP\/[\d.]+ \d/.test(rest)) {
    const cut = rest.indexOf('\r\n\r\n');
    const head = cut < 0 ? rest : rest.slice(0, cut);
    rest = cut < 0 ? '' : rest.slice(cut + 4);
    for (const name of Object.keys(headers)) delete headers[name];
    for (const line of head.split('\r\n').slice(1)) {
      const [name, value] = [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()];
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
  }
  return {
    status: status || 0,
    headers,
    body: rest,
    exitCode: code,
    error: stderr.replace(/command terminated with exit code \d+\s*$/, '').trim(),
    durationMs: (seconds || 0) * 1000,
  };
}

/**
 * Many requests, one after the other, by one Node process in a pod of the tools image: `kubectl exec` for each would
 * take longer than the request. Gives how often each key was seen: the status, or what `key` finds in the body
 * (a regular expression whose first group is the key).
 */
export async function tally(
  place: Place,
  url: string,
  options: { count: number; headers?: Record<string, string>; key?: RegExp; timeoutMs?: number },
): Promise<Record<string, number>> {
  const script = `
    const { url, count, headers, key } = JSON.parse(process.argv[1]);
    const seen = {};
    for (let i = 0; i < count; i++) {
      let found;
      try {
        const answer = await fetch(url, { headers });
        const body = await answer.text();
        found = key ? (new RegExp(key).exec(body)?.[1] ?? 'none') : String(answer.status);
      } catch (error) { found = error.cause?.code ?? error.message; }
      seen[found] = (seen[found] ?? 0) + 1;
    }
    console.log(JSON.stringify(seen));`;
  const request = JSON.stringify({
    url,
    count: options.count,
    headers: options.headers ?? {},
    key: options.key?.source,
  });
  const argv = ['node', '--input-type=module', '-e', script, request];
  const result = await exec(place, argv, { timeoutMs: options.timeoutMs ?? 120_000 });
  if (result.code !== 0)
    throw new Error(`${url}: requests from ${place.namespace} ended with ${result.code}: ${result.stderr.trim()}`);
  return JSON.parse(result.stdout);
}
