/** `npm run bench -- proxy`: what a request costs here, in Envoy, in nginx and in HAProxy. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import { machine, untilQuiet } from '../machine.ts';
import { cases } from './cases.ts';
import { equip, peerNames } from './equipment.ts';
import { type CaseResult, runCase } from './measure.ts';
import { plot } from './plot.ts';
import { type ProxyResults, report } from './report.ts';
import { Scene } from './scene.ts';

const patienceMs = 60_000;

export const proxy: Bench = async (options) => {
  const { progress, rounds = 5, seconds = 3, peers = [...peerNames] } = options;
  const wrong = [
    ...options.cases.filter((name) => !cases.some((one) => one.name === name)),
    ...peers.filter((name) => !peerNames.some((peer) => peer === name)),
  ];
  if (wrong.length > 0) {
    console.error(`unknown: ${wrong.join(', ')}\ncases: ${cases.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  if (availableParallelism() < 2) {
    console.error('the proxy bench needs two cores: one for the proxies, one for load and upstream');
    return 1;
  }
  const start = performance.now();
  const equipment = await equip(peers, progress);
  const scene = await Scene.make();
  const interrupted = () => scene.end().then(() => process.exit(130));
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  const measured: CaseResult[] = [];
  try {
    await untilQuiet(progress, patienceMs);
    for (const one of cases) {
      if (options.cases.length > 0 && !options.cases.includes(one.name)) continue;
      progress(one.title);
      measured.push(await runCase(one, { scene, equipment }, { rounds, seconds, progress }));
    }
  } finally {
    await scene.end();
  }
  const results: ProxyResults = {
    takenAt: new Date().toISOString(),
    command: options.command,
    minutes: (performance.now() - start) / 60_000,
    machine: machine(),
    rounds,
    seconds,
    versions: Object.fromEntries([...equipment.peers].map(([name, { version }]) => [name, version])),
    missing: Object.fromEntries(equipment.missing),
    cases: measured,
  };
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, 'proxy.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(options.out, 'proxy.svg'), plot(measured));
  const text = report(results);
  writeFileSync(join(options.out, 'proxy.md'), text);
  console.log(text);
  return measured.some(({ failed }) => failed.lateen !== undefined) ? 1 : 0;
};
