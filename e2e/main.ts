import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildLateenImage, buildTestImages, imagePackages } from '../tools/image/catalogue.ts';
import { runAva, type Totals } from '../tools/tap.ts';
import type { Cluster, Provider } from './cluster/cluster.ts';
import { handleOf } from './cluster/handle.ts';
import { chooseProvider } from './cluster/selection.ts';
import { install, obstacle } from './local/debian.ts';
import { collectEvidence, evidenceFolder } from './support/evidence.ts';

const usage = `usage: npm run test:e2e -- [options]
  --keep            leave the cluster up and print how to reach it
  --cluster NAME    use the cluster of this name: the one that is up, else a new one
  --only TEXT       only test files whose name contains TEXT; may be repeated; "none" runs no test
  --nodes N         nodes of a new cluster (1)
  --provider NAME   kubeconfig, kind or local (else LATEEN_E2E_PROVIDER, else the first that this machine offers)
  --down            end the cluster and do nothing else`;

const top = join(import.meta.dirname, '..');
const testFolder = join(import.meta.dirname, 'tests');

function progress(line: string): void {
  console.log(`  ${line}`);
}

/** One name a checkout, so that a run clears away what an earlier one of the same checkout left, and no other's. */
function ownName(): string {
  return `e2e-${createHash('sha256').update(top).digest('hex').slice(0, 6)}`;
}

/** Commands that reach the Docker engine may have to run elsewhere, such as in its network namespace: everything does then. */
function elsewhere(wrap: string): Promise<number> {
  const [command, ...args] = [...wrap.split(' ').filter(Boolean), process.execPath, ...process.argv.slice(1)];
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, LATEEN_KIND_WRAP: '' } });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on('error', reject);
  child.on('exit', (code) => resolve(code ?? 1));
  return promise;
}

/** Brings the cluster up and builds the images at the same time, then puts the images there. */
async function prepare(provider: Provider, create: () => Promise<Cluster>): Promise<Cluster> {
  const packages = [...imagePackages, ...provider.packages];
  const why = await obstacle(packages);
  if (why) throw new Error(`images cannot be built: ${why}`);
  await install(packages, progress);
  const build = async () => [await buildTestImages(), await buildLateenImage()];
  const [cluster, archives] = await Promise.allSettled([create(), build()]);
  if (cluster.status === 'rejected') throw cluster.reason;
  if (archives.status === 'rejected') throw archives.reason;
  for (const archive of archives.value) await loadOnce(cluster.value, archive);
  return cluster.value;
}

/** A node that has an archive's images says so in an annotation, so that a kept cluster is given only what changed. */
async function loadOnce(cluster: Cluster, archive: string): Promise<void> {
  const [name, digest] = basename(archive, '.tar').split('-');
  const key = `lateen.dev/e2e-images-${name}`;
  const path = `jsonpath={.metadata.annotations.${key.replaceAll('.', '\\.')}}`;
  if ((await cluster.kubectl(['get', 'node', cluster.nodes[0], '-o', path])) === digest) return;
  await cluster.loadImages(archive);
  await cluster.kubectl(['annotate', '--overwrite', 'node', cluster.nodes[0], `${key}=${digest}`]);
  progress(`images loaded: ${basename(archive)}`);
}

function testFiles(only: string[]): string[] {
  const all = readdirSync(testFolder).filter((name) => name.endsWith('.ts'));
  const wanted = only.length === 0 ? all : all.filter((name) => only.some((text) => name.includes(text)));
  return wanted.sort().map((name) => `e2e/tests/${name}`);
}

async function tests(cluster: Cluster, only: string[], signal: AbortSignal): Promise<Totals> {
  const files = testFiles(only);
  if (files.length === 0) return { passed: 0, failed: 0 };
  rmSync(evidenceFolder(cluster.name), { recursive: true, force: true });
  const env = { ...process.env, ...handleOf(cluster) };
  const totals = await runAva(['--config', 'e2e/ava.config.js', ...files], env, true, signal);
  if (totals.failed > 0) {
    await collectEvidence(cluster, 'at the end');
    progress(`pods, events and logs: ${evidenceFolder(cluster.name)}`);
  }
  return totals;
}

function tellHowToReach(cluster: Cluster): void {
  console.log(`cluster ${cluster.name} is left up:`);
  console.log(`  export KUBECONFIG=${cluster.kubeconfig}`);
  console.log(`  ${cluster.kubectlCommand.join(' ')} get pods -A`);
  console.log(`  npm run test:e2e -- --keep --cluster ${cluster.name}      # the tests again, with a fresh image`);
  console.log(`  npm run test:e2e -- --down --cluster ${cluster.name}`);
}

/** A signal ends the cluster too, unless it is to be kept. */
function endOnSignal(end: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      console.log(`${signal}: ending the cluster`);
      end().finally(() => process.exit(130));
    });
}

async function clusterOf(provider: Provider, name: string, nodes: number, reuse: boolean): Promise<Cluster> {
  const found = reuse ? await provider.attach(name) : null;
  if (found) progress(`cluster ${name} is up already`);
  return found ?? provider.create(name, { nodes, progress });
}

async function main(): Promise<number> {
  const wrap = process.env.LATEEN_KIND_WRAP;
  if (wrap) return elsewhere(wrap);
  const { values: options } = parseArgs({
    options: {
      keep: { type: 'boolean', default: false },
      cluster: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      nodes: { type: 'string', default: '1' },
      provider: { type: 'string' },
      down: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (options.help) {
    console.log(usage);
    return 0;
  }
  process.chdir(top);
  const { provider, why } = await chooseProvider(options.provider ?? (process.env.LATEEN_E2E_PROVIDER || undefined));
  if (!provider) {
    console.log(`end-to-end tests: none, since no cluster can be had here (${why})`);
    return 0;
  }
  const name = options.cluster ?? ownName();
  if (options.down) {
    await provider.remove(name);
    return 0;
  }
  console.log(`end-to-end tests on provider ${provider.name} (${why}), cluster ${name}`);
  const running = new AbortController();
  const end = async () => {
    running.abort();
    if (!options.keep) await provider.remove(name);
  };
  endOnSignal(end);
  let totals: Totals = { passed: 0, failed: 1 };
  try {
    const cluster = await prepare(provider, () =>
      clusterOf(provider, name, Number(options.nodes), options.cluster !== undefined),
    );
    totals = await tests(cluster, options.only, running.signal);
    if (options.keep) tellHowToReach(cluster);
  } catch (error) {
    console.log(`  ✖ ${error instanceof Error ? error.message : error}`);
  } finally {
    await end();
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
