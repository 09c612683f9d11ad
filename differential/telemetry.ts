/** Compares what Envoy and Lateen tell of the same requests. See README.md. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { lines, pages, type Request, requests, stats } from './cases/telemetry.ts';
import { freePort, listening } from './ports.ts';
import { type Subject, type SubjectName, start } from './subject.ts';

interface Told {
  /** By the case's number: the lines in the order of the requests that they tell of. */
  readonly logs: string[][];
  readonly stats: Map<string, string>;
  readonly pages: unknown[];
}

const answers: Readonly<Record<string, string>> = {
  '/api/404': 'HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope',
  '/api/grpc': 'HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n',
};

/** An origin that answers by path; `/retry` fails the first time, `/slow` and `/try` get no answer. */
function origin(): Server {
  let retried = 0;
  return createServer((socket) => {
    socket.on('error', () => {});
    let head = '';
    socket.on('data', (bytes: Buffer) => {
      head += bytes.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      if (end < 0 || head.length < end + 4 + length) return;
      const [method, path] = head.split(' ');
      head = '';
      if (path.startsWith('/slow') || path.startsWith('/try')) return;
      if (path === '/retry' && retried++ % 2 === 0) socket.write('HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n');
      else if (method === 'HEAD') socket.write('HTTP/1.1 200 OK\r\nx-origin: o\r\ncontent-length: 5\r\n\r\n');
      else
        socket.write(
          answers[path] ??
            'HTTP/1.1 200 OK\r\nx-origin: o\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello',
        );
    });
  });
}

