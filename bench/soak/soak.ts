/** `npm run bench -- soak`: zero failed requests and flat memory while the configuration changes twice a second. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundlePrograms } from '../../tools/bundle.ts';
import { proxySettings } from '../../tools/image/node-settings.ts';
import type { Bench } from '../bench.ts';
import { machine } from '../machine.ts';
import { soakReport } from './report.ts';
import { runSoak } from './run.ts';
import { failed } from './traffic.ts';

const top = join(import.meta.dirname, '../..');

export const soak: Bench = async ({ seconds = 600, out, command, progress }) => {
  const app = mkdtempSync(join(tmpdir(), 'lateen-soak-app-'));
  try {
    await bundlePrograms(app);
    symlinkSync(join(top, 'node_modules'), join(app, 'node_modules'));
    const proxy = (config: string) => ({
      argv: [process.execPath, ...proxySettings.flags, join(app, 'main.mjs'), 'proxy', '-c', config],
      env: proxySettings.environment,
    });
    const result = await runSoak({ seconds, proxy, progress });
    mkdirSync(out, { recursive: true });
    const takenAt = new Date().toISOString();
    const plain = Object.fromEntries(
      Object.entries(result.traffic).map(([name, tally]) => [
        name,
        { ...tally, failures: Object.fromEntries(tally.failures) },
      ]),
    );
    writeFileSync(
      join(out, 'soak.json'),
      `${JSON.stringify({ takenAt, command, ...result, traffic: plain }, null, 1)}\n`,
    );
    const text = soakReport(result, takenAt, command, machine());
    writeFileSync(join(out, 'soak.md'), text);
    console.log(text);
    return result.refusals.length === 0 && Object.values(result.traffic).every((tally) => failed(tally) === 0) ? 0 : 1;
  } finally {
    rmSync(app, { recursive: true, force: true });
  }
};
