/** /clusters of several threads as one page: what each of them counts of a host is added up, the rest is the first one's. */
import { type Reply, text } from './http-server.ts';

const counted = /::((?:cx|rq)_\w+)::(\d+)$/;

export function mergedClusters(pages: readonly Reply[]): Reply {
  const [first] = pages;
  if (first === undefined) return text('no worker answers\n', 503);
  if (pages.length === 1 || first.status !== 200) return first;
  if (first.type !== 'application/json') return text(mergedText(pages.map(({ body }) => `${body}`)));
  const merged = mergedJson(pages.map(({ body }) => JSON.parse(`${body}`)));
  return { ...first, body: `${JSON.stringify(merged, null, 1)}\n` };
}

function mergedText(pages: readonly string[]): string {
  const lines = new Map<string, string | number>();
  for (const page of pages)
    for (const line of page.split('\n').filter(Boolean)) {
      const count = counted.exec(line);
      const at = count === null ? line.lastIndexOf('::') : line.length - count[2].length - 2;
      const key = line.slice(0, at);
      const known = lines.get(key);
      if (count !== null) lines.set(key, Number(known ?? 0) + Number(count[2]));
      // A host that one thread has put out is told so.
      else if (known === undefined || (key.endsWith('::health_flags') && known === 'healthy'))
        lines.set(key, line.slice(at + 2));
    }
  return [...lines].map(([key, value]) => `${key}::${value}\n`).join('');
}

interface HostJson {
  address: unknown;
  stats?: Array<{ name: string; value?: string }>;
  health_status?: object;
}

interface ClustersJson {
  cluster_statuses: Array<{ name: string; host_statuses?: HostJson[] }>;
}

function mergedJson([first, ...others]: ClustersJson[]): ClustersJson {
  for (const other of others)
    for (const cluster of other.cluster_statuses) {
      const known = first.cluster_statuses.find(({ name }) => name === cluster.name);
      if (known === undefined) {
        first.cluster_statuses.push(cluster);
        continue;
      }
      known.host_statuses ??= [];
      const hosts = new Map(known.host_statuses.map((host) => [JSON.stringify(host.address), host]));
      for (const host of cluster.host_statuses ?? []) {
        const same = hosts.get(JSON.stringify(host.address));
        if (same === undefined) known.host_statuses.push(host);
        else addUp(same, host);
      }
    }
  return first;
}

function addUp(to: HostJson, from: HostJson): void {
  to.health_status = { ...from.health_status, ...to.health_status };
  for (const stat of from.stats ?? []) {
    const sum = to.stats?.find(({ name }) => name === stat.name);
    if (sum !== undefined && stat.value !== undefined) sum.value = `${Number(sum.value ?? 0) + Number(stat.value)}`;
  }
}
