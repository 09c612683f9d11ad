/** `npm run bench:control`: what the control plane costs, and how soon the last proxy has a change. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import { machine } from '../machine.ts';
import { controlReport } from './report.ts';
import { type ControlResult, measureControl, type Scale } from './run.ts';

const namespaces = 20;
/** The second is where Istio's figures are from. */
const scales: readonly Scale[] = [
  { services: 1000, namespaces, clients: 2 },
  { services: 1000, namespaces, clients: 200 },
  { services: 5000, namespaces, clients: 50 },
  { services: 10_000, namespaces, clients: 20 },
  { services: 200, namespaces, clients: 1000 },
];

export const control: Bench = async ({ rounds = 5, cases, out, command, progress }) => {
  const chosen = scales.filter(
    ({ services, clients }) => cases.length === 0 || cases.includes(`${services}x${clients}`),
  );
  const results: ControlResult[] = [];
  for (const scale of chosen) results.push(await measureControl(scale, rounds, progress));
  mkdirSync(out, { recursive: true });
  const takenAt = new Date().toISOString();
  writeFileSync(join(out, 'control.json'), `${JSON.stringify({ takenAt, command, results }, null, 1)}\n`);
  const text = controlReport(results, takenAt, command, machine());
  writeFileSync(join(out, 'control.md'), text);
  console.log(text);
  return 0;
};
