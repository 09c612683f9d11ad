import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../e2e/cluster/cluster.ts';
import { waitFor } from '../e2e/support/wait.ts';
import { lateenImage } from '../tools/image/catalogue.ts';

const operatorFile = join(import.meta.dirname, '../deploy/operator.yaml');
const name = 'conformance';
const operator = 'lateen-operator';
const own = [operator, 'istio-system'];
/** Which images the pods were started with, by the digest that `bringUp` leaves on the node. */
const startedWith = 'lateen.dev/conformance-images';

/** The control plane alone: gateways come with the Gateway API's own resources. */
const installation = {
  apiVersion: 'lateen.dev/v1alpha1',
  kind: 'IstioInstallation',
  metadata: { name },
  spec: {
    profile: 'minimal',
    meshConfig: { accessLogFile: '/dev/stdout' },
    components: { control: { k8s: { resources: { requests: { cpu: '10m', memory: '100Mi' } } } } },
  },
};

interface Pod {
  metadata: { namespace: string; name: string };
  spec: { containers: { image: string }[]; initContainers?: { image: string }[] };
}

function annotation(key: string): string {
  return `jsonpath={.metadata.annotations.${key.replaceAll('.', '\\.')}}`;
}

/** Ends the pods that run Lateen, in the namespaces of the mesh itself or in all others, so that they start again with the image that is there now. */
async function renewPods(cluster: Cluster, which: 'own' | 'others'): Promise<void> {
  const { items }: { items: Pod[] } = JSON.parse(await cluster.kubectl(['get', 'pods', '-A', '-o', 'json']));
  const namespaces = new Map<string, string[]>();
  for (const { metadata, spec } of items) {
    if (own.includes(metadata.namespace) !== (which === 'own')) continue;
    if (![...spec.containers, ...(spec.initContainers ?? [])].some(({ image }) => lateenImage.endsWith(image)))
      continue;
    namespaces.set(metadata.namespace, [...(namespaces.get(metadata.namespace) ?? []), metadata.name]);
  }
  for (const [namespace, pods] of namespaces)
    await cluster.kubectl(['-n', namespace, 'delete', 'pods', '--ignore-not-found', '--timeout=120s', ...pods], {
      timeoutMs: 130_000,
    });
}

/** Installs Lateen, or renews an installation whose image has changed, and waits until it is ready. */
export async function installLateen(cluster: Cluster, progress: (line: string) => void): Promise<void> {
  const images = await cluster.kubectl([
    'get',
    'node',
    cluster.nodes[0],
    '-o',
    annotation('lateen.dev/e2e-images-lateen'),
  ]);
  const before = await cluster.tryKubectl(['get', 'namespace', operator, '-o', annotation(startedWith)]);
  await cluster.kubectl(['apply', '-f', '-'], { input: readFileSync(operatorFile, 'utf8') });
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd/istioinstallations.lateen.dev', '--timeout=30s']);
  const isOld = before.code === 0 && before.stdout !== images;
  if (isOld) {
    progress('the image has changed: pods of Lateen start again');
    await renewPods(cluster, 'own');
  }
  await cluster.kubectl(['-n', operator, 'rollout', 'status', `deployment/${operator}`, '--timeout=120s'], {
    timeoutMs: 130_000,
  });
  await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(installation) });
  const ready =
    'jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status}';
  await waitFor(
    async () => {
      const said = await cluster.kubectl(['get', 'istioinstallation', name, '-o', ready]);
      const [generation, observed, status] = said.split(' ');
      if (generation !== observed || status !== 'True') throw new Error(said);
      return true;
    },
    { what: `the installation ${name} to be Ready`, timeoutMs: 120_000, everyMs: 500 },
  );
  await cluster.kubectl(['-n', 'istio-system', 'rollout', 'status', 'deployment/istiod', '--timeout=120s'], {
    timeoutMs: 130_000,
  });
  // Only now: the webhook of the control plane before would still be asked for the proxies' pods.
  if (isOld) await renewPods(cluster, 'others');
  await cluster.kubectl(['annotate', '--overwrite', 'namespace', operator, `${startedWith}=${images}`]);
}
