/**
 * What `npm run demo` shows, told the same way on this machine and on a cluster: who talks to whom with which identity,
 * a 90/10 split, and a denied request with its reason.
 */
import type { CallerAnswer } from './caller.ts';

/** Where the story plays. Names of workloads are `app` labels. */
export interface Stage {
  /** Applies one of samples/bookinfo's files, e.g. `networking/reviews-90-10.yaml`. */
  apply(sample: string): Promise<void>;
  /** Sends requests from the client workload. */
  ask(ask: { url: string; headers?: Record<string, string>; count?: number }): Promise<CallerAnswer[]>;
  /** GETs a path through the ingress gateway. */
  page(path: string): Promise<CallerAnswer>;
  /** Prometheus text of the proxies of a workload, one string a proxy. */
  metrics(app: string): Promise<string[]>;
  /** The latest lines of the access logs of a workload's proxies. */
  accessLog(app: string): Promise<string[]>;
}

export interface Narrator {
  heading(text: string): void;
  line(text: string): void;
  success(text: string): void;
}

const url = 'http://reviews:9080/reviews/0';
const patienceMs = 30_000;

/** Calls `look` until it gives something; throws what was waited for after 30 s. */
async function until<T>(what: string, look: () => Promise<T | null | false>): Promise<T> {
  for (
    const begun = Date.now();
    Date.now() - begun < patienceMs;
    await new Promise((resolve) => setTimeout(resolve, 100))
  ) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`${what} was not seen within ${patienceMs / 1000} s`);
}

const versionOf = (body: string) => /"podname"\s*:\s*"reviews-(v\d)/.exec(body)?.[1] ?? '?';

/** @throws Error that says what was expected and not seen; nothing is printed that was not observed. */
export async function tell(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.heading('A page through the gateway');
  await stage.apply('networking/gateway.yaml');
  const page = await until('productpage through the gateway', async () => {
    const answer = await stage.page('/productpage');
    return answer.status === 200 && /Reviews served by/.test(answer.body) && answer;
  });
  narrator.success(
    `GET /productpage → ${page.status}, ${/Reviews served by: (\S+?)</.exec(page.body)?.[1]} wrote the reviews`,
  );

  narrator.heading('Mutual TLS: who called whom, as the callee proved it');
  const calls = await until('requests with identities on both sides', async () => {
    for (let i = 0; i < 4; i++) await stage.page('/productpage');
    const seen = [
      ...(await identities(stage, 'reviews')),
      ...(await identities(stage, 'details')),
      ...(await identities(stage, 'ratings')),
    ];
    return seen.length >= 3 && seen;
  });
  for (const { source, destination, requests } of calls)
    narrator.success(`${source} → ${destination} (mutual_tls, ${requests} requests)`);

  narrator.heading('A 90/10 split: networking/reviews-90-10.yaml');
  await stage.apply('networking/destination-rules.yaml');
  await stage.apply('networking/reviews-90-10.yaml');
  await until('v3 to get nothing any more', async () =>
    (await stage.ask({ url, count: 40 })).every((a) => a.status === 200 && versionOf(a.body) !== 'v3'),
  );
  const total = 500;
  const counts = new Map<string, number>();
  for (const answer of await stage.ask({ url, count: total }))
    counts.set(versionOf(answer.body), (counts.get(versionOf(answer.body)) ?? 0) + 1);
  const shares = [...counts]
    .sort()
    .map(([version, count]) => `${version} ${count} (${((100 * count) / total).toFixed(1)} %)`);
  narrator.success(`${total} requests: ${shares.join(', ')}`);

  narrator.heading('A denied request, and why: security/reviews-viewer.yaml');
  await stage.apply('security/reviews-viewer.yaml');
  const denied = await until('the client to be denied', async () => {
    const answers = await stage.ask({ url, count: 12 });
    return answers.every((a) => a.status === 403) && answers[0];
  });
  narrator.success(`curl → reviews: ${denied.status} ${denied.body}`);
  const line = await until('the access log line of the refusal', async () =>
    (await stage.accessLog('reviews')).find((l) => l.includes('rbac_access_denied')),
  );
  narrator.line(`  reviews' access log: ${line}`);
  const after = await until('productpage still to be allowed', async () => {
    const answer = await stage.page('/productpage');
    return /Reviews served by/.test(answer.body) && answer;
  });
  narrator.success(`productpage → reviews: still ${after.status}`);
}

interface Call {
  source: string;
  destination: string;
  requests: number;
}

/** Requests by identity, from `istio_requests_total` as the callee's proxy counted them. */
async function identities(stage: Stage, app: string): Promise<Call[]> {
  const calls = new Map<string, Call>();
  for (const text of await stage.metrics(app))
    for (const [, labels, value] of text.matchAll(/^istio_requests_total\{([^}]*)\} (\d+)/gm)) {
      const label = (name: string) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
      if (label('reporter') !== 'destination' || label('connection_security_policy') !== 'mutual_tls') continue;
      const key = `${label('source_principal')} ${label('destination_principal')}`;
      const call = calls.get(key) ?? {
        source: label('source_principal'),
        destination: label('destination_principal'),
        requests: 0,
      };
      calls.set(key, { ...call, requests: call.requests + Number(value) });
    }
  return [...calls.values()];
}
