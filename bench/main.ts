/** `npm run bench -- NAME`: measures one thing and writes it down in `bench/results/`. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';

/** Each in a folder of its own. */
const benches: Record<string, () => Promise<Bench>> = {
  mesh: async () => (await import('./mesh/mesh.ts')).mesh,
};

const usage = `usage: npm run bench -- ${Object.keys(benches).join('|')} [options]
  --provider NAME   kubeconfig, kind or local, as for the end-to-end tests
  --cluster NAME    use the cluster of this name: the one that is up, else a new one
  --keep            leave the cluster up
  --rounds N        how often each thing is measured, where that can be chosen (10)
  --out FOLDER      where the results go (bench/results)`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    provider: { type: 'string' },
    cluster: { type: 'string' },
    keep: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '10' },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
    help: { type: 'boolean', default: false },
  },
});
const [name] = positionals;
const rounds = Number(values.rounds);
if (values.help) console.log(usage);
else if (!Object.hasOwn(benches, name ?? '') || !Number.isInteger(rounds) || rounds < 1) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const bench = await benches[name]();
  process.exitCode = await bench({
    ...values,
    rounds,
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`,
    progress: (line) => console.log(`  ${line}`),
  });
}
