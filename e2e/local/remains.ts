import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { attempt, run } from '../cluster/command.ts';
import { removeCgroups } from './cgroups.ts';
import { clusterFolder } from './folders.ts';
import { prefix } from './layout.ts';

const namespaces = '/run/netns';
const limitMs = 20_000;

function ours(cluster: string): string[] {
  if (!existsSync(namespaces)) return [];
  return readdirSync(namespaces).filter((name) => new RegExp(`^${prefix(cluster)}(n\\d+|bridge)$`).test(name));
}

/**
 * The processes that live in one of the network namespaces. Process 1 of each node is among them, and its end takes
 * along all that is in its pods.
 */
function inhabitants(names: string[]): number[] {
  const wanted = new Set(names.map((name) => statSync(join(namespaces, name)).ino));
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return pid !== process.pid && wanted.has(statSync(`/proc/${pid}/ns/net`).ino);
      } catch {
        return false;
      }
    });
}

/**
 * Ends whatever is there of a cluster and removes every trace of it, whoever started it and however that one ended.
 * Safe to repeat. Throws after 20 s with what would not go.
 */
export async function clear(cluster: string): Promise<void> {
  const names = ours(cluster);
  const deadline = Date.now() + limitMs;
  for (;;) {
    const pids = inhabitants(names);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    const cgroups = removeCgroups(prefix(cluster));
    if (pids.length === 0 && cgroups.length === 0) break;
    if (Date.now() > deadline)
      throw new Error(
        `cluster ${cluster}: still there: processes ${pids.join(', ') || 'none'}, cgroups ${cgroups.join(', ') || 'none'}`,
      );
    await pause(20);
  }
  // The forwarders end by themselves when their namespace's file is gone.
  for (const name of names) await attempt(['ip', 'netns', 'delete', name]);
  if (existsSync(clusterFolder(cluster))) await run(['rm', '-rf', '--one-file-system', clusterFolder(cluster)]);
}
