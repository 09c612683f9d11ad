/**
 * `npm test`: the unit tests, the comparison with Envoy, then the end-to-end tests on the first cluster that this machine offers.
 * The last line is `N passed, N failed`; the exit code is 1 when any failed.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runAva, type Totals } from './tap.ts';

const top = join(import.meta.dirname, '..');

/** Runs a program that ends with `N passed, N failed`, shows what it says, and reads these totals. */
async function totalsOf(name: string, args: string[]): Promise<Totals> {
  const child = spawn(process.execPath, args, {
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  // A signal from the terminal reaches the child as well; this process waits for it to end its cluster.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('close', resolve);
  const totals = { passed: 0, failed: 0 };
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^(\d+) passed, (\d+) failed$/.exec(line);
    if (found) [totals.passed, totals.failed] = [Number(found[1]), Number(found[2])];
    else console.log(line);
  }
  const code = await promise;
  if (code !== 0 && totals.failed === 0) {
    console.log(`  ✖ ${name} ended with exit code ${code}`);
    totals.failed = 1;
  }
  return totals;
}

process.chdir(top);
console.log('unit tests');
const unit = await runAva([], process.env, false);
console.log(`  unit tests: ${unit.passed} ok, ${unit.failed} not`);
const compared = await totalsOf('the comparison with Envoy', ['differential/main.ts']);
console.log(`  comparison with Envoy: ${compared.passed} alike, ${compared.failed} not`);
const cluster = await totalsOf('the end-to-end tests', ['e2e/main.ts', ...process.argv.slice(2)]);
console.log(`  end-to-end tests: ${cluster.passed} ok, ${cluster.failed} not`);
const failed = unit.failed + compared.failed + cluster.failed;
console.log(`${unit.passed + compared.passed + cluster.passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
