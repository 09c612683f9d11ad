import type { Cluster } from '../../e2e/cluster/cluster.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { type Pod, pods } from '../../src/kube/object.ts';

/** Of all processes of one container (proc(5), smaps_rollup), in KiB. */
export interface ContainerMemory {
  namespace: string;
  pod: string;
  container: string;
  processes: string[];
  pssKib: number;
  /** The part of `pssKib` that is the container's own: heap, stacks. */
  anonymousKib: number;
  /** With every shared page counted whole: what the first such container of a node costs. */
  rssKib: number;
}

const marker = '@process';

/** One block a process: its command, its cgroups (which hold the container's id), its memory. */
const script = `
for p in /proc/[0-9]*; do
  [ -s $p/smaps_rollup ] || [ -r $p/smaps_rollup ] || continue
  rollup=$(cat $p/smaps_rollup 2>/dev/null) || continue
  [ -n "$rollup" ] || continue
  echo "${marker} $(tr '\\0' ' ' <$p/cmdline)"
  cat $p/cgroup 2>/dev/null
  echo "$rollup"
done`;

interface ProcessMemory {
  command: string;
  text: string;
}

async function processesOf(cluster: Cluster, node: string): Promise<ProcessMemory[]> {
  const { code, stdout, stderr } = await cluster.nodeExec(node, ['sh', '-c', script]);
  if (code !== 0) throw new Error(`node ${node}: processes cannot be read: ${stderr.trim()}`);
  return stdout
    .split(`${marker} `)
    .slice(1)
    .map((text) => ({ command: text.slice(0, text.indexOf('\n')).trim(), text }));
}

function kib(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
}

function containersOf({ status }: Pod): Array<{ name: string; id: string }> {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .filter(({ state }) => state?.running)
    .map(({ name, containerID = '' }) => ({ name, id: containerID.split('//').at(-1) ?? '' }))
    .filter(({ id }) => id !== '');
}

/** The memory of the containers of this name, or of all when null, in the pods of a selection. */
export async function containerMemory(
  cluster: Cluster,
  client: KubeClient,
  selection: { namespace: string; labelSelector?: string },
  container: string | null,
): Promise<ContainerMemory[]> {
  const { items } = await client.list(pods, selection);
  const nodes = new Map<string, ProcessMemory[]>();
  const found: ContainerMemory[] = [];
  for (const pod of items) {
    const node = pod.spec?.nodeName ?? '';
    if (!nodes.has(node)) nodes.set(node, await processesOf(cluster, node));
    for (const { name, id } of containersOf(pod)) {
      if (container !== null && name !== container) continue;
      const mine = (nodes.get(node) ?? []).filter(({ text }) => text.includes(id));
      if (mine.length === 0) throw new Error(`pod ${pod.metadata?.name}: no process of container ${name} was found`);
      const sum = (field: string) => mine.reduce((total, { text }) => total + kib(text, field), 0);
      found.push({
        namespace: selection.namespace,
        pod: pod.metadata?.name ?? '',
        container: name,
        processes: mine.map(({ command }) => command),
        pssKib: sum('Pss'),
        anonymousKib: sum('Pss_Anon'),
        rssKib: sum('Rss'),
      });
    }
  }
  return found;
}

/** How many processes of the node share Node's file, which PSS divides among them. */
export async function nodeProcesses(cluster: Cluster): Promise<number> {
  const all = await Promise.all(cluster.nodes.map((node) => processesOf(cluster, node)));
  return all.flat().filter(({ command }) => /^(\S*\/)?node /.test(command)).length;
}
