/** Sends the requests of every case through Envoy and through Lateen, from one bootstrap file, and compares. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { freePort } from '../ports.ts';
import { type SubjectName, start } from '../subject.ts';
import { type Backends, type Seen, startBackends } from './backends.ts';
import type { HttpCase, Part } from './case.ts';
import { type Answer, exchange } from './exchange.ts';
import { services } from './services.ts';

export interface Outcome {
  readonly name: string;
  /** What differs; empty when nothing does. */
  readonly differences: readonly string[];
}

const lingerMs = 60;

interface Witnessed extends Answer {
  readonly upstream: readonly Seen[];
}

const ownAddresses = new Set(
  Object.values(networkInterfaces()).flatMap((addresses) => addresses?.map(({ address }) => address) ?? []),
);

const managerType =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const router = {
  name: 'router',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
};

const hostOf = (index: number): string => `case${index}.test`;
const ownListener = ({ manager, table, filters }: HttpCase): boolean => Boolean(manager ?? table ?? filters);

function address(port: unknown): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function cluster(name: string, port: number, more: object = {}): object {
  return {
    name,
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
    ...more,
  };
}

/** The cluster that the proxy itself is said to be in: half of it in its own zone. */
function neighbours(port: number): object {
  const endpoints = ['x', 'y'].map((zone, i) => ({
    locality: { region: 'r', zone },
    lb_endpoints: [{ endpoint: { address: { socket_address: { address: `127.0.0.${10 + i}`, port_value: port } } } }],
  }));
  return { name: 'neighbours', connect_timeout: '1s', load_assignment: { cluster_name: 'neighbours', endpoints } };
}

