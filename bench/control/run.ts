/** One control plane, its clients, and what each kind of change costs. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { bundleSample } from '../../tools/bundle.ts';
import { controlSettings } from '../../tools/image/node-settings.ts';
import { Client } from './clients.ts';
import type { Change } from './mesh.ts';
import type { Told } from './plane.ts';
import { sidecarMib } from './sidecar.ts';

export interface Scale {
  readonly services: number;
  readonly namespaces: number;
  readonly clients: number;
}

export interface Measured {
  readonly what: Change | 'connect';
  /** From the change to the last client's acknowledgement; 0 when nothing was sent. */
  readonly lastMs: number;
  readonly cpuMs: number;
  readonly bytes: number;
  readonly responses: number;
}

export interface ControlResult {
  readonly scale: Scale;
  readonly rssMib: { readonly alone: number; readonly connected: number; readonly most: number };
  readonly resources: number;
  /** Of a proxy that knows all of it, resident. */
  readonly sidecarMib: number;
  /** In the order in which they were made. */
  readonly measured: readonly Measured[];
}

const changes: readonly Change[] = ['endpoint', 'virtualService', 'service', 'everything', 'nothing'];
/** Nothing came for so long: it is over. The first scope of a large mesh takes its time. */
const quietMs = ({ services }: Scale): number => 600 + services / 4;
const patienceMs = 120_000;

export async function measureControl(
  scale: Scale,
  rounds: number,
  progress: (line: string) => void,
): Promise<ControlResult> {
  const { services, namespaces, clients: count } = scale;
  const plane = await Plane.start([services, namespaces, count].map(String));
  const clients = Array.from({ length: count }, () => new Client());
  try {
    const alone = await plane.ask();
    let most = alone.rssMib;
    const start = performance.now();
    await Promise.all(clients.map((client, i) => client.start(plane.port, i, namespaces)));
    await settled(scale, clients, start, () => clients.every(({ isComplete }) => isComplete));
    const connected = await plane.ask();
    most = Math.max(most, connected.rssMib);
    const measured: Measured[] = [summed('connect', clients, start, connected.cpuMs - alone.cpuMs)];
    progress(`${services} services, ${count} clients: all connected after ${Math.round(measured[0].lastMs)} ms`);
    for (let round = 0; round < rounds; round++)
      for (const what of changes) {
        for (const client of clients) client.bytes = client.responses = client.lastAckAt = 0;
        const before = await plane.ask();
        const at = performance.now();
        plane.change(what);
        await settled(scale, clients, at, () => what === 'nothing' || clients.some(({ responses }) => responses > 0));
        const after = await plane.ask();
        most = Math.max(most, after.rssMib);
        measured.push(summed(what, clients, at, after.cpuMs - before.cpuMs));
      }
    return {
      scale,
      rssMib: { alone: alone.rssMib, connected: connected.rssMib, most },
      resources: clients[0].count,
      sidecarMib: await sidecarMib(plane.port),
      measured,
    };
  } finally {
    for (const client of clients) client.stop();
    plane.end();
  }
}

function summed(what: Measured['what'], clients: readonly Client[], since: number, cpuMs: number): Measured {
  const last = Math.max(0, ...clients.map(({ lastAckAt }) => lastAckAt));
  return {
    what,
    lastMs: last === 0 ? 0 : last - since,
    cpuMs,
    bytes: clients.reduce((sum, { bytes }) => sum + bytes, 0),
    responses: clients.reduce((sum, { responses }) => sum + responses, 0),
  };
}

/** Until `has` holds and then nothing has come for a while. */
async function settled(scale: Scale, clients: readonly Client[], since: number, has: () => boolean): Promise<void> {
  for (;;) {
    const now = performance.now();
    const last = Math.max(since, ...clients.map(({ lastAckAt }) => lastAckAt));
    if (has() && now - last > quietMs(scale)) return;
    if (now - since > patienceMs)
      throw new Error(`not every client has its configuration after ${patienceMs / 1000} s`);
    await pause(20);
  }
}

class Plane {
  readonly #child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** As the image starts its own: out of a bundle, with Node's settings. */
  static async start(words: readonly string[]): Promise<Plane> {
    const folder = mkdtempSync(join(tmpdir(), 'lateen-bench-'));
    const { file } = await bundleSample(join(import.meta.dirname, 'plane.ts'), join(folder, 'plane.mjs'));
    const child = fork(file, [...words], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [...controlSettings.flags],
      env: { ...process.env, ...controlSettings.environment },
    });
    child.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const told = await new Promise<Told>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Told));
      child.once('exit', (code) => reject(new Error(`the control plane ended with ${code}`)));
    });
    return new Plane(child, told.port ?? 0);
  }

  ask(): Promise<Told> {
    const answer = new Promise<Told>((resolve) => {
      this.#child.once('message', (message) => resolve(message as Told));
    });
    this.#child.send({});
    return answer;
  }

  change(change: Change): void {
    this.#child.send({ change });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
