import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Totals {
  passed: number;
  failed: number;
}

/** Of what is shown about one failed test: a golden's difference may run to thousands of lines. */
const maxDetailLines = 80;

const marks = { ok: '  ✔ ', 'not ok': '  ✖ ' };

/**
 * Runs ava and shows a line a test as it ends, with the details of those that failed. A run that fails without a failed
 * test counts as one failure.
 * @param show whether tests that passed are shown as well.
 * @param signal ends the run.
 */
export async function runAva(
  args: string[],
  env: NodeJS.ProcessEnv,
  show: boolean,
  signal?: AbortSignal,
): Promise<Totals> {
  const totals = { passed: 0, failed: 0 };
  const child = spawn('ava', ['--tap', ...args], { env, stdio: ['ignore', 'pipe', 'inherit'], signal });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('close', resolve);
  let failing = false;
  let detailLines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const result = /^(ok|not ok) \d+ - (.*)$/.exec(line);
    if (result) {
      const passed = result[1] === 'ok';
      totals[passed ? 'passed' : 'failed']++;
      failing = !passed;
      detailLines = 0;
      if (failing || show) console.log(`${marks[passed ? 'ok' : 'not ok']}${result[2]}`);
    } else if (/^(TAP version|1\.\.|# \S|\s*$)/.test(line)) failing = false;
    // Logs are indented; a comment that is not is the title of a hook.
    else if ((failing && ++detailLines <= maxDetailLines) || line.startsWith('#'))
      console.log(`    ${line.replace(/^#\s*/, '')}`);
    else if (failing && detailLines === maxDetailLines + 1) console.log('      (and more)');
  }
  const code = await promise;
  if (code !== 0 && totals.failed === 0) {
    console.log(`  ✖ ava ended with exit code ${code}`);
    totals.failed = 1;
  }
  return totals;
}
