import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { IstioInstallation } from '../../src/api/installation/istio-installation.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { type Deployment, deployments } from '../../src/kube/object.ts';
import { installations } from '../../src/operator/installations.ts';
import { watchFor } from '../watch-for.ts';

const installation: IstioInstallation = {
  apiVersion: 'lateen.dev/v1alpha1',
  kind: 'IstioInstallation',
  metadata: { name: 'demo' },
  spec: { profile: 'demo' },
};

export interface InstallationTimes {
  /** Milliseconds from the request that creates the installation until Deployment istiod is available, a try each. */
  controlPlaneMs: number[];
  /** The same until the installation is Ready, gateways and all. */
  readyMs: number[];
}

const isAvailable = ({ status }: Deployment) =>
  status?.conditions?.some(({ type, status: state }) => type === 'Available' && state === 'True') ?? false;

const isReady = ({ metadata, status }: IstioInstallation) =>
  status?.observedGeneration === metadata.generation &&
  (status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false);

const only = { fieldSelector: `metadata.name=${installation.metadata.name}` };

/** Installs once and waits until it is Ready. */
async function installOnce(client: KubeClient): Promise<{ controlPlaneMs: number; readyMs: number }> {
  const istiod = { namespace: 'istio-system', fieldSelector: 'metadata.name=istiod' };
  const available = await watchFor(client, deployments, istiod, isAvailable);
  const ready = await watchFor(client, installations, only, isReady);
  const begun = performance.now();
  await client.create(installations, installation, { fieldManager: 'bench' });
  return { controlPlaneMs: (await available()) - begun, readyMs: (await ready()) - begun };
}

async function removeOnce(client: KubeClient): Promise<void> {
  const gone = await watchFor(client, installations, only, (_, type) => type === 'DELETED');
  await client.delete(installations, installation.metadata.name ?? '');
  await gone();
}

/** Between a removal and the next installation: the API server is busy for a while after definitions were deleted. */
const settleMs = 5_000;

/** The operator runs already and every image is on the node. Each installation is removed again, but for the last. */
export async function installationTimes(
  client: KubeClient,
  rounds: number,
  progress: (line: string) => void,
): Promise<InstallationTimes> {
  const found: InstallationTimes = { controlPlaneMs: [], readyMs: [] };
  if (await client.get(installations, installation.metadata.name ?? '')) await removeOnce(client);
  for (let round = 1; round <= rounds; round++) {
    const { controlPlaneMs, readyMs } = await installOnce(client);
    found.controlPlaneMs.push(controlPlaneMs);
    found.readyMs.push(readyMs);
    progress(`installation ${round}: control plane ${Math.round(controlPlaneMs)} ms, Ready ${Math.round(readyMs)} ms`);
    if (round === rounds) break;
    await removeOnce(client);
    await pause(settleMs);
  }
  return found;
}
