import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
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
 * The processes that live in one of the network namespaces, and those that started a node, which are known by their
 * command even when their namespace has lost its name. Process 1 of each node is among the former, and its end takes
 * along all that is in its pods.
 */
function inhabitants(cluster: string): number[] {
  const wanted = new Set(ours(cluster).map((name) => statSync(join(namespaces, name)).ino));
  const init = new RegExp(`^unshare\\0.*\\0${RegExp.escape(clusterFolder(cluster))}/n\\d+/init\\.sh\\0$`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        if (pid === process.pid) return false;
        return (
          wanted.has(statSync(`/proc/${pid}/ns/net`).ino) || init.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
        );
      } catch {
        return false;
      }
    });
}

async function endProcesses(cluster: string): Promise<void> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const pids = inhabitants(cluster);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    const cgroups = removeCgroups(new RegExp(`^${prefix(cluster)}n\\d+$`));
    if (pids.length === 0 && cgroups.length === 0) return;
    if (Date.now() > deadline)
      throw new Error(
        `cluster ${cluster}: still there: processes ${pids.join(', ') || 'none'}, cgroups ${cgroups.join(', ') || 'none'}`,
      );
    await pause(20);
  }
}

/**
 * Ends whatever is there of a cluster and removes every trace of it, whoever started it and however that one ended.
 * Safe to repeat. Throws after 20 s with what would not go.
 */
export async function clear(cluster: string): Promise<void> {
  await endProcesses(cluster);
  // The forwarders end by themselves when their namespace's file is gone.
  for (const name of ours(cluster)) await attempt(['ip', 'netns', 'delete', name]);
  // Once more: a cluster that was still being made may have started something before its namespaces went.
  await endProcesses(cluster);
  if (existsSync(clusterFolder(cluster))) await run(['rm', '-rf', '--one-file-system', clusterFolder(cluster)]);
}
