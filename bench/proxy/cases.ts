/** The catalogue of what is measured, with the goals of the project beside each. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../../e2e/cluster/command.ts';
import { bootstrap } from './bootstrap.ts';
import { type Command, freePorts, loadCore, proxyCore } from './contender.ts';
import { haproxyProxy } from './haproxy.ts';
import { type Done, http1Load, http2Load } from './load.ts';
import {
  type Contender,
  costOf,
  memoryOf,
  memorySample,
  type ProxyCase,
  type ProxyName,
  type Setup,
} from './measure.ts';
import { nginxProxy } from './nginx.ts';
import type { Certificate } from './scene.ts';
import { plainWork, type Work } from './work.ts';

const connections = 64;
const host = 'shop.bench.svc.cluster.local';
const clients = join(import.meta.dirname, 'clients');

function commandFor({ scene, equipment }: Setup, proxy: ProxyName, work: Work): Command {
  if (proxy === 'nginx') return nginxProxy(scene, equipment.peers.get('nginx')!.program, work);
  if (proxy === 'haproxy') return haproxyProxy(scene, equipment.peers.get('haproxy')!.program, work);
  const config = scene.file(`${work.name}-${work.port}.json`, bootstrap(scene, work));
  if (proxy === 'lateen') return scene.lateen(config);
  const { program } = equipment.peers.get('envoy')!;
  return { argv: [program, '-c', config, '--concurrency', '1', '--disable-hot-restart', '-l', 'error'] };
}

async function startProxy(setup: Setup, proxy: ProxyName, work: Partial<Work> & { name: string }) {
  const [port] = await freePorts(1);
  const whole: Work = { ...plainWork, ...work, port };
  const started = setup.scene.start(`${work.name}-${proxy}`, commandFor(setup, proxy, whole), proxyCore);
  await started.untilListening(port);
  return { process: started, port };
}

const alone =
  (work: (setup: Setup, proxy: ProxyName) => Partial<Work> & { name: string }) =>
  async (setup: Setup, proxy: ProxyName): Promise<Contender> => {
    const { process, port } = await startProxy(setup, proxy, work(setup, proxy));
    return { proxy, processes: [process], port };
  };

interface Http1Options {
  work?: Partial<Work>;
  host?: string;
}

function http1(
  name: string,
  title: string,
  goal: number | null,
  peers: ProxyCase['peers'],
  { work = {}, host: asked = host }: Http1Options = {},
): ProxyCase {
  const tls = work.downstreamTls != null;
  const { jwt = null } = work;
  let extraHeaders: string[] = [];
  const start = alone(({ scene }, proxy) => ({
    name,
    ...work,
    ...(work.accessLog != null && { accessLog: join(scene.folder, `${name}-${proxy}.access`) }),
  }));
  return {
    name,
    title,
    unit: 'request',
    goal: goal === null ? null : { of: 'envoy', atMost: goal },
    peers,
    fresh: false,
    mostRounds: Number.POSITIVE_INFINITY,
    async start(setup, proxy) {
      if (jwt !== null && extraHeaders.length === 0)
        extraHeaders = [`Authorization: Bearer ${await setup.scene.issuer.token(jwt)}`];
      return start(setup, proxy);
    },
    measure: (contender, seconds) =>
      costOf(contender, 'request', () =>
        http1Load({ port: contender.port, tls, connections, seconds, host: asked, extraHeaders }),
      ),
  };
}

/** The client's proxy and the server's, with mutual TLS between them. */
const hop: ProxyCase = {
  ...http1('http1-hop', 'HTTP/1.1 over a hop of two proxies, mTLS between', null, ['envoy', 'nginx']),
  async start(setup, proxy) {
    const server = await startProxy(setup, proxy, { name: 'http1-hop-server', downstreamTls: 'mutual' });
    const work = { name: 'http1-hop-client', upstreamTls: true, upstreamPort: server.port };
    const client = await startProxy(setup, proxy, work);
    return { proxy, processes: [client.process, server.process], port: client.port };
  },
};

