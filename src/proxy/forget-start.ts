import { readFileSync } from 'node:fs';
import { libc } from './net/libc.ts';

const settledMs = 50;
/**
 * When what the first requests needed, V8's compilers above all, may go as well; milliseconds after the start. A proxy that is busy
 * from the first moment would otherwise have the start's memory and theirs at once.
 */
const againMs = [200, 400, 600, 1_000, 10_000, 60_000];

/** madvise(2): the pages leave this process, and come back from the file when they are asked for. */
const dontNeed = 4;

/**
 * What only the start needed leaves the memory: nothing of it would by itself in a proxy that has little to do. Garbage, then
 * what the allocator keeps, then the pages of Node's file: V8's snapshot, its compilers and the parsers are most of what is
 * resident of 140 MB, and what serving needs of them comes back within some hundred page faults.
 */
export function forgetStart(): void {
  setTimeout(() => {
    const { gc } = globalThis as { gc?: (options: object) => void };
    gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    giveBack();
  }, settledMs).unref();
  for (const afterMs of againMs) setTimeout(giveBack, afterMs).unref();
}

function giveBack(): void {
  libc()?.mallocTrim?.(0);
  giveBackPages();
}

interface Mapping {
  readonly from: bigint;
  readonly length: number;
}

/**
 * The mappings of a file that may be read anew at any time: what is written to becomes anonymous. (What is dirty may be the file
 * itself, which the system has yet to write down.) smaps of proc(5).
 */
export function cleanMappings(smaps: string): Mapping[] {
  const found: Mapping[] = [];
  for (const entry of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9]\d* +\/.+$/m.exec(entry);
    if (head === null || !/^Anonymous: +0 kB$/m.test(entry)) continue;
    const from = BigInt(`0x${head[1]}`);
    found.push({ from, length: Number(BigInt(`0x${head[2]}`) - from) });
  }
  return found;
}

/** Does so with the pages of files alone, which takes some milliseconds. */
export function giveBackPages(): void {
  const calls = libc();
  if (calls === null) return;
  let smaps: string;
  try {
    smaps = readFileSync('/proc/self/smaps', 'latin1');
  } catch {
    // Without proc(5) there is nothing to go by.
    return;
  }
  for (const { from, length } of cleanMappings(smaps)) calls.madvise(from, length, dontNeed);
}
