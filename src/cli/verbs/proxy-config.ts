import type { KubeClient } from '../../kube/client.ts';
import { ApiError } from '../../kube/error.ts';
import { nearestWord } from '../../lib/nearest-word.ts';
import { CliError, exit, usageError } from '../exit.ts';
import { readText } from '../manifests.ts';
import { render } from '../output.ts';
import { findPod } from '../pod-name.ts';
import { type Dump, readDump, section } from '../proxy-config/dump.ts';
import {
  type ClusterStatuses,
  chosenClusters,
  chosenEndpoints,
  chosenListeners,
  chosenRoutes,
  clusterTable,
  endpointTable,
  listenerTable,
  routeTable,
  secretTable,
  type Table,
  type Wanted,
} from '../proxy-config/tables.ts';
import { formatTable } from '../table.ts';
import { verb } from '../verb.ts';

const adminPort = 15_000;

const parts: Readonly<Record<string, readonly string[]>> = {
  all: [],
  bootstrap: ['b'],
  cluster: ['clusters', 'c'],
  endpoint: ['endpoints', 'ep'],
  listener: ['listeners', 'l'],
  log: ['o'],
  route: ['routes', 'r'],
  secret: ['secrets', 's'],
};

function partNamed(word: string): string {
  const found = Object.keys(parts).find((name) => name === word || parts[name].includes(word));
  if (found) return found;
  const near = nearestWord(word, Object.keys(parts));
  throw usageError(
    `proxy-config shows ${Object.keys(parts).join(', ')}, not "${word}"`,
    near && `did you mean "${near}"?`,
  );
}

/** Where a page of a proxy comes from: the proxy itself, or a file that holds it. */
type Ask = (path: string, method?: 'GET' | 'POST') => Promise<string>;

