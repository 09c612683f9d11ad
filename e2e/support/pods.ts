import type { CommandResult } from '../cluster/command.ts';
import { cluster } from './cluster.ts';
import { type ApiObject, list } from './objects.ts';
import { waitFor } from './wait.ts';

interface ContainerStatus {
  name: string;
  ready: boolean;
  restartCount: number;
  started?: boolean;
}

export interface Pod extends ApiObject {
  spec: {
    nodeName?: string;
    serviceAccountName: string;
    containers: { name: string; image: string }[];
    initContainers?: { name: string; image: string; restartPolicy?: string }[];
  };
  status: {
    phase: string;
    podIP?: string;
    conditions?: { type: string; status: string; lastTransitionTime: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

/** Where a command runs: a pod by name, or any ready pod of a label selector (`app=curl`). */
export interface Place {
  namespace: string;
  pod?: string;
  selector?: string;
  container?: string;
}

export function podReady(pod: Pod): boolean {
  const ready = pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  return ready && pod.metadata.deletionTimestamp === undefined;
}

/** `kubectl get pods` would show READY as `2/2`: a native sidecar counts as a container. */
export function readyCount(pod: Pod): { ready: number; of: number } {
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const names = new Set([...pod.spec.containers, ...sidecars].map(({ name }) => name));
  const statuses = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])];
  return { ready: statuses.filter(({ name, ready }) => ready && names.has(name)).length, of: names.size };
}

export function pods(namespace: string, selector?: string): Promise<Pod[]> {
  return list<Pod>('pods', { namespace, selector });
}

/** Waits until a selector's pods are there and all are ready, and returns them. */
export function podsReady(namespace: string, selector: string, timeoutMs = 60_000): Promise<Pod[]> {
  const probe = async () => {
    const found = await pods(namespace, selector);
    return found.length > 0 && found.every(podReady) && found;
  };
  return waitFor(probe, { what: `pods ${selector} in ${namespace} to be ready`, timeoutMs });
}

/** Waits for Deployments, named or all of the namespace, to have rolled out. */
export async function rolledOut(namespace: string, deployments: string[] = [], timeoutMs = 120_000): Promise<void> {
  const names = deployments.length > 0 ? deployments.map((name) => `deployment/${name}`) : ['deployment'];
  const args = ['-n', namespace, 'rollout', 'status', ...names, `--timeout=${Math.round(timeoutMs / 1000)}s`];
  await cluster.kubectl(args, { timeoutMs: timeoutMs + 10_000 });
}

/** The pod that a place means. Throws when no pod of its selector is ready. */
export async function podName(place: Place): Promise<string> {
  if (place.pod) return place.pod;
  const found = (await pods(place.namespace, place.selector)).find(podReady);
  if (!found) throw new Error(`${place.namespace}: no ready pod of ${place.selector}`);
  return found.metadata.name;
}

/** Runs a command in a container, whatever its exit code. */
export async function exec(
  place: Place,
  argv: string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<CommandResult> {
  const container = place.container ? ['-c', place.container] : [];
  const stdin = options.input === undefined ? [] : ['-i'];
  return cluster.tryKubectl(
    ['-n', place.namespace, 'exec', ...stdin, await podName(place), ...container, '--', ...argv],
    options,
  );
}

export function logs(
  place: Place & { pod: string },
  options: { tail?: number; previous?: boolean } = {},
): Promise<string> {
  const container = place.container ? ['-c', place.container] : ['--all-containers'];
  const tail = options.tail === undefined ? [] : [`--tail=${options.tail}`];
  const previous = options.previous ? ['--previous'] : [];
  return cluster.kubectl(['-n', place.namespace, 'logs', place.pod, ...container, ...tail, ...previous]);
}