function http2(name: string, title: string, shape: { connections: number; streams: number; grpc: boolean }): ProxyCase {
  let scene: Setup['scene'];
  const start = alone(() => ({ name, http2: true }));
  return {
    name,
    title,
    unit: 'request',
    goal: { of: 'envoy', atMost: 0.35, p99: true },
    peers: ['envoy'],
    fresh: false,
    mostRounds: Number.POSITIVE_INFINITY,
    start: (setup, proxy) => {
      scene = setup.scene;
      return start(setup, proxy);
    },
    measure: (contender, seconds) =>
      costOf(contender, 'request', () => http2Load({ port: contender.port, seconds, ...shape }, scene)),
  };
}

const pinnedNode = ['taskset', '-c', String(loadCore), process.execPath];
const certificateWords = (roots: string, { chain, key }: Certificate) => [roots, chain, key];

/** One of the clients of this bench, which print one line of JSON. */
async function client(file: string, args: readonly string[], seconds: number): Promise<Done> {
  const text = await run([...pinnedNode, join(clients, file), ...args], { timeoutMs: seconds * 1000 + 60_000 });
  return { p50Ms: Number.NaN, p99Ms: Number.NaN, ...JSON.parse(text) };
}

function handshakes(kind: 'full' | 'resumed', goal: number): ProxyCase {
  let scene: Setup['scene'];
  const name = `handshake-${kind}`;
  const start = alone(() => ({ name, downstreamTls: 'mutual' }));
  return {
    name,
    title: `mutual TLS handshake, ${kind}, and one request`,
    unit: 'handshake',
    goal: { of: 'envoy', atMost: goal },
    peers: ['envoy', 'nginx'],
    fresh: false,
    mostRounds: Number.POSITIVE_INFINITY,
    start: (setup, proxy) => {
      scene = setup.scene;
      return start(setup, proxy);
    },
    measure: (contender, seconds) =>
      costOf(contender, 'handshake', () =>
        client(
          'handshakes.ts',
          [String(contender.port), String(seconds), kind, ...certificateWords(scene.roots, scene.client)],
          seconds,
        ),
      ),
  };
}

const bulk: ProxyCase = {
  name: 'tcp-bulk',
  title: 'TCP, bulk on four connections',
  unit: 'gigabyte',
  goal: { of: 'envoy', atMost: 1.0 },
  peers: ['envoy', 'haproxy'],
  fresh: false,
  mostRounds: Number.POSITIVE_INFINITY,
  async start(setup, proxy) {
    const [upstreamPort] = await freePorts(1);
    const serve = [process.execPath, join(clients, 'bulk.ts'), 'serve', String(upstreamPort)];
    const upstream = setup.scene.start(`bulk-upstream-${proxy}`, { argv: serve }, loadCore);
    await upstream.untilListening(upstreamPort);
    const { process: started, port } = await startProxy(setup, proxy, { name: 'tcp-bulk', tcp: true, upstreamPort });
    return { proxy, processes: [started], port };
  },
  measure: (contender, seconds) =>
    costOf(contender, 'gigabyte', () => client('bulk.ts', ['read', String(contender.port), String(seconds)], seconds)),
};

const settleMs = 3000;

const memory = {
  unit: 'mib',
  goal: { of: 'envoy', atMost: 0.9 },
  peers: ['envoy', 'nginx', 'haproxy'],
  fresh: true,
  mostRounds: 3,
} as const;

const idleMemory: ProxyCase = {
  ...memory,
  name: 'memory-idle',
  title: 'memory after the start',
  start: alone(() => ({ name: 'memory-idle' })),
  async measure(contender) {
    await pause(settleMs);
    const taken = memoryOf(contender);
    return memorySample(taken.rss / 1024, taken);
  },
};

const loadedMemory: ProxyCase = {
  ...memory,
  name: 'memory-loaded',
  title: 'memory under load, the most',
  start: alone(() => ({ name: 'memory-loaded' })),
  async measure(contender, seconds) {
    let most = memoryOf(contender);
    const timer = setInterval(() => {
      const now = memoryOf(contender);
      if (now.rss > most.rss) most = now;
    }, 250);
    try {
      await http1Load({ port: contender.port, tls: false, connections, seconds, host, extraHeaders: [] });
    } finally {
      clearInterval(timer);
    }
    return memorySample(most.rss / 1024, most);
  },
};