export default verb({
  name: 'proxy-config',
  summary: 'Show what a proxy is configured with',
  usage: 'all|bootstrap|cluster|endpoint|listener|log|route|secret POD[.NAMESPACE] [-o short|json|yaml]',
  about:
    'The pod may be any that has a proxy of the mesh, ours or Envoy; deployment/NAME is one of its pods. With --file the page comes from a file that holds it\n' +
    '(of /config_dump; for endpoints, of /clusters?format=json).',
  examples: [
    ['Clusters of a service', 'lateen proxy-config cluster productpage-v1-x.default --fqdn reviews'],
    ['Routes of a port, as they were sent', 'lateen proxy-config route productpage-v1-x --name 9080 -o json'],
    [
      'Endpoints of a cluster',
      'lateen pc ep deploy/productpage-v1 --cluster "outbound|9080||reviews.default.svc.cluster.local"',
    ],
    ['More in the log', 'lateen proxy-config log productpage-v1-x --level debug'],
  ],
  flags: {
    output: {
      type: 'string',
      short: 'o',
      summary: 'How to show it',
      choices: ['short', 'json', 'yaml'],
      default: 'short',
    },
    file: { type: 'string', short: 'f', summary: 'Read the page from a file', placeholder: 'FILE' },
    fqdn: { type: 'string', summary: 'Clusters of this service', placeholder: 'HOST' },
    port: { type: 'string', summary: 'Of this port', placeholder: 'PORT' },
    subset: { type: 'string', summary: 'Clusters of this subset', placeholder: 'NAME' },
    direction: { type: 'string', summary: 'Clusters of this direction', choices: ['inbound', 'outbound'] },
    name: { type: 'string', summary: 'Routes or listeners of this name', placeholder: 'NAME' },
    address: { type: 'string', summary: 'Listeners or endpoints at this address', placeholder: 'IP' },
    type: { type: 'string', summary: 'Listeners of this type', choices: ['HTTP', 'TCP', 'HTTP+TCP'] },
    cluster: { type: 'string', summary: 'Endpoints of this cluster', placeholder: 'NAME' },
    status: { type: 'string', summary: 'Endpoints of this status', placeholder: 'healthy|unhealthy' },
    level: {
      type: 'string',
      summary: 'Sets the level of the log, of all loggers or of some',
      placeholder: 'LEVEL|LOGGER:LEVEL,…',
    },
    'proxy-admin-port': {
      type: 'string',
      summary: "The proxy's admin port",
      default: String(adminPort),
      placeholder: 'PORT',
    },
  },
  maxArgs: 2,
  async run({ args, flags, kube, stdout, signal }) {
    const [word, target] = args;
    if (word === undefined) throw usageError('nothing was asked for', `one of ${Object.keys(parts).join(', ')}`);
    const part = partNamed(word);
    if (flags.file === undefined && target === undefined)
      throw usageError('no pod was named', 'give POD or POD.NAMESPACE, or a page with --file');
    const wanted: Wanted = flags;
    let client: KubeClient | null = null;
    let ask: Ask;
    if (flags.file !== undefined) {
      const text = await readText(flags.file);
      ask = async () => text;
    } else {
      client = await kube();
      ask = await askPod(client, target, flags.namespace, Number(flags['proxy-admin-port']), signal);
    }
    try {
      const show = async (value: unknown, table: Table) =>
        stdout.write(
          flags.output === 'short' ? formatTable(table) : await render(value, flags.output as 'json' | 'yaml'),
        );
      if (part === 'log') {
        const query =
          flags.level === undefined
            ? ''
            : flags.level.includes(':')
              ? `?paths=${encodeURIComponent(flags.level)}`
              : `?level=${encodeURIComponent(flags.level)}`;
        stdout.write(await ask(`/logging${query}`, 'POST'));
        return exit.ok;
      }
      if (part === 'endpoint') {
        const found = chosenEndpoints(
          parsed(await ask('/clusters?format=json'), (text) => JSON.parse(text) as ClusterStatuses),
          wanted,
        );
        await show(found.cluster_statuses ?? [], endpointTable(found));
        return exit.ok;
      }
      const dump = parsed(await ask('/config_dump'), readDump);
      if (part === 'bootstrap')
        stdout.write(await render(section(dump, 'BootstrapConfigDump'), flags.output === 'yaml' ? 'yaml' : 'json'));
      else if (part === 'all' && flags.output !== 'short')
        stdout.write(await render(dump, flags.output as 'json' | 'yaml'));
      else if (part === 'all')
        stdout.write(
          ['cluster', 'listener', 'route', 'secret']
            .map((each) => formatTable(partOf(each, dump, wanted).table))
            .join('\n'),
        );
      else {
        const { value, table } = partOf(part, dump, wanted);
        await show(value, table);
      }
      return exit.ok;
    } finally {
      client?.close();
    }
  },
});

function partOf(part: string, dump: Dump, wanted: Wanted): { value: unknown; table: Table } {
  switch (part) {
    case 'cluster': {
      const value = chosenClusters(dump, wanted);
      return { value, table: clusterTable(value) };
    }
    case 'listener': {
      const value = chosenListeners(dump, wanted);
      return { value, table: listenerTable(value) };
    }
    case 'route': {
      const value = chosenRoutes(dump, wanted);
      return { value, table: routeTable(value) };
    }
    default:
      return { value: section(dump, 'SecretsConfigDump'), table: secretTable(dump) };
  }
}

function parsed<T>(text: string, read: (text: string) => T): T {
  try {
    return read(text);
  } catch (error) {
    throw new CliError(`what was read is no page of a proxy: ${(error as Error).message}`, { exitCode: exit.data });
  }
}

async function askPod(
  client: KubeClient,
  target: string,
  given: string | undefined,
  port: number,
  signal: AbortSignal,
): Promise<Ask> {
  const { pod, namespace } = await findPod(client, target, given, signal);
  return async (path, method = 'GET') => {
    try {
      return await client.askInPod(pod, namespace, port, path, { method, signal });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new CliError(error.message, { hint: `is ${namespace}/${pod} a running pod with a proxy of the mesh?` });
    }
  };
}
