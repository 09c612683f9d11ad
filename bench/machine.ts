import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

export interface Machine {
  cores: number;
  cpu: string;
  memoryGib: number;
  kernel: string;
  node: string;
}

export function machine(): Machine {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() || process.arch,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `${process.platform} ${release()}`,
    node: process.version,
  };
}

/** Of the last minute. */
export function loadAverage(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

/** Waits, three minutes at most, until the load is below one a core; what is measured in more says so by its load average. */
export async function untilQuiet(progress: (line: string) => void, patienceMs = 180_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  if (loadAverage() < availableParallelism()) return;
  progress(`load average ${loadAverage()}: waiting for the machine to become quiet`);
  while (loadAverage() >= availableParallelism() && Date.now() < deadline) await pause(2_000);
}
