import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { imagePackages } from '../../tools/image/catalogue.ts';
import { install, obstacle } from '../local/debian.ts';
import type { Cluster, Provider } from './cluster.ts';

const top = join(import.meta.dirname, '../..');

export type Progress = (line: string) => void;

/** Builds a docker-archive of images and returns its path. */
export type ImageBuild = () => Promise<string>;

export interface BringUp {
  name: string;
  /** 1 unless told. */
  nodes?: number;
  /** Whether a cluster of this name that is up already will do. */
  reuse?: boolean;
  images: ImageBuild[];
  progress: Progress;
}

/** One name a checkout and purpose, so that a run clears away what an earlier one of the same left, and no other's. */
export function ownName(purpose: string): string {
  return `${purpose}-${createHash('sha256').update(top).digest('hex').slice(0, 6)}`;
}

/** The name of the second cluster that a test of cluster `name` may make; whoever ends the one ends the other too. */
export function secondName(name: string): string {
  return `${name.slice(0, 24)}-second`;
}

/** Brings a cluster up and builds the images at the same time, then puts the images there. */
export async function bringUp(provider: Provider, options: BringUp): Promise<Cluster> {
  const { images, progress } = options;
  const packages = [...imagePackages, ...provider.packages];
  const why = await obstacle(packages);
  if (why) throw new Error(`images cannot be built: ${why}`);
  await install(packages, progress);
  const build = async () => {
    const archives: string[] = [];
    for (const make of images) archives.push(await make());
    return archives;
  };
  const [cluster, archives] = await Promise.allSettled([clusterOf(provider, options), build()]);
  if (cluster.status === 'rejected') throw cluster.reason;
  if (archives.status === 'rejected') throw archives.reason;
  for (const archive of archives.value) await loadOnce(cluster.value, archive, progress);
  return cluster.value;
}

async function clusterOf(provider: Provider, { name, nodes = 1, reuse = false, progress }: BringUp): Promise<Cluster> {
  const found = reuse ? await provider.attach(name) : null;
  if (found) progress(`cluster ${name} is up already`);
  return found ?? provider.create(name, { nodes, progress });
}

/** A node that has an archive's images says so in an annotation, so that a kept cluster is given only what changed. */
async function loadOnce(cluster: Cluster, archive: string, progress: Progress): Promise<void> {
  const [name, digest] = basename(archive, '.tar').split('-');
  const key = `lateen.dev/e2e-images-${name}`;
  const path = `jsonpath={.metadata.annotations.${key.replaceAll('.', '\\.')}}`;
  if ((await cluster.kubectl(['get', 'node', cluster.nodes[0], '-o', path])) === digest) return;
  await cluster.loadImages(archive);
  await cluster.kubectl(['annotate', '--overwrite', 'node', cluster.nodes[0], `${key}=${digest}`]);
  progress(`images loaded: ${basename(archive)}`);
}

/**
 * Runs this very process again behind the command of `LATEEN_KIND_WRAP` and returns its exit code; null when there is no such
 * command. Commands that reach the Docker engine may have to run elsewhere, such as in its network namespace: everything does then.
 */
export async function elsewhere(): Promise<number | null> {
  const wrap = process.env.LATEEN_KIND_WRAP;
  if (!wrap) return null;
  const [command, ...args] = [...wrap.split(' ').filter(Boolean), process.execPath, ...process.argv.slice(1)];
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, LATEEN_KIND_WRAP: '' } });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on('error', reject);
  child.on('exit', (code) => resolve(code ?? 1));
  return promise;
}

/** A signal ends what was made, and then the process with 130. */
export function endOnSignal(end: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      console.log(`${signal}: ending the cluster`);
      end().finally(() => process.exit(130));
    });
}
