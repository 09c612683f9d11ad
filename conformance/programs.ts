import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../e2e/cluster/command.ts';
import { goCommand, sources } from '../e2e/local/binaries.ts';
import { cacheFolder } from '../e2e/local/folders.ts';

const module = join(import.meta.dirname, 'suite');
const api = 'sigs.k8s.io/gateway-api';

/** The programs of the Go module `suite`, by path. */
export interface Programs {
  /** The conformance suite. */
  suite: string;
  echoBasic: string;
  echoAdvanced: string;
  coredns: string;
}

async function go(args: string[]): Promise<string> {
  const command = await goCommand();
  if (!command) throw new Error('the conformance suite needs Go 1.26 or newer (https://go.dev/dl)');
  // Static: the images hold nothing beside the program.
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' };
  return run([command, ...args], { cwd: module, env, timeoutMs: 3_600_000 });
}

/** Folder of a module that `suite` requires; it is downloaded when it is not there. */
async function folderOf(name: string): Promise<string> {
  await go(['mod', 'download', name]);
  return (await go(['list', '-m', '-f', '{{.Dir}}', name])).trim();
}

/** Folder of the Gateway API, with the CRDs in `config/crd`. */
export function gatewayApiFolder(): Promise<string> {
  return folderOf(api);
}

/** Folder of the suite, with its manifests. */
export function suiteFolder(): Promise<string> {
  return folderOf(`${api}/conformance`);
}

/** The programs, built first when the cache has none for these sources. */
export async function programs(progress: (line: string) => void): Promise<Programs> {
  const hash = createHash('sha256');
  for (const file of sources(module).filter((name) => !name.endsWith('main_test.go')))
    hash.update(file.slice(module.length)).update(readFileSync(file));
  const folder = join(cacheFolder, `conformance-${hash.digest('hex').slice(0, 16)}`);
  const at = (name: string) => join(folder, name);
  const built = {
    suite: at('suite.test'),
    echoBasic: at('echo-basic'),
    echoAdvanced: at('echo-advanced'),
    coredns: at('coredns'),
  };
  if (existsSync(folder)) return built;
  progress('building the conformance suite (about two minutes the first time on two cores)');
  const work = `${folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  const flags = ['-trimpath', '-ldflags', '-s -w'];
  try {
    await go(['test', '-c', ...flags, '-o', join(work, 'suite.test'), '.']);
    const packages = ['./echo-advanced', './coredns', `${api}/conformance/echo-basic`];
    await go(['build', ...flags, '-o', `${work}/`, ...packages]);
    if (!existsSync(folder)) renameSync(work, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return built;
}
