import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { cacheFolder } from '../local/folders.ts';

const quiet = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage']);

/** Where a cluster's evidence of a failure goes. */
export function evidenceFolder(cluster: string): string {
  return join(cacheFolder, 'evidence', cluster);
}

/** Writes pods, events, the mesh's resources and the logs of every container into a fresh folder, whose path it returns. */
export async function collectEvidence(cluster: Cluster, name: string): Promise<string> {
  const folder = join(evidenceFolder(cluster.name), name.replace(/[^\w.-]+/g, '-'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const save = async (file: string, args: string[]) => {
    const { stdout, stderr } = await cluster.tryKubectl(args, { timeoutMs: 30_000 });
    writeFileSync(join(folder, file), stdout + stderr);
  };
  const kinds = [
    'istioinstallations',
    'virtualservices',
    'destinationrules',
    'authorizationpolicies',
    'peerauthentications',
    'gateways.networking.istio.io',
    'gatewayclasses',
    'gateways.gateway.networking.k8s.io',
    'httproutes',
    'grpcroutes',
    'tlsroutes',
  ];
  await save('pods.txt', ['get', 'pods', '-A', '-o', 'wide']);
  await save('events.txt', ['get', 'events', '-A', '--sort-by=.lastTimestamp']);
  await save('describe.txt', ['describe', 'pods', '-A']);
  await save('objects.yaml', [
    'get',
    'deployments,services,endpointslices,configmaps,mutatingwebhookconfigurations',
    '-A',
    '-o',
    'yaml',
  ]);
  for (const kind of kinds) await save(`${kind}.yaml`, ['get', kind, '-A', '-o', 'yaml']);
  const { stdout } = await cluster.tryKubectl([
    'get',
    'pods',
    '-A',
    '-o',
    'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}',
  ]);
  for (const line of stdout.split('\n').filter(Boolean)) {
    const [namespace, pod] = line.split(' ');
    if (quiet.has(namespace)) continue;
    const args = ['-n', namespace, 'logs', pod, '--all-containers', '--prefix', '--tail=3000'];
    await save(`${namespace}.${pod}.log`, args);
    await save(`${namespace}.${pod}.previous.log`, [...args, '--previous']);
  }
  if (cluster.logFolder) cpSync(cluster.logFolder, join(folder, 'nodes'), { recursive: true });
  return folder;
}
