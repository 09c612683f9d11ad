import { existsSync } from 'node:fs';
import type { Availability, Cluster, Provider } from './cluster.ts';
import { attempt, type CommandResult, onPath } from './command.ts';
import { KubectlCluster } from './kubectl-cluster.ts';

class ExistingCluster extends KubectlCluster {
  readonly provider = 'kubeconfig';

  /** There is no common way to put an image on a stranger's nodes: `LATEEN_E2E_LOAD` names a command that is given the archive's path. */
  async loadImages(archivePath: string): Promise<void> {
    const command = process.env.LATEEN_E2E_LOAD;
    if (!command)
      throw new Error(
        `cluster ${this.name}: set LATEEN_E2E_LOAD to a command that loads the images of the archive it is given onto every node`,
      );
    const result = await attempt(['sh', '-c', `${command} "$1"`, 'sh', archivePath], { timeoutMs: 600_000 });
    if (result.code !== 0)
      throw new Error(`LATEEN_E2E_LOAD: ${command} ${archivePath}: ${result.stderr.trim() || result.stdout.trim()}`);
  }

  async nodeExec(node: string): Promise<CommandResult> {
    throw new Error(`node ${node}: a cluster that is given by KUBECONFIG lets nobody into its nodes`);
  }

  async down(): Promise<void> {}
}

function file(): string {
  return (process.env.KUBECONFIG ?? '').split(':')[0];
}

async function available(): Promise<Availability> {
  if (!file()) return { ok: false, why: 'KUBECONFIG is not set' };
  if (!existsSync(file())) return { ok: false, why: `KUBECONFIG names ${file()}, which does not exist` };
  if (!(await onPath('kubectl'))) return { ok: false, why: 'kubectl is missing' };
  const answer = await attempt(['kubectl', 'get', '--raw=/readyz', '--request-timeout=10s']);
  if (answer.code !== 0) return { ok: false, why: `the cluster of ${file()} does not answer: ${answer.stderr.trim()}` };
  return { ok: true, why: `KUBECONFIG names ${file()}` };
}

async function attach(name: string): Promise<Cluster> {
  const { stdout } = await attempt(['kubectl', 'get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}']);
  return new ExistingCluster(name, file(), stdout.split(' ').filter(Boolean), ['kubectl']);
}

/** A cluster that is there already, by the environment variable KUBECONFIG. */
export const kubeconfigProvider: Provider = {
  name: 'kubeconfig',
  packages: [],
  available,
  create: attach,
  attach,
  remove: async () => {},
};
