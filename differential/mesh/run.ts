/** Istio's resources through the translation and then through Envoy and through Lateen: both must do what the case expects, and alike. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Answer, exchange } from '../http/exchange.ts';
import { freePort } from '../ports.ts';
import { type SubjectName, start } from '../subject.ts';
import { PodBackends, type Seen } from './backends.ts';
import { type CaseConfig, caseConfig } from './bootstrap.ts';
import type { MeshCase, Request } from './case.ts';
import { translated } from './world.ts';

export interface Outcome {
  readonly name: string;
  readonly requests: number;
  readonly faults: readonly string[];
}

const mirrorMs = 150;
const manyRequests = 300;

export async function runMesh(cases: readonly MeshCase[]): Promise<Outcome[]> {
  const backends = new PodBackends();
  const folder = mkdtempSync(join(tmpdir(), 'lateen-mesh-'));
  try {
    const configs: CaseConfig[] = [];
    for (const [i, one] of cases.entries())
      configs.push(
        await caseConfig(i, one.from === 'gateway' ? (one.port ?? 8080) : (one.port ?? 80), translated(one), backends),
      );
    const faults = cases.map((): string[] => []);
    for (const subject of ['envoy', 'lateen'] as const)
      for (const [i, found] of (await through(subject, cases, configs, backends, folder)).entries())
        faults[i].push(...found.map((fault) => `${subject}: ${fault}`));
    return cases.map(({ name, requests }, i) => ({ name, requests: requests.length, faults: faults[i] }));
  } finally {
    backends.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function through(
  name: SubjectName,
  cases: readonly MeshCase[],
  configs: readonly CaseConfig[],
  backends: PodBackends,
  folder: string,
): Promise<string[][]> {
  const admin = await freePort();
  const file = join(folder, `${name}.json`);
  const taken = cases.map((one, i) => [one, configs[i]] as const).filter(([one]) => isAsked(name, one));
  const bootstrap = {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
    node: { id: 'sidecar~10.9.0.1~client.shop~shop.svc.cluster.local', cluster: 'client.shop' },
    static_resources: {
      listeners: taken.map(([, { listener }]) => listener),
      clusters: taken.flatMap(([, { clusters }]) => clusters),
    },
  };
  writeFileSync(file, JSON.stringify(bootstrap, null, 1));
  const subject = await start(name, file, admin);
  try {
    const { body } = await subject.page('/listeners?format=json');
    const { listener_statuses: statuses } = JSON.parse(body) as {
      listener_statuses: Array<{ name: string; local_address: { socket_address: { port_value: number } } }>;
    };
    const portOf = new Map(statuses.map((each) => [each.name, each.local_address.socket_address.port_value]));
    const all: string[][] = [];
    for (const [i, one] of cases.entries()) {
      const found: string[] = [];
      const port = portOf.get(`case ${i}`) ?? 0;
      for (const [j, request] of isAsked(name, one) ? one.requests.entries() : [])
        for (const fault of await tried(request, port, backends))
          found.push(`request ${j + 1} (${request.ask} ${request.host}): ${fault}`);
      all.push(found);
    }
    return all;
  } finally {
    await subject.stop();
  }
}

const isAsked = (name: SubjectName, { onlyEnvoy = false }: MeshCase): boolean => name === 'envoy' || !onlyEnvoy;

async function tried(request: Request, port: number, backends: PodBackends): Promise<string[]> {
  backends.take();
  const { host, ask, headers = {}, shares, atLeastMs = 0 } = request;
  const lines = Object.entries(headers).map(([key, value]) => `${key}: ${value}\r\n`);
  const send = () => exchange(port, `${ask} HTTP/1.1\r\nHost: ${host}\r\n${lines.join('')}\r\n`, '');
  if (shares) {
    for (let n = 0; n < manyRequests; n++) await send();
    const seen = backends.take();
    const names = new Set([...Object.keys(shares), ...seen.map(({ backend }) => backend)]);
    return [...names].flatMap((name) => {
      const share = seen.filter(({ backend }) => backend === name).length / manyRequests;
      return Math.abs(share - (shares[name] ?? 0)) > 0.1 ? `${name} has ${share} of all, not ${shares[name] ?? 0}` : [];
    });
  }
  const start = performance.now();
  const answer = await send();
  const tookMs = performance.now() - start;
  if (request.mirrored) await wait(mirrorMs);
  const faults = judge(request, answer, backends.take());
  if (tookMs < atLeastMs) faults.push(`the answer took ${Math.round(tookMs)} ms, not ${atLeastMs}`);
  return faults;
}

function judge(request: Request, answer: Answer, seen: readonly Seen[]): string[] {
  const faults: string[] = [];
  const expect = (what: string, found: unknown, expected: unknown) => {
    if (found !== expected) faults.push(`${what} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
  };
  expect('status', answer.status, String(request.status));
  const own = seen.filter(({ backend }) => backend !== request.mirrored);
  expect('backend', own.at(-1)?.backend ?? null, request.backend);
  if (request.mirrored)
    expect('mirror', seen.find(({ backend }) => backend === request.mirrored)?.backend, request.mirrored);
  if (request.body !== undefined) expect('body', answer.body, request.body);
  const fields = new Map(
    answer.headers.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  for (const [name, value] of Object.entries(request.answer ?? {}))
    expect(`response header ${name}`, fields.get(name) ?? null, value);
  for (const [name, value] of Object.entries(request.seen ?? {}))
    expect(`${name} at the backend`, own.at(-1)?.headers[name] ?? null, value);
  return faults;
}
