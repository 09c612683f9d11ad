/** A proxy under measurement: processes on the first core, what they cost by the scheduler's own account, their memory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** The proxies have this core for themselves. */
export const proxyCore = 0;
/** Load and upstream share this one. */
export const loadCore = 1;

export interface Command {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Memory {
  /** Proportional and resident set size in KiB. */
  readonly pss: number;
  readonly rss: number;
}

/** A process pinned to a core. */
export class PinnedProcess {
  readonly name: string;
  private readonly child: ChildProcess;
  private readonly log: string;
  private ended: string | null = null;

  /** `log` is the file that its output goes to. */
  constructor(name: string, { argv, env }: Command, core: number, log: string) {
    this.name = name;
    this.log = log;
    const output = openSync(log, 'a');
    this.child = spawn('taskset', ['-c', String(core), ...argv], {
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env },
    });
    closeSync(output);
    this.child.on('error', (error) => {
      this.ended = error.message;
    });
    this.child.on('exit', (code, signal) => {
      this.ended ??= signal === null ? `exit code ${code}` : String(signal);
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Throws with the end of its output when it ends before, or after 20 s. */
  async untilListening(port: number): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!(await accepts(port))) {
      if (this.ended !== null || Date.now() > deadline)
        throw new Error(`${this.name} does not listen (${this.ended ?? 'after 20 s'}): ${this.lastWords()}`);
      await pause(30);
    }
  }

  lastWords(): string {
    return readFileSync(this.log, 'utf8').trim().slice(-1500);
  }

  get running(): boolean {
    return this.ended === null;
  }

  /** Nanoseconds that all of its threads, and those of the processes it started, have run. */
  cpuNs(): number {
    return processTree(this.pid).reduce((sum, pid) => sum + threadsNs(pid), 0);
  }

  memory(): Memory {
    const each = processTree(this.pid).map(memoryOf);
    return { pss: each.reduce((sum, { pss }) => sum + pss, 0), rss: each.reduce((sum, { rss }) => sum + rss, 0) };
  }

  async end(): Promise<void> {
    if (this.ended !== null || this.pid === 0) return;
    this.child.kill('SIGTERM');
    for (let i = 0; i < 100 && this.ended === null; i++) await pause(20);
    if (this.ended === null) this.child.kill('SIGKILL');
  }
}

function processTree(root: number): number[] {
  const found = [root];
  for (const pid of found) {
    for (const task of listing(`/proc/${pid}/task`))
      found.push(...(text(`/proc/${pid}/task/${task}/children`).match(/\d+/g) ?? []).map(Number));
  }
  return found;
}

/** The first number of `schedstat`: time spent on the CPU, in nanoseconds (Documentation/scheduler/sched-stats.rst). */
function threadsNs(pid: number): number {
  let sum = 0;
  for (const task of listing(`/proc/${pid}/task`))
    sum += Number(text(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] || 0);
  return sum;
}

function memoryOf(pid: number): Memory {
  const rollup = text(`/proc/${pid}/smaps_rollup`);
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
  return { pss: kib('Pss'), rss: kib('Rss') };
}

/** Nanoseconds that a core was busy since it started, by whomever (proc_stat(5); the unit is 10 ms). */
export function coreBusyNs(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(text('/proc/stat'))?.[1] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(' ').map(Number);
  return (user + nice + system + irq + softirq + steal) * 1e7;
}

function listing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** '' for what has ended meanwhile. */
function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1');
  socket.on('connect', () => {
    socket.destroy();
    resolve(true);
  });
  socket.on('error', () => resolve(false));
  return promise;
}

/** Ports of loopback that nobody has, at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.on('error', reject);
      server.listen(0, '127.0.0.1', resolve);
      await promise;
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
