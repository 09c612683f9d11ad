/** `npm run bench -- mesh`: what the mesh costs a pod's start, a node's memory, and an installer's patience. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { bringUp, endOnSignal, ownName } from '../../e2e/cluster/bring-up.ts';
import type { Cluster } from '../../e2e/cluster/cluster.ts';
import { chooseProvider } from '../../e2e/cluster/selection.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { connect } from '../../src/kube/connect.ts';
import { buildLateenImage, buildTestImages } from '../../tools/image/catalogue.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { loadAverage, machine, untilQuiet } from '../machine.ts';
import { installationTimes } from './installation.ts';
import { containerMemory, nodeProcesses } from './memory.ts';
import { podStarts } from './pod-start.ts';
import { type MeshResults, report } from './report.ts';

const top = join(import.meta.dirname, '../..');
const namespace = 'bench';
/** After the last pod is ready, before memory is read. */
const settleMs = 30_000;

async function startOperator(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['apply', '-f', join(top, 'deploy/operator.yaml')]);
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd/istioinstallations.lateen.dev', '--timeout=30s']);
  await cluster.kubectl(['-n', 'lateen-operator', 'rollout', 'status', 'deployment/lateen-operator', '--timeout=90s']);
}

async function startBookinfo(cluster: Cluster): Promise<void> {
  for (const file of ['bookinfo.yaml', 'client.yaml', 'networking/gateway.yaml', 'networking/destination-rules.yaml'])
    await cluster.kubectl(['-n', namespace, 'apply', '-f', join(top, 'samples/bookinfo', file)]);
  await cluster.kubectl(['-n', namespace, 'rollout', 'status', 'deployment', '--timeout=120s']);
}

async function measure(cluster: Cluster, client: KubeClient, options: BenchOptions): Promise<MeshResults> {
  const { rounds = 10, progress, command } = options;
  const loads: Record<string, number> = {};
  const part = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    await untilQuiet(progress);
    const before = loadAverage();
    const found = await work();
    loads[name] = Math.max(before, loadAverage());
    return found;
  };
  await startOperator(cluster);
  const installation = await part('installation', () =>
    installationTimes(client, Math.max(5, Math.ceil(rounds / 2)), progress),
  );
  const manifest = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace, labels: { 'istio-injection': 'enabled' } },
  };
  await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
  const podStart = await part('podStart', () => podStarts(client, namespace, rounds, progress));
  progress('Bookinfo, then memory');
  await startBookinfo(cluster);
  const memory = await part('memory', async () => {
    await pause(settleMs);
    return {
      sidecars: await containerMemory(cluster, client, { namespace }, 'istio-proxy'),
      others: [
        ...(await containerMemory(cluster, client, { namespace: 'istio-system' }, null)),
        ...(await containerMemory(cluster, client, { namespace: 'lateen-operator' }, null)),
      ],
      nodeProcesses: await nodeProcesses(cluster),
    };
  });
  const version = JSON.parse(await client.getRaw('/version')) as { gitVersion: string };
  return {
    takenAt: new Date().toISOString(),
    command,
    machine: machine(),
    cluster: { provider: cluster.provider, nodes: cluster.nodes.length, kubernetes: version.gitVersion },
    loads,
    installation,
    podStart,
    memory,
  };
}

export const mesh: Bench = async (options) => {
  const { provider, why } = await chooseProvider(options.provider ?? (process.env.LATEEN_E2E_PROVIDER || undefined));
  if (!provider) {
    console.error(`no cluster can be had here (${why})`);
    return 1;
  }
  const name = options.cluster ?? ownName('bench');
  const end = () => (options.keep ? Promise.resolve() : provider.remove(name));
  endOnSignal(end);
  try {
    const cluster = await bringUp(provider, {
      name,
      reuse: options.cluster !== undefined,
      images: [buildTestImages, buildLateenImage],
      progress: options.progress,
    });
    const client = await connect({ kubeconfig: cluster.kubeconfig, userAgent: 'lateen-bench' });
    try {
      const results = await measure(cluster, client, options);
      mkdirSync(options.out, { recursive: true });
      writeFileSync(join(options.out, 'mesh.json'), `${JSON.stringify(results, null, 2)}\n`);
      const text = report(results);
      writeFileSync(join(options.out, 'mesh.md'), text);
      console.log(text);
    } finally {
      client.close();
    }
  } finally {
    await end();
  }
  return 0;
};