const http2Options = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function listener(name: string, cases: ReadonlyArray<readonly [number, HttpCase]>): object {
  const [[, first]] = cases;
  return {
    name,
    address: address(0),
    filter_chains: [
      {
        filters: [
          {
            name: 'hcm',
            typed_config: {
              '@type': managerType,
              stat_prefix: name,
              route_config: {
                name: `routes ${name}`,
                virtual_hosts: cases.map(([index, { routes, host }]) => ({
                  name: `case ${index}`,
                  domains: [hostOf(index), `${hostOf(index)}:*`],
                  routes: routes ?? [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
                  ...host,
                })),
                ...(ownListener(first) ? first.table : {}),
              },
              http_filters: [...(ownListener(first) ? (first.filters ?? []) : []), router],
              ...(ownListener(first) ? first.manager : {}),
            },
          },
        ],
      },
    ],
  };
}

function bootstrap(cases: readonly HttpCase[], ports: Readonly<Record<string, number>>, admin: number, dead: number) {
  const numbered = cases.map((one, i) => [i, one] as const);
  const shared = numbered.filter(([, one]) => !ownListener(one));
  const resolved = JSON.stringify(
    cases.flatMap(({ clusters }) => clusters ?? []),
    (_key, value) =>
      value !== null && typeof value === 'object' && typeof value.port === 'string'
        ? address(value.port === 'dead' ? dead : ports[value.port])
        : value,
  );
  return {
    admin: { address: address(admin) },
    node: { id: 'proxy', cluster: 'comparison', locality: { region: 'r', zone: 'x' } },
    cluster_manager: { local_cluster_name: 'neighbours' },
    static_resources: {
      listeners: [
        ...(shared.length > 0 ? [listener('shared', shared)] : []),
        ...numbered.filter(([, one]) => ownListener(one)).map((one) => listener(`own ${one[0]}`, [one])),
      ],
      clusters: [
        ...Object.entries(ports).map(([name, port]) =>
          cluster(name, port, name === 'h2' || Object.hasOwn(services, name) ? http2Options : {}),
        ),
        cluster('dead', dead),
        { name: 'empty', connect_timeout: '1s', load_assignment: { cluster_name: 'empty' } },
        neighbours(dead),
        ...(JSON.parse(resolved) as object[]),
      ],
    },
  };
}

/** What is random or tells of the proxy itself. */
function normal(line: string): string | null {
  if (/^(server|date|x-envoy-upstream-service-time|:status): /i.test(line)) return null;
  // Envoy names an address of the machine for callers on loopback.
  return (
    line
      .replace(/^(x-forwarded-for:.*?)(\d+\.\d+\.\d+\.\d+)$/i, (whole, before, ip) =>
        ownAddresses.has(ip) ? `${before}127.0.0.1` : whole,
      )
      .replace(/^x-forwarded-port: \d+$/i, 'x-forwarded-port: (of the listener)')
      // What is left of the time of an attempt after the first.
      .replace(/^(x-envoy-expected-rq-timeout-ms: )14\d{3}$/i, '$115000')
      .replace(/:\s*(.*?)\s*$/, ': $1')
      .replace(/^x-request-id: [0-9a-f-]{36}$/i, 'x-request-id: (random)')
  );
}

const normals = (lines: readonly string[]): string[] =>
  lines
    .map((line) => normal(line.replace(/^Host:/, 'host:')))
    .filter((line) => line !== null)
    .sort();

async function witness(
  name: SubjectName,
  cases: readonly HttpCase[],
  folder: string,
  backends: Backends,
  dead: number,
): Promise<Witnessed[][]> {
  backends.reset();
  const admin = await freePort();
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(bootstrap(cases, backends.ports, admin, dead), null, 1));
  const subject = await start(name, file, admin);
  try {
    const { body } = await subject.page('/listeners?format=json');
    const listening = JSON.parse(body) as {
      listener_statuses: Array<{ name: string; local_address: { socket_address: { port_value: number } } }>;
    };
    const portOf = new Map(
      listening.listener_statuses.map((one) => [one.name, one.local_address.socket_address.port_value]),
    );
    const all: Witnessed[][] = [];
    for (const [i, one] of cases.entries()) {
      const port = portOf.get(ownListener(one) ? `own ${i}` : 'shared') ?? 0;
      const answers: Witnessed[] = [];
      for (const request of one.requests) {
        backends.take();
        const { status, headers, body: text } = await exchange(port, request, hostOf(i));
        if (one.lingers) await wait(lingerMs);
        const upstream = backends.take().map(({ backend, head: [line, ...fields], body: sent }) => ({
          backend,
          head: [line, ...normals(fields)],
          body: sent,
        }));
        answers.push({ status, headers: normals(headers), body: text, upstream });
      }
      all.push(answers);
    }
    return all;
  } finally {
    await subject.stop();
  }
}

const parts: readonly Part[] = ['status', 'headers', 'body', 'upstream'];

function compare(one: HttpCase, envoy: readonly Witnessed[], lateen: readonly Witnessed[]): string[] {
  const differences: string[] = [];
  const ignored = one.differs?.parts ?? [];
  for (const [i, theirs] of envoy.entries()) {
    for (const part of parts) {
      if (ignored.includes(part) || isDeepStrictEqual(theirs[part], lateen[i][part])) continue;
      differences.push(
        `request ${i + 1}, ${part}:\n      Envoy:  ${JSON.stringify(theirs[part])}\n      Lateen: ${JSON.stringify(lateen[i][part])}`,
      );
    }
  }
  if (one.differs !== undefined && isDeepStrictEqual(envoy, lateen))
    differences.push('nothing differs any more: take `differs` away');
  return differences;
}

export async function compareHttp(cases: readonly HttpCase[]): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-differential-'));
  // The same for both: what is chosen by a hash of addresses must be the same too.
  const backends = await startBackends();
  const dead = await freePort();
  try {
    const envoy = await witness('envoy', cases, folder, backends, dead);
    const lateen = await witness('lateen', cases, folder, backends, dead);
    return cases.map((one, i) => ({ name: one.name, differences: compare(one, envoy[i], lateen[i]) }));
  } finally {
    backends.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
