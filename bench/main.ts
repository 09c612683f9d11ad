/** `npm run bench -- NAME`: measures one thing and writes it down in `bench/results/`. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';

/** Each in a folder of its own. */
const benches: Record<string, () => Promise<Bench>> = {
  proxy: async () => (await import('./proxy/proxy.ts')).proxy,
  soak: async () => (await import('./soak/soak.ts')).soak,
  mesh: async () => (await import('./mesh/mesh.ts')).mesh,
  control: async () => (await import('./control/control.ts')).control,
};
const first = 'proxy';

const usage = `usage: npm run bench -- [${Object.keys(benches).join('|')}] [options]     (${first} unless told)
  --rounds N        how often each thing is measured (proxy 5, mesh 10)
  --out FOLDER      where the results go (bench/results)
 proxy:
  --case NAME       only this case; may be repeated
  --seconds N       how long one measurement takes (3)
  --peers A,B       measure beside these, out of envoy, nginx and haproxy (all)
 soak:
  --seconds N       how long it takes (600)
 control:
  --case SxC        only so many services and clients, such as 1000x200; may be repeated
 mesh:
  --provider NAME   kubeconfig, kind or local, as for the end-to-end tests
  --cluster NAME    use the cluster of this name: the one that is up, else a new one
  --keep            leave the cluster up`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    provider: { type: 'string' },
    cluster: { type: 'string' },
    keep: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    case: { type: 'string', multiple: true, default: [] },
    peers: { type: 'string' },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
    help: { type: 'boolean', default: false },
  },
});
const [name = first] = positionals;
const count = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const rounds = count(values.rounds);
const seconds = count(values.seconds);
const wrong = [rounds, seconds].some((value) => value !== undefined && (!Number.isInteger(value) || value < 1));
if (values.help) console.log(usage);
else if (!Object.hasOwn(benches, name) || wrong) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const bench = await benches[name]();
  process.exitCode = await bench({
    ...values,
    rounds,
    seconds,
    cases: values.case,
    peers: values.peers?.split(',').filter((peer) => peer !== ''),
    command: ['npm run bench --', name, ...told()].join(' '),
    progress: (line) => console.log(`  ${line}`),
  });
}

/** The options as they were given, but for the folder of the results, which concerns this machine only. */
function told(): string[] {
  const words = process.argv.slice(2).filter((word) => word !== name);
  const at = words.indexOf('--out');
  if (at >= 0) words.splice(at, 2);
  return words.filter((word) => !word.startsWith('--out='));
}
