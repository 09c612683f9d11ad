/** The Go programs of the Gateway API's conformance suite, built from the module `suite/` into the cache folder. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../e2e/cluster/command.ts';
import { cacheFolder } from '../e2e/local/folders.ts';

export const suiteFolder = join(import.meta.dirname, 'suite');
const upstream = 'sigs.k8s.io/gateway-api';

export interface Programs {
  /** The suite, as a test program. */
  suite: string;
  echoBasic: string;
  echoAdvanced: string;
  coreDns: string;
  /** Folder with the definitions of the Gateway API's kinds, of the same version. */
  definitions: string;
}

const goEnv = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' };
/** From nothing the Kubernetes client's packages are compiled as well. */
const buildTimeoutMs = 1_800_000;

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

export async function programs(progress: (line: string) => void): Promise<Programs> {
  const go = (args: string[]) => run(['go', ...args], { cwd: suiteFolder, env: goEnv, timeoutMs: buildTimeoutMs });
  const version = (await go(['list', '-m', '-f', '{{.Version}}', upstream])).trim();
  const module = JSON.parse(await go(['mod', 'download', '-json', `${upstream}@${version}`])) as { Dir: string };
  const hash = createHash('sha256');
  for (const file of [import.meta.filename, ...sources(suiteFolder)])
    hash.update(file.slice(import.meta.dirname.length)).update(readFileSync(file));
  const folder = join(cacheFolder, `conformance-${version}-${hash.digest('hex').slice(0, 16)}`);
  const at = (name: string) => join(folder, name);
  if (!existsSync(folder)) {
    progress(`building the conformance suite of Gateway API ${version} (some minutes the first time)`);
    const work = `${folder}.${process.pid}`;
    mkdirSync(work, { recursive: true });
    try {
      const flags = ['-trimpath', '-ldflags', '-s -w'];
      await go(['test', '-c', ...flags, '-o', join(work, 'suite'), '.']);
      await go(['build', ...flags, '-o', join(work, 'echo-basic'), `${upstream}/conformance/echo-basic`]);
      await go(['build', ...flags, '-o', join(work, 'echo-advanced'), './echo-advanced']);
      await go(['build', ...flags, '-o', join(work, 'coredns'), './coredns']);
      if (!existsSync(folder)) renameSync(work, folder);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return {
    suite: at('suite'),
    echoBasic: at('echo-basic'),
    echoAdvanced: at('echo-advanced'),
    coreDns: at('coredns'),
    definitions: join(module.Dir, 'config/crd'),
  };
}