const idleConnections = 10_000;

function idle(kind: 'plain' | 'tls', goal: number | null): ProxyCase {
  let scene: Setup['scene'];
  const name = `idle-${kind}`;
  const start = alone(() => ({ name, downstreamTls: kind === 'tls' ? 'mutual' : null }));
  return {
    name,
    title: `${idleConnections.toLocaleString('en')} idle ${kind === 'tls' ? 'connections with mTLS' : 'plain connections'}`,
    unit: 'kib',
    goal: goal === null ? null : { of: 'unit', atMost: goal },
    peers: ['envoy', 'nginx'],
    fresh: true,
    mostRounds: 1,
    start: (setup, proxy) => {
      scene = setup.scene;
      return start(setup, proxy);
    },
    async measure(contender) {
      // Some connections first, so that what the first ones bring in is not counted.
      const words = [kind, ...certificateWords(scene.roots, scene.client)];
      await holding([String(contender.port), '200', ...words], async () => {});
      await pause(1000);
      const before = memoryOf(contender);
      return holding([String(contender.port), String(idleConnections), ...words], async () => {
        await pause(2000);
        const after = memoryOf(contender);
        return memorySample((after.rss - before.rss) / idleConnections, after);
      });
    },
  };
}

/** Calls `work` while the connections are open. */
async function holding<T>(args: readonly string[], work: () => Promise<T>): Promise<T> {
  const [program, ...rest] = [...pinnedNode, join(clients, 'idle.ts'), ...args];
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  const { promise: open, resolve, reject } = Promise.withResolvers<void>();
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  child.stdout.once('data', () => resolve());
  child.on('exit', () => reject(new Error(`the connections could not be opened: ${said.trim().slice(0, 800)}`)));
  const timer = setTimeout(() => child.kill(), 180_000);
  try {
    await open;
    return await work();
  } finally {
    clearTimeout(timer);
    child.stdin.end();
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((ended) => {
        child.once('exit', ended);
      });
  }
}

export const cases: readonly ProxyCase[] = [
  http1('http1', 'HTTP/1.1', 0.35, ['envoy', 'nginx', 'haproxy']),
  http1('http1-policy', 'HTTP/1.1 with JSON access log and 5 RBAC rules', 0.45, ['envoy'], {
    work: { rbac: true, accessLog: 'yes' },
  }),
  http1('http1-rbac', 'HTTP/1.1 with 5 RBAC rules', null, ['envoy'], { work: { rbac: true } }),
  http1('http1-jwt-rs256', 'HTTP/1.1 with a JWT, RS256', null, ['envoy'], { work: { jwt: 'RS256' } }),
  http1('http1-jwt-es256', 'HTTP/1.1 with a JWT, ES256, and 5 RBAC rules', null, ['envoy'], {
    work: { jwt: 'ES256', rbac: true },
  }),
  http1('http1-routes', 'HTTP/1.1 among 1,000 routes', null, ['envoy'], {
    work: { routes: 1000 },
    host: 'svc-150.bench.svc.cluster.local',
  }),
  http1('http1-tls-downstream', 'HTTP/1.1, TLS from the client', 0.5, ['envoy', 'nginx', 'haproxy'], {
    work: { downstreamTls: 'server' },
  }),
  http1('http1-mtls-upstream', 'HTTP/1.1, mTLS to the upstream', 0.5, ['envoy', 'nginx', 'haproxy'], {
    work: { upstreamTls: true },
  }),
  hop,
  http2('http2', 'HTTP/2, 8 connections of 16 streams', { connections: 8, streams: 16, grpc: false }),
  http2('grpc', 'gRPC unary, 8 connections of 16 streams', { connections: 8, streams: 16, grpc: true }),
  http2('grpc-single', 'gRPC unary, 64 connections of one stream', { connections: 64, streams: 1, grpc: true }),
  bulk,
  handshakes('full', 1.4),
  handshakes('resumed', 1.1),
  idleMemory,
  loadedMemory,
  idle('plain', null),
  idle('tls', 30),
];
