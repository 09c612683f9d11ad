import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, onPath, run } from '../cluster/command.ts';
import { cacheFolder } from './folders.ts';

const kubernetesVersion = '1.34.4';
const module = join(import.meta.dirname, 'kube');

export interface Binaries {
  /** Folder of the four programs. */
  folder: string;
  kube: string;
  pause: string;
  forward: string;
  pki: string;
}

const flags = ['-trimpath'];

/** The stamp that Kubernetes programs show as their version (k8s.io/component-base/version). */
function stamp(): string {
  const [major, minor] = kubernetesVersion.split('.');
  const values = {
    gitVersion: `v${kubernetesVersion}`,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
    buildDate: '2026-01-01T00:00:00Z',
  };
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  const set = packages.flatMap((name) => Object.entries(values).map(([key, value]) => `-X ${name}.${key}=${value}`));
  return `-s -w ${set.join(' ')}`;
}

/** The files of a Go module, in order. */
export function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(go|mod|sum)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function paths(): Binaries {
  const hash = createHash('sha256').update(stamp()).update(flags.join());
  for (const file of sources(module)) hash.update(file.slice(module.length)).update(readFileSync(file));
  const folder = join(cacheFolder, `kubernetes-${kubernetesVersion}-${hash.digest('hex').slice(0, 16)}`);
  const at = (name: string) => join(folder, name);
  return { folder, kube: at('kube'), pause: at('pause'), forward: at('forward'), pki: at('pki') };
}

const oldestGo = [1, 24];

/** The Go command: on the PATH, or where the archives of go.dev are unpacked. */
export async function goCommand(): Promise<string | null> {
  if (await onPath('go')) return 'go';
  return ['/usr/local/go/bin/go', '/usr/lib/go/bin/go'].find((file) => existsSync(file)) ?? null;
}

/** Why the programs cannot be had here, or null when they are built already or can be. */
export async function buildObstacle(): Promise<string | null> {
  if (existsSync(paths().folder)) return null;
  const go = await goCommand();
  if (!go) return `Go ${oldestGo.join('.')} or newer is missing (https://go.dev/dl)`;
  const { stdout } = await attempt([go, 'env', 'GOVERSION'], { cwd: module });
  const found = /go(\d+)\.(\d+)/.exec(stdout);
  const [major, minor] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
  if (major < oldestGo[0] || (major === oldestGo[0] && minor < oldestGo[1]))
    return `Go ${oldestGo.join('.')} or newer is needed, and "go env GOVERSION" says ${stdout.trim() || 'nothing'}`;
  return null;
}

/** The programs of a cluster, built first when the cache has none for these sources. */
export async function binaries(progress: (line: string) => void): Promise<Binaries> {
  const built = paths();
  if (existsSync(built.folder)) return built;
  progress(`building Kubernetes ${kubernetesVersion} (about 15 minutes the first time on two cores, 3 GB of Go cache)`);
  const started = Date.now();
  const tick = setInterval(
    () => progress(`still building Kubernetes, ${Math.round((Date.now() - started) / 1000)} s`),
    60_000,
  );
  const work = `${built.folder}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOTOOLCHAIN: 'auto' };
  const options = { cwd: module, env, timeoutMs: 3_600_000 };
  const go = (await goCommand()) ?? 'go';
  try {
    await run([go, 'build', ...flags, '-ldflags', stamp(), '-o', join(work, 'kube'), '.'], options);
    await run([go, 'build', ...flags, '-ldflags', '-s -w', '-o', `${work}/`, './cmd/...'], options);
    if (!existsSync(built.folder)) renameSync(work, built.folder);
  } finally {
    clearInterval(tick);
    rmSync(work, { recursive: true, force: true });
  }
  return built;
}
