import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildLateenImage, buildTestImages } from '../tools/image/catalogue.ts';
import { runAva, type Totals } from '../tools/tap.ts';
import { bringUp, elsewhere, endOnSignal, ownName, secondName } from './cluster/bring-up.ts';
import type { Cluster } from './cluster/cluster.ts';
import { handleOf } from './cluster/handle.ts';
import { chooseProvider } from './cluster/selection.ts';
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

async function main(): Promise<number> {
  const code = await elsewhere();
  if (code !== null) return code;
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
  const name = options.cluster ?? ownName('e2e');
  const remove = async () => {
    await provider.remove(secondName(name));
    if (options.down || !options.keep) await provider.remove(name);
  };
  if (options.down) {
    await remove();
    return 0;
  }
  console.log(`end-to-end tests on provider ${provider.name} (${why}), cluster ${name}`);
  const running = new AbortController();
  const end = async () => {
    running.abort();
    await remove();
  };
  endOnSignal(end);
  let totals: Totals = { passed: 0, failed: 1 };
  try {
    const cluster = await bringUp(provider, {
      name,
      nodes: Number(options.nodes),
      reuse: options.cluster !== undefined,
      images: [buildTestImages, buildLateenImage],
      progress,
    });
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
