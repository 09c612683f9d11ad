import { apiVersions } from '../../api/kind.ts';
import { kinds } from '../../api/kinds.ts';
import { buildSnapshot, type Snapshot } from '../../control/model/snapshot.ts';
import type { Workload } from '../../control/model/workload.ts';
import { gatewayApiResources } from '../../control/watch/gateway-api.ts';
import { isStored, MeshStore, storedKindNames } from '../../control/watch/store.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/error.ts';
import {
  type ApiObject,
  configMaps,
  endpointSlices,
  namespaces,
  nodes,
  pods,
  type Resource,
  resource,
  secrets,
  services,
} from '../../kube/object.ts';
import { nearestWord } from '../../lib/nearest-word.ts';
import { CliError, exit, usageError } from '../exit.ts';
import { type Asked, type Caller, explain } from '../explain/explain.ts';
import { explanationText, type Locate, outcomeOf } from '../explain/in-words.ts';
import { withPods } from '../explain/pretend.ts';
import { type Manifest, readManifests } from '../manifests.ts';
import { render } from '../output.ts';
import { findPod } from '../pod-name.ts';
import { verb } from '../verb.ts';

const maxSteps = 10_000;

export default verb({
  name: 'explain',
  summary: 'Show what becomes of a request, and why',
  usage: '[METHOD] URL --from POD[.NAMESPACE]|NAMESPACE | --gateway NAMESPACE/NAME [-f FILE …] [-H NAME:VALUE …]',
  about:
    'Nothing is sent: the configuration is translated as the control plane does it, and asked by the function that the proxy itself decides with. Every step is told with\n' +
    'the resource behind it and, from a file, the line: listener, route, cluster, subset, endpoints, mutual TLS, authorization, retries.\n' +
    'With -f the files are all there is; pods are those that their workloads would run. Without, the cluster is asked.',
  examples: [
    [
      'Why does productpage get this version?',
      'lateen explain http://reviews:9080/ --from productpage-v1-x.default -H "end-user: jason"',
    ],
    ['Before anything is applied', 'lateen explain GET http://reviews:9080/ --from productpage-v1 -f bookinfo/'],
    [
      'From outside',
      'lateen explain http://bookinfo.example.com/productpage --gateway istio-system/istio-ingressgateway',
    ],
  ],
  flags: {
    from: {
      type: 'string',
      summary: 'Who asks: a pod, a workload of the files, deployment/NAME, or a namespace',
      placeholder: 'WHO',
    },
    gateway: {
      type: 'string',
      summary: 'Ask from outside, through the workload of this gateway',
      placeholder: 'NAMESPACE/WORKLOAD',
    },
    header: {
      type: 'string',
      short: 'H',
      multiple: true,
      summary: 'A header of the request',
      placeholder: 'NAME:VALUE',
    },
    filename: {
      type: 'string',
      short: 'f',
      multiple: true,
      summary: 'File or folder, instead of the cluster',
      placeholder: 'FILE',
    },
    output: {
      type: 'string',
      short: 'o',
      summary: 'How to show it',
      choices: ['text', 'json', 'yaml'],
      default: 'text',
    },
  },
  maxArgs: 2,
  async run({ args, flags, kube, stdin, stdout, terminal, signal }) {
    const asked = readAsked(args, flags.header);
    if ((flags.from === undefined) === (flags.gateway === undefined))
      throw usageError('who asks?', 'give either --from or --gateway');
    const namespace = flags.namespace ?? 'default';
    const manifests = flags.filename.length > 0 ? await readManifests(flags.filename, stdin) : null;
    const client = manifests === null ? await kube() : null;
    try {
      const objects =
        manifests === null
          ? await ofCluster(client!, flags.istioNamespace, signal)
          : withPods(ofFiles(manifests, namespace));
      const snapshot = snapshotOf(objects, (problem) => terminal.warning(problem));
      const caller = await callerOf(snapshot, { ...flags, namespace }, client, signal);
      const explained = explain(snapshot, caller, asked);
      if (explained.steps.length > maxSteps) throw new CliError('the decision has too many steps');
      const locate = locator(manifests ?? [], namespace);
      stdout.write(
        flags.output === 'text'
          ? explanationText(asked, explained, locate)
          : await render({ asked, outcome: outcomeOf(explained), ...explained }, flags.output as 'json' | 'yaml'),
      );
      return exit.ok;
    } finally {
      client?.close();
    }
  },
});

function readAsked(args: readonly string[], given: readonly string[]): Asked {
  const [first, second] = args;
  const text = second ?? first;
  if (text === undefined)
    throw usageError('no request was given', 'for example: lateen explain http://reviews:9080/ --from productpage-v1');
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (!url || url.hostname === '') throw usageError(`"${text}" is no URL`);
  if (url.protocol !== 'http:')
    throw usageError(
      `only requests in plain HTTP can be explained, "${text}" is none`,
      'between proxies it is encrypted all the same',
    );
  const headers = given.map((pair) => {
    const colon = pair.indexOf(':', 1);
    if (colon < 0) throw usageError(`header "${pair}" has no colon`);
    return [pair.slice(0, colon).trim().toLowerCase(), pair.slice(colon + 1).trim()] as const;
  });
  return {
    method: second === undefined ? 'GET' : first.toUpperCase(),
    host: url.hostname,
    port: Number(url.port || 80),
    path: `${url.pathname}${url.search}`,
    headers,
  };
}

const clusterScoped: ReadonlySet<string> = new Set(['Namespace', 'Node', 'GatewayClass']);

