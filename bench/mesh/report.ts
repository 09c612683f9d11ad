import type { Machine } from '../machine.ts';
import { mib, seconds, table } from '../markdown.ts';
import { summarize } from '../statistics.ts';
import type { InstallationTimes } from './installation.ts';
import type { ContainerMemory } from './memory.ts';
import type { PodStarts } from './pod-start.ts';

export interface MeshResults {
  /** RFC 3339. */
  takenAt: string;
  command: string;
  machine: Machine;
  cluster: { provider: string; nodes: number; kubernetes: string };
  /** The higher of the load averages (one minute) before and after each part. */
  loads: Record<string, number>;
  installation: InstallationTimes;
  podStart: PodStarts;
  memory: { sidecars: ContainerMemory[]; others: ContainerMemory[]; nodeProcesses: number };
}

/** Istio, built from source and run on the same kind of cluster on the same kind of machine. */
const istio = { podStart: '3–4 s', sidecar: '66 MiB', controlPlane: '6.4 s' };
const limits = { podStartMs: 1_500, sidecarKib: 66 * 1024, controlPlaneMs: 6_000 };

const verdict = (isMet: boolean) => (isMet ? 'met' : 'missed');

function times(name: string, samples: number[]): string[] {
  const { count, mean, median, p90, max } = summarize(samples);
  return [name, String(count), seconds(mean), seconds(median), seconds(p90), seconds(max)];
}

/** The results as a page of `bench/results/`. */
export function report(results: MeshResults): string {
  const { machine, cluster, loads, installation, podStart, memory } = results;
  const more = (of: 'mean' | 'median' | 'p90') => summarize(podStart.injectedMs)[of] - summarize(podStart.plainMs)[of];
  const sidecars = summarize(memory.sidecars.map(({ pssKib }) => pssKib));
  const own = summarize(memory.sidecars.map(({ anonymousKib }) => anonymousKib));
  const whole = summarize(memory.sidecars.map(({ rssKib }) => rssKib));
  const controlPlane = summarize(installation.controlPlaneMs);
  const timeHeader = ['From the request until', 'times', 'mean', 'median', 'p90', 'max'];
  return `# The mesh's own costs

${results.takenAt.slice(0, 16).replace('T', ' ')} UTC, \`${results.command}\`

${machine.cores} cores (${machine.cpu}), ${machine.memoryGib} GiB, ${machine.kernel}; Kubernetes ${cluster.kubernetes}, provider ${cluster.provider}, ${cluster.nodes} node; Node ${machine.node}.
Load average (one minute, the higher of before and after): installation ${loads.installation}, pod start ${loads.podStart}, memory ${loads.memory}. Every sample is in mesh.json.

${table(
  ['Figure', 'Lateen', 'limit', 'Istio', 'limit is'],
  [
    [
      'Pod created → Ready, more with the sidecar, mean',
      seconds(more('mean')),
      '1.50 s',
      istio.podStart,
      verdict(more('mean') <= limits.podStartMs),
    ],
    [
      'Idle sidecar, PSS, largest',
      mib(sidecars.max),
      '66.0 MiB',
      istio.sidecar,
      verdict(sidecars.max <= limits.sidecarKib),
    ],
    [
      'Installation applied → control plane Ready, median',
      seconds(controlPlane.median),
      '6.00 s',
      istio.controlPlane,
      verdict(controlPlane.median <= limits.controlPlaneMs),
    ],
  ],
)}

Istio's figures: built from source and run on the same kind of cluster; its sidecar is Envoy and the agent.

## A pod's start

One pod at a time, without and with the sidecar in turn; the application is \`sleep\` and has no probes. From just before the request that
creates the pod, so injection is in it, until this client's watch shows the condition Ready. The kubelet looks at its containers once a
second, so a pod's time is one of a few steps; the pods begin at moments spread evenly over that second, and the mean tells most.

${table(timeHeader, [
  times('Ready without the sidecar', podStart.plainMs),
  times('Ready with the sidecar', podStart.injectedMs),
  ['the difference', '', seconds(more('mean')), seconds(more('median')), seconds(more('p90')), ''],
])}

## Memory

Bookinfo, a client and a gateway, 30 s after the last of them was ready, without traffic. PSS of every process of the container
(\`/proc/PID/smaps_rollup\`). PSS shares Node's own file, which all images have in one layer, among the ${memory.nodeProcesses} Node processes of the
node; "alone" counts it whole, as the first on a node would.

${table(
  ['Container', 'count', 'PSS median', 'PSS max', 'its own, median', 'alone, median'],
  [
    [
      'istio-proxy, sidecar',
      String(sidecars.count),
      mib(sidecars.median),
      mib(sidecars.max),
      mib(own.median),
      mib(whole.median),
    ],
    ...memory.others.map(({ pod, pssKib, anonymousKib, rssKib }) => [
      pod.replace(/-[0-9a-f]+-[a-z0-9]+$/, ''),
      '1',
      mib(pssKib),
      mib(pssKib),
      mib(anonymousKib),
      mib(rssKib),
    ]),
  ],
)}

## Installation

An IstioInstallation of profile demo, the operator running, every image on the node. Each was removed, and 5 s let pass, before the next.

${table(timeHeader, [
  times('the control plane is available', installation.controlPlaneMs),
  times('the installation is Ready', installation.readyMs),
])}
`;
}
