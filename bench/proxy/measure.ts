/** Interleaved rounds: in each, every proxy is measured in turn, so that what disturbs the machine disturbs all of them. */
import { setTimeout as pause } from 'node:timers/promises';
import { loadAverage } from '../machine.ts';
import { coreBusyNs, type Memory, type PinnedProcess, proxyCore } from './contender.ts';
import type { Equipment, PeerName } from './equipment.ts';
import type { Done } from './load.ts';
import type { Scene } from './scene.ts';

export type ProxyName = 'lateen' | PeerName;

export interface Setup {
  readonly scene: Scene;
  readonly equipment: Equipment;
}

/** A proxy at work: one process, or the two of a hop. */
export interface Contender {
  readonly proxy: ProxyName;
  readonly processes: readonly PinnedProcess[];
  readonly port: number;
}

export interface Sample {
  /** In the unit of the case: CPU microseconds a request or handshake, CPU seconds a GB, MiB, KiB a connection. */
  readonly cost: number;
  /** Of each process, when there are several. */
  readonly parts: readonly number[];
  readonly perSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly errors: number;
  readonly memory: Memory;
  /** Share of the core that was the proxy's, and somebody else's. */
  readonly ownShare: number | null;
  readonly othersShare: number | null;
}

export interface Goal {
  /** Of Envoy's cost, or in the unit of the case. */
  readonly of: 'envoy' | 'unit';
  readonly atMost: number;
  /** The 99th percentile, too, must not be above Envoy's. */
  readonly p99?: boolean;
}

export const unitNames = {
  request: 'CPU µs a request',
  handshake: 'CPU µs a handshake and its request',
  gigabyte: 'CPU s a GB',
  mib: 'MiB',
  kib: 'KiB a connection',
} as const;
export type Unit = keyof typeof unitNames;

export interface ProxyCase {
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  readonly goal: Goal | null;
  readonly peers: readonly PeerName[];
  /** Started anew for every measurement, and no warming. */
  readonly fresh: boolean;
  readonly mostRounds: number;
  start(setup: Setup, proxy: ProxyName): Promise<Contender>;
  measure(contender: Contender, seconds: number): Promise<Sample>;
}

export interface CaseResult {
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  readonly goal: Goal | null;
  /** By proxy; the samples of one index were taken in the same round. */
  readonly samples: Partial<Record<ProxyName, Sample[]>>;
  /** Proxies that did not do this work, and why. */
  readonly failed: Partial<Record<ProxyName, string>>;
  readonly loadAverage: number;
}

const nsPerUnit: Record<'request' | 'handshake' | 'gigabyte', number> = { request: 1e3, handshake: 1e3, gigabyte: 1 };

/** What the work costs a proxy by the run time of its threads. Throws when nothing was done. */
export async function costOf(
  contender: Contender,
  unit: 'request' | 'handshake' | 'gigabyte',
  work: () => Promise<Done>,
): Promise<Sample> {
  const { processes } = contender;
  const before = processes.map((each) => each.cpuNs());
  const busyBefore = coreBusyNs(proxyCore);
  const start = performance.now();
  const done = await work();
  const wallNs = (performance.now() - start) * 1e6;
  const spent = processes.map((each, i) => each.cpuNs() - before[i]);
  const busy = coreBusyNs(proxyCore) - busyBefore;
  const all = spent.reduce((sum, each) => sum + each, 0);
  if (done.count === 0) throw new Error(`${contender.proxy} did none of the work (${done.errors} errors)`);
  const cost = (ns: number) => ns / done.count / nsPerUnit[unit];
  const known = (value: number | undefined) => (Number.isFinite(value) ? value! : null);
  return {
    cost: cost(all),
    parts: processes.length > 1 ? spent.map(cost) : [],
    perSecond: known(done.perSecond),
    p50Ms: known(done.p50Ms),
    p99Ms: known(done.p99Ms),
    errors: done.errors,
    memory: memoryOf(contender),
    ownShare: all / wallNs,
    othersShare: Math.max(0, busy - all) / wallNs,
  };
}

export function memoryOf({ processes }: Contender): Memory {
  const each = processes.map((process) => process.memory());
  return { pss: each.reduce((sum, { pss }) => sum + pss, 0), rss: each.reduce((sum, { rss }) => sum + rss, 0) };
}

/** A sample that has no cost but memory. */
export function memorySample(cost: number, memory: Memory): Sample {
  return {
    cost,
    parts: [],
    perSecond: null,
    p50Ms: null,
    p99Ms: null,
    errors: 0,
    memory,
    ownShare: null,
    othersShare: null,
  };
}

export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
  readonly progress: (line: string) => void;
}

/** Until compiled code is what runs; less, and the compiler would be a good part of the cost. */
const warmSeconds = 5;

export async function runCase(one: ProxyCase, setup: Setup, effort: Effort): Promise<CaseResult> {
  const proxies: ProxyName[] = [...one.peers.filter((peer) => setup.equipment.peers.has(peer)), 'lateen'];
  const samples: Partial<Record<ProxyName, Sample[]>> = {};
  const failed: Partial<Record<ProxyName, string>> = {};
  const running = new Map<ProxyName, Contender>();
  const attempt = async (proxy: ProxyName, work: () => Promise<void>) => {
    if (failed[proxy] !== undefined) return;
    try {
      await work();
    } catch (error) {
      const words = running
        .get(proxy)
        ?.processes.find((each) => !each.running)
        ?.lastWords();
      const why = [(error as Error).message, words].filter(Boolean).join(' — ');
      failed[proxy] = why.replaceAll(`${setup.scene.folder}/`, '');
      effort.progress(`${one.name}: ${proxy} failed: ${failed[proxy]}`);
    }
  };
  const end = async (contender: Contender | undefined) => {
    await Promise.all(contender?.processes.map((each) => each.end()) ?? []);
  };
  const rounds = Math.min(effort.rounds, one.mostRounds);
  const load = loadAverage();
  try {
    if (!one.fresh)
      for (const proxy of proxies)
        await attempt(proxy, async () => {
          running.set(proxy, await one.start(setup, proxy));
          await one.measure(running.get(proxy)!, warmSeconds);
        });
    for (let round = 0; round < rounds; round++)
      for (const proxy of proxies)
        await attempt(proxy, async () => {
          if (one.fresh) running.set(proxy, await one.start(setup, proxy));
          const sample = await one.measure(running.get(proxy)!, effort.seconds);
          samples[proxy] ??= [];
          samples[proxy].push(sample);
          if (one.fresh) await end(running.get(proxy));
        });
  } finally {
    await Promise.all([...running.values()].map(end));
    // Ports of what has ended are free only when the last connections are.
    await pause(200);
  }
  const { name, title, unit, goal } = one;
  return { name, title, unit, goal, samples, failed, loadAverage: Math.max(load, loadAverage()) };
}