function ofFiles(manifests: readonly Manifest[], namespace: string): ApiObject[] {
  return manifests.flatMap(({ object, problem, file, lineOf }) => {
    if (problem !== null) {
      const line = lineOf('');
      throw new CliError(`${file}${line === null ? '' : `:${line}`}: ${problem}`, { exitCode: exit.data });
    }
    const { kind, metadata } = (object ?? {}) as Partial<ApiObject>;
    if (typeof kind !== 'string' || typeof metadata !== 'object') return [];
    const own = clusterScoped.has(kind) ? undefined : (metadata.namespace ?? namespace);
    return { ...(object as ApiObject), metadata: { ...metadata, namespace: own } };
  });
}

async function ofCluster(client: KubeClient, istioNamespace: string, signal: AbortSignal): Promise<ApiObject[]> {
  const custom = kinds
    .filter(({ kind, scope }) => scope === 'Namespaced' && storedKindNames.includes(kind))
    .map((kind) => resource(apiVersions(kind)[0], kind.kind, kind.plural));
  const objects: ApiObject[] = [];
  const builtIn = [services, endpointSlices, pods, namespaces, nodes, secrets, configMaps] as Resource[];
  for (const of of [...builtIn, ...custom, ...Object.values<Resource>(gatewayApiResources)])
    try {
      const { items } = await client.list(of, { signal });
      const used = items.filter(
        (item) => of.kind !== 'ConfigMap' || (item as { data?: { [key: string]: string } }).data?.['ca.crt'],
      );
      objects.push(...used.map((item) => ({ ...item, apiVersion: of.apiVersion, kind: of.kind })));
    } catch (error) {
      // Certificates tell no more than whether a listener has one.
      if (!isNotFound(error) && of.kind !== 'Secret') throw error;
    }
  const mesh = await client.get(configMaps, 'istio', istioNamespace, { signal });
  return mesh ? [...objects, { ...mesh, kind: 'ConfigMap', apiVersion: 'v1' } as ApiObject] : objects;
}

function snapshotOf(objects: readonly ApiObject[], warn: (problem: string) => void): Snapshot {
  const store = new MeshStore({ clusterDomain: 'cluster.local', clusterId: 'Kubernetes' });
  for (const object of objects) {
    if (object.kind === 'ConfigMap') {
      const text = (object as { data?: { mesh?: string } }).data?.mesh;
      if (object.metadata?.name === 'istio' && text !== undefined)
        store.putMeshConfig(text, 'ConfigMap istio, key mesh');
      else if ((object as { data?: { [key: string]: string } }).data?.['ca.crt']) store.put(object);
    } else if (isStored(object)) store.put(object);
  }
  for (const problem of store.problems) warn(`left out: ${problem}`);
  return buildSnapshot(store.read(), null);
}

interface Who {
  readonly from?: string;
  readonly gateway?: string;
  readonly namespace: string;
}

async function callerOf(
  snapshot: Snapshot,
  { from, gateway, namespace }: Who,
  client: KubeClient | null,
  signal: AbortSignal,
): Promise<Caller> {
  const workloads = [...snapshot.workloadByName.values()];
  if (gateway !== undefined) {
    const slash = gateway.indexOf('/');
    const place = slash < 0 ? 'istio-system' : gateway.slice(0, slash);
    const own = gateway.slice(slash + 1);
    const workload = workloads.find((each) => each.namespace === place && (each.name === own || each.owner === own));
    return {
      kind: 'gateway',
      workload: workload ?? supposed(place, own, { istio: own.replace(/^istio-/, ''), app: own }),
    };
  }
  const given = from ?? '';
  if (client !== null && given.includes('/')) {
    const { pod, namespace: place } = await findPod(client, given, undefined, signal);
    const workload = snapshot.workloadByName.get(`${place}/${pod}`);
    if (workload) return { kind: 'workload', workload };
  }
  const bare = given.slice(given.indexOf('/') + 1);
  const dot = bare.indexOf('.');
  const [name, place] = dot < 0 ? [bare, namespace] : [bare.slice(0, dot), bare.slice(dot + 1)];
  const workload =
    snapshot.workloadByName.get(`${place}/${name}`) ??
    workloads.find((each) => each.namespace === place && (each.owner === name || each.labels.app === name));
  if (workload) return { kind: 'workload', workload };
  if (snapshot.objects.namespaces.has(bare)) return { kind: 'workload', workload: supposed(bare, 'any', {}) };
  const near = nearestWord(
    name,
    workloads.map((each) => each.name),
  );
  throw new CliError(
    `no workload of namespace ${place} is called "${name}"${near ? `; did you mean "${near}"?` : ''}`,
    {
      hint: 'give a pod, a workload, or a namespace',
    },
  );
}

/** Somebody who is not there. */
function supposed(namespace: string, name: string, labels: Readonly<Record<string, string>>): Workload {
  return {
    name,
    namespace,
    labels,
    serviceAccount: 'default',
    ips: [],
    owner: name,
    meshed: true,
    locality: { region: '', zone: '', subzone: '' },
    node: '',
    ports: {},
    identity: '',
  };
}

function locator(manifests: readonly Manifest[], namespace: string): Locate {
  return (kind, place, name, path) => {
    for (const { object, file, lineOf } of manifests) {
      const { kind: own, metadata } = (object ?? {}) as Partial<ApiObject>;
      if (own !== kind || metadata?.name !== name || (metadata.namespace ?? namespace) !== place) continue;
      const line = lineOf(path);
      return line === null ? file : `${file}:${line}`;
    }
    return '';
  };
}
