import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../local/folders.ts';
import type { Availability, Cluster, Provider } from './cluster.ts';
import { attempt, type CommandOptions, type CommandResult, onPath, run } from './command.ts';
import { KubectlCluster } from './kubectl-cluster.ts';

function kubeconfigFile(name: string): string {
  return join(cacheFolder, 'kind', `${name}.kubeconfig`);
}

class KindCluster extends KubectlCluster {
  readonly provider = 'kind';

  async loadImages(archivePath: string): Promise<void> {
    await run(['kind', 'load', 'image-archive', '--name', this.name, archivePath], { timeoutMs: 600_000 });
  }

  nodeExec(node: string, argv: string[], options: CommandOptions = {}): Promise<CommandResult> {
    const interactive = options.input === undefined ? [] : ['-i'];
    return attempt(['docker', 'exec', ...interactive, node, ...argv], options);
  }

  async down(): Promise<void> {
    await run(['kind', 'delete', 'cluster', '--name', this.name, '--kubeconfig', this.kubeconfig], {
      timeoutMs: 300_000,
    });
  }
}

async function available(): Promise<Availability> {
  for (const program of ['docker', 'kind', 'kubectl'])
    if (!(await onPath(program))) return { ok: false, why: `${program} is missing` };
  const engine = await attempt(['docker', 'version', '--format', '{{.Server.Version}}'], { timeoutMs: 20_000 });
  if (engine.code !== 0) return { ok: false, why: `no Docker engine answers: ${engine.stderr.trim().split('\n')[0]}` };
  return { ok: true, why: `Docker engine ${engine.stdout.trim()} answers` };
}

async function nodeNames(name: string): Promise<string[]> {
  const found = await attempt(['kind', 'get', 'nodes', '--name', name]);
  return found.code === 0 ? found.stdout.split('\n').filter(Boolean).sort() : [];
}

async function remove(name: string): Promise<void> {
  const file = kubeconfigFile(name);
  await run(['kind', 'delete', 'cluster', '--name', name, '--kubeconfig', file], { timeoutMs: 300_000 });
}

async function create(name: string, count: number, progress: (line: string) => void): Promise<Cluster> {
  const file = kubeconfigFile(name);
  mkdirSync(dirname(file), { recursive: true });
  if ((await nodeNames(name)).length > 0) {
    progress(`deleting what an earlier cluster ${name} left`);
    await remove(name);
  }
  const roles = Array.from({ length: count }, (_, index) => ({ role: index === 0 ? 'control-plane' : 'worker' }));
  const config = join(dirname(file), `${name}.json`);
  writeFileSync(config, JSON.stringify({ kind: 'Cluster', apiVersion: 'kind.x-k8s.io/v1alpha4', nodes: roles }));
  const image = process.env.LATEEN_KIND_IMAGE;
  progress(`kind create cluster ${name}${image ? ` with ${image}` : ''}`);
  const options = [
    '--name',
    name,
    '--kubeconfig',
    file,
    '--config',
    config,
    '--wait',
    '180s',
    ...(image ? ['--image', image] : []),
  ];
  await run(['kind', 'create', 'cluster', ...options], { timeoutMs: 900_000 });
  return new KindCluster(name, file, await nodeNames(name), ['kubectl']);
}

async function attach(name: string): Promise<Cluster | null> {
  const nodes = await nodeNames(name);
  const file = kubeconfigFile(name);
  return nodes.length > 0 && existsSync(file) ? new KindCluster(name, file, nodes, ['kubectl']) : null;
}

/** `kind`, where a Docker engine answers. `LATEEN_KIND_IMAGE` names the node image. */
export const kindProvider: Provider = {
  name: 'kind',
  packages: [],
  available,
  create: (name, { nodes, progress }) => create(name, nodes, progress),
  attach,
  remove,
};
