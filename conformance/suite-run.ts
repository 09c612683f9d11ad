import { spawn } from 'node:child_process';
import { chmodSync, createWriteStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import type { Vantage } from '../e2e/cluster/cluster.ts';
import type { Totals } from '../tools/tap.ts';

export interface SuiteRun {
  /** The suite's program. */
  program: string;
  from: Vantage;
  /** The suite's own flags (conformance/utils/flags), and those of a Go test program. */
  flags: string[];
  /** Where all that the suite says goes. */
  log: string;
  /** Where its report goes. */
  report: string;
  signal: AbortSignal;
}

/** Begins each line of the test's framework where it is asked to write for test2json; only so does it tell of a test when it ends. */
const mark = '\x16';
const result = /^ *--- (PASS|FAIL|SKIP): TestConformance\/(\S+) \((\d+\.\d+)s\)$/;
const marks = { PASS: '✔', FAIL: '✖' };
/** Of a run that ended before its first test. */
const shownLines = 25;

/** Runs the suite and shows a line a test as it ends, and one for each failed part of one. A run without a test that fails counts as one failure. */
export async function runSuite({ program, from, flags, log, report, signal }: SuiteRun): Promise<Totals> {
  for (const file of [log, report]) mkdirSync(dirname(file), { recursive: true });
  const [command, ...args] = [...from.command, program, '-test.v=test2json', `-report-output=${report}`, ...flags];
  // A proxy for the machine's way out is none of the cluster's.
  const env = { ...process.env, KUBECONFIG: from.kubeconfig, NO_PROXY: '*', no_proxy: '*' };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], cwd: dirname(log) });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('close', resolve);
  // Awaited only after the last line.
  promise.catch(() => {});
  signal.addEventListener('abort', () => child.kill(), { once: true });
  const into = createWriteStream(log);
  const totals: Totals = { passed: 0, failed: 0 };
  child.stderr.on('data', (chunk: Buffer) => into.write(chunk));
  for await (const marked of createInterface({ input: child.stdout })) {
    const line = marked.replaceAll(mark, '');
    into.write(`${line}\n`);
    const found = result.exec(line);
    if (!found) continue;
    const [, status, name, seconds] = found;
    const isPart = name.includes('/');
    if (status === 'SKIP' || (isPart && status === 'PASS')) continue;
    if (!isPart) totals[status === 'PASS' ? 'passed' : 'failed']++;
    console.log(
      `  ${isPart ? '  ' : ''}${marks[status as keyof typeof marks]} ${name} (${Number(seconds).toFixed(1)} s)`,
    );
  }
  const code = await promise;
  into.end();
  await finished(into);
  // The suite keeps it from others.
  if (existsSync(report)) chmodSync(report, 0o644);
  if (code !== 0 && totals.failed === 0) {
    const said = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-shownLines);
    console.log(said.map((line) => `    ${line}`).join('\n'));
    console.log(`  ✖ the suite ended with exit code ${code}`);
    totals.failed = 1;
  }
  return totals;
}

/** Flags of the suite that choose tests: by a part of the name, or exactly one. */
export function chosen(only: string[], runTest: string | undefined): string[] {
  const pattern = only.length > 0 ? `^TestConformance$/(${only.join('|')})` : '^TestConformance$';
  return [`-test.run=${pattern}`, ...(runTest ? [`-run-test=${runTest}`] : [])];
}

/** The flags that tell who is tested. */
export function implementation(top: string): string[] {
  const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'));
  const details = {
    organization: 'lateen',
    project: 'lateen',
    version: `v${version}`,
    url: 'https://lateen.dev',
    contact: 'https://lateen.dev',
  };
  return Object.entries(details).map(([key, value]) => `-${key}=${value}`);
}
