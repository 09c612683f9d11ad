import type { Cluster } from './cluster.ts';
import { providerNamed } from './selection.ts';

const providerVariable = 'LATEEN_E2E_CLUSTER_PROVIDER';
const nameVariable = 'LATEEN_E2E_CLUSTER_NAME';

/** Environment variables that tell another process which cluster is meant. */
export function handleOf(cluster: Cluster): Record<string, string> {
  return { [providerVariable]: cluster.provider, [nameVariable]: cluster.name };
}

/** The cluster that the environment names. Throws when it names none, or none that is up. */
export async function attachByHandle(env: NodeJS.ProcessEnv): Promise<Cluster> {
  const { [providerVariable]: provider, [nameVariable]: name } = env;
  if (!provider || !name) throw new Error('no cluster: run the tests by "npm run test:e2e"');
  const found = await providerNamed(provider).attach(name);
  if (!found) throw new Error(`cluster ${name}: provider ${provider} has none of this name that is up`);
  return found;
}
