/** Which pod a user means. */
import type { KubeClient } from '../kube/client.ts';
import { deployments, pods } from '../kube/object.ts';
import { CliError } from './exit.ts';

export interface PodName {
  readonly pod: string;
  readonly namespace: string;
}

const deploymentWords = ['deployment', 'deployments', 'deploy', 'deployment.apps'];

/** `POD`, `POD.NAMESPACE`, `pod/POD`, or `deployment/NAME` for its first running pod, as istioctl takes them. */
export async function findPod(
  client: KubeClient,
  given: string,
  flag: string | undefined,
  signal: AbortSignal,
): Promise<PodName> {
  const slash = given.indexOf('/');
  const kind = slash < 0 ? 'pod' : given.slice(0, slash);
  const [name, ...rest] = given.slice(slash + 1).split('.');
  const namespace = flag ?? (rest.join('.') || client.namespace);
  if (!deploymentWords.includes(kind)) {
    if (kind !== 'pod' && kind !== 'pods' && kind !== 'po')
      throw new CliError(`"${given}" is neither a pod nor a deployment`);
    return { pod: name, namespace };
  }
  const deployment = await client.get(deployments, name, namespace, { signal });
  if (!deployment) throw new CliError(`there is no deployment ${namespace}/${name}`);
  const selector = Object.entries(deployment.spec?.selector?.matchLabels ?? {}).map(
    ([key, value]) => `${key}=${value}`,
  );
  const { items } = await client.list(pods, {
    namespace,
    labelSelector: selector.join(','),
    fieldSelector: 'status.phase=Running',
    signal,
  });
  const [pod] = items.flatMap(({ metadata }) => metadata?.name ?? []).sort();
  if (!pod) throw new CliError(`deployment ${namespace}/${name} has no running pod`);
  return { pod, namespace };
}