function bootstrap(folder: string, ports: { admin: number; listener: number; origin: number; dead: number }): object {
  const cluster = (name: string, port: number | null, more: object = {}) => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints:
        port === null
          ? []
          : [
              {
                lb_endpoints: [
                  {
                    endpoint: { hostname: 'up.name', address: address(port) },
                    metadata: { filter_metadata: { c: { k: 'v' } } },
                  },
                ],
              },
            ],
    },
    ...more,
  });
  const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const route = (name: string, prefix: string, action: object, more: object = {}) => ({
    name,
    match: { prefix },
    ...action,
    ...more,
  });
  const to = (name: string, more: object = {}) => ({ route: { cluster: name, ...more } });
  const type = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;
  return {
    admin: { address: address(ports.admin) },
    static_resources: {
      listeners: [
        {
          name: 'main',
          address: address(ports.listener),
          metadata: { filter_metadata: { l: { k: 'of listener' } } },
          filter_chains: [
            {
              name: 'chain',
              filters: [
                {
                  name: 'hcm',
                  typed_config: {
                    '@type': type('filters.network.http_connection_manager.v3.HttpConnectionManager'),
                    stat_prefix: 'ingress',
                    access_log: lines.map(({ format, omitEmpty, filter }, i) => ({
                      name: `log ${i}`,
                      ...(filter && { filter }),
                      typed_config: {
                        '@type': type('access_loggers.file.v3.FileAccessLog'),
                        path: join(folder, `${i}.log`),
                        log_format: {
                          ...(omitEmpty && { omit_empty_values: true }),
                          ...(typeof format === 'string'
                            ? { text_format_source: { inline_string: `${format}\n` } }
                            : { json_format: format }),
                        },
                      },
                    })),
                    route_config: {
                      name: 'routes',
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          metadata: { filter_metadata: { v: { k: 'of host' } } },
                          routes: [
                            route('direct', '/direct', {
                              direct_response: { status: 200, body: { inline_string: 'hello' } },
                            }),
                            route('redirect', '/redirect', { redirect: { path_redirect: '/there' } }),
                            route('no cluster', '/nocluster', { route: { cluster_header: 'x-cluster' } }),
                            route('no host', '/empty', to('empty')),
                            route(
                              'refused twice',
                              '/refused-retried',
                              to('dead', { retry_policy: { retry_on: 'connect-failure', num_retries: 1 } }),
                            ),
                            route('refused', '/refused', to('dead')),
                            route('slow', '/slow', to('c', { timeout: '0.2s' })),
                            route(
                              'try',
                              '/try',
                              to('c', {
                                timeout: '2s',
                                retry_policy: { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.2s' },
                              }),
                            ),
                            route('retry', '/retry', to('c', { retry_policy: { retry_on: '5xx', num_retries: 2 } })),
                            route('rewritten', '/rw/', to('c', { prefix_rewrite: '/w/' })),
                            route('api', '/api', to('c'), { metadata: { filter_metadata: { r: { n: 1, s: 'x' } } } }),
                          ],
                        },
                      ],
                    },
                    http_filters: [
                      { name: 'router', typed_config: { '@type': type('filters.http.router.v3.Router') } },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        cluster('c', ports.origin, { metadata: { filter_metadata: { a: { b: 1, n: { x: [1, true, 's'] } } } } }),
        cluster('dead', ports.dead),
        cluster('empty', null),
      ],
    },
  };
}

/** Resolves when the answer is complete, which is when the proxy ends the connection. */
function ask(port: number, { method = 'GET', path, headers = {}, body }: Request): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(5000, () => socket.destroy(new Error(`${path}: no answer`)));
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.resume();
    const fields = {
      host: 'shop',
      ...headers,
      ...(body !== undefined && { 'content-length': `${body.length}` }),
      connection: 'close',
    };
    const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n${body ?? ''}`);
  });
}

async function observe(
  name: SubjectName,
  folder: string,
  file: string,
  ports: { admin: number; listener: number },
): Promise<Told> {
  for (const i of lines.keys()) rmSync(join(folder, `${i}.log`), { force: true });
  const subject = await start(name, file, ports.admin);
  try {
    for (const request of requests) await ask(ports.listener, request);
    await untilIdle(subject);
    const counted = await subject.page('/stats');
    const told: unknown[] = [];
    for (const { path, method, shape } of pages) {
      const { status, body } = await subject.page(path, method);
      told.push({ status, body: shape ? shape(body) : body });
    }
    await subject.stop();
    return {
      logs: [...lines.keys()].map((i) => read(join(folder, `${i}.log`))),
      stats: new Map(counted.body.split('\n').map((line) => line.split(': ', 2) as [string, string])),
      pages: told,
    };
  } catch (error) {
    await subject.stop();
    throw error;
  }
}

/** Connections are counted out a moment after their callers have seen them end. */
async function untilIdle(subject: Subject): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { body } = await subject.page('/stats?filter=^http.ingress.downstream_cx_active$');
    if (body.trim().endsWith(': 0')) return;
    await wait(50);
  }
}

function read(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}

function compare(envoy: Told, lateen: Told): { same: number; listed: number; faults: string[] } {
  const faults: string[] = [];
  let same = 0;
  let listed = 0;
  for (const [i, { name, filter, except }] of lines.entries()) {
    const [theirs, ours] = [envoy.logs[i], lateen.logs[i]];
    // A filter leaves lines out: they are compared as a whole.
    const different = filter
      ? isDeepStrictEqual(theirs, ours)
        ? []
        : [-1]
      : [...requests.keys()].filter((n) => theirs[n] !== ours[n] && !except?.requests.includes(requests[n].name));
    if (different.length === 0) {
      same++;
      if (except) listed++;
    }
    for (const n of different)
      faults.push(
        `log, ${name}, ${requests[n]?.name ?? 'all'}:\n    envoy  ${n < 0 ? theirs.join(' | ') : theirs[n]}\n    lateen ${n < 0 ? ours.join(' | ') : ours[n]}`,
      );
  }
  for (const { name, match, except = {} } of stats) {
    const names = [...new Set([...envoy.stats.keys(), ...lateen.stats.keys()])].filter((stat) => match.test(stat));
    const different = names.filter(
      (stat) => (envoy.stats.get(stat) ?? '0') !== (lateen.stats.get(stat) ?? '0') && !(stat in except),
    );
    if (names.length === 0) faults.push(`stats, ${name}: nothing matches`);
    else if (different.length === 0) same++;
    if (Object.keys(except).length > 0) listed++;
    for (const stat of different)
      faults.push(`stats, ${name}: ${stat}: envoy ${envoy.stats.get(stat)}, lateen ${lateen.stats.get(stat)}`);
  }
  for (const [i, { name }] of pages.entries()) {
    if (isDeepStrictEqual(envoy.pages[i], lateen.pages[i])) same++;
    else
      faults.push(
        `page, ${name}:\n    envoy  ${JSON.stringify(envoy.pages[i])}\n    lateen ${JSON.stringify(lateen.pages[i])}`,
      );
  }
  return { same, listed, faults };
}

const folder = mkdtempSync(join(tmpdir(), 'differential-'));
const upstream = origin();
try {
  const ports = {
    origin: await listening(upstream),
    admin: await freePort(),
    listener: await freePort(),
    dead: await freePort(),
  };
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(bootstrap(folder, ports)));
  const envoy = await observe('envoy', folder, file, ports);
  const lateen = await observe('lateen', folder, file, ports);
  const { same, listed, faults } = compare(envoy, lateen);
  for (const fault of faults) console.log(fault);
  console.log(
    `${same} of ${lines.length + stats.length + pages.length} cases are the same, ${listed} of them but for what they list`,
  );
  const all = lines.length + stats.length + pages.length;
  console.log(`${same} passed, ${all - same} failed`);
  process.exitCode = faults.length > 0 ? 1 : 0;
} finally {
  upstream.close();
  rmSync(folder, { recursive: true });
}
