import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { KubeClient } from '../../src/kube/client.ts';
import { type Pod, pods } from '../../src/kube/object.ts';
import { toolsImage } from '../../tools/image/catalogue.ts';
import { watchFor } from '../watch-for.ts';

export interface PodStarts {
  /** Milliseconds from the request that creates a pod until its condition Ready is seen, a pod each. */
  plainMs: number[];
  injectedMs: number[];
}

function podOf(namespace: string, name: string, isInjected: boolean): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name, 'sidecar.istio.io/inject': String(isInjected) } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'app', image: toolsImage, imagePullPolicy: 'IfNotPresent', command: ['sleep', 'infinity'] }],
    },
  };
}

const isReady = ({ status }: Pod) =>
  status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;

/**
 * A pod's deletion is seen just after the kubelet has made its list, which it does once a second: what is created right then
 * would always meet the same part of that second. Golden-ratio steps spread any number of pods evenly over it.
 */
function phaseMs(round: number): number {
  return 1_000 * ((round * 0.618_034) % 1);
}

/** Pods one at a time, one without and one with the sidecar in turn; the first pair warms up and does not count. */
export async function podStarts(
  client: KubeClient,
  namespace: string,
  rounds: number,
  progress: (line: string) => void,
): Promise<PodStarts> {
  const found: PodStarts = { plainMs: [], injectedMs: [] };
  for (let round = 0; round <= rounds; round++)
    for (const kind of ['plainMs', 'injectedMs'] as const) {
      const name = `${kind === 'plainMs' ? 'plain' : 'injected'}-${round}`;
      const selection = { namespace, labelSelector: `app=${name}` };
      await pause(phaseMs(round));
      const ready = await watchFor(client, pods, selection, isReady);
      const begun = performance.now();
      await client.create(pods, podOf(namespace, name, kind === 'injectedMs'));
      const ms = (await ready()) - begun;
      const made = await client.get(pods, name, namespace);
      const hasSidecar = JSON.stringify(made?.spec).includes('"istio-proxy"');
      if (hasSidecar !== (kind === 'injectedMs'))
        throw new Error(`pod ${name}: ${hasSidecar ? 'has a' : 'no'} sidecar`);
      const gone = await watchFor(client, pods, selection, (_, type) => type === 'DELETED');
      await client.delete(pods, name, namespace, { gracePeriodSeconds: 0 });
      await gone();
      if (round > 0) found[kind].push(ms);
      progress(`pod ${name}: Ready after ${Math.round(ms)} ms${round === 0 ? ' (not counted)' : ''}`);
    }
  return found;
}
