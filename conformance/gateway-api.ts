import { join } from 'node:path';
import type { Cluster } from '../e2e/cluster/cluster.ts';
import { waitFor } from '../e2e/support/wait.ts';
import { gatewayApiFolder } from './programs.ts';

/**
 * Installs the Gateway API's CRDs as its release does in `experimental-install.yaml`, and waits for them. The experimental channel has
 * everything of the standard one; a suite that finds both refuses to run.
 */
export async function installGatewayApi(cluster: Cluster): Promise<void> {
  const folder = join(await gatewayApiFolder(), 'config/crd/experimental');
  // On the server: the CRDs are too long for the annotation that kubectl would keep its own copy in.
  const args = ['apply', '--server-side', '--force-conflicts', '-o', 'name', '-k', folder];
  const applied = (await cluster.kubectl(args))
    .split('\n')
    .filter((name) => name.startsWith('customresourcedefinition'));
  if (applied.length === 0) throw new Error(`${folder}: holds no CRD`);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=60s', ...applied]);
}

/** Waits for the control plane to accept a GatewayClass; the suite gives up at once when there is none yet. */
export async function classAccepted(cluster: Cluster, name: string): Promise<void> {
  const path = 'jsonpath={.status.conditions[?(@.type=="Accepted")].status}';
  await waitFor(async () => (await cluster.kubectl(['get', 'gatewayclass', name, '-o', path])) === 'True', {
    what: `GatewayClass ${name} to be accepted`,
    everyMs: 500,
  });
}
