/**
 * `npm run differential`: Envoy and Lateen, the same bootstrap files, the same requests. The last line is `N passed, N failed`; the
 * exit code is 1 when something differs that no case lists with its reason.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { envoyProgram } from '../tools/envoy.ts';

const parts = ['http', 'connections', 'telemetry', 'mesh'];

async function compare(part: string, envoy: string): Promise<{ passed: number; failed: number }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${part}.ts`)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, LATEEN_ENVOY: envoy },
  });
  let totals = { passed: 0, failed: 1 };
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^(\d+) passed, (\d+) failed$/.exec(line);
    if (found) totals = { passed: Number(found[1]), failed: Number(found[2]) };
    else console.log(line);
  }
  return totals;
}

let envoy: string;
try {
  envoy = await envoyProgram((line) => console.log(`  ${line}`));
} catch (error) {
  console.log(`comparison with Envoy: none (${(error as Error).message})`);
  process.exit(0);
}
const totals = { passed: 0, failed: 0 };
for (const part of parts) {
  if (!existsSync(join(import.meta.dirname, `${part}.ts`))) continue;
  const { passed, failed } = await compare(part, envoy);
  console.log(`  ${part}: ${passed} alike, ${failed} not`);
  totals.passed += passed;
  totals.failed += failed;
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed > 0 ? 1 : 0;
