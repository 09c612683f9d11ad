/** WasmPlugins as HTTP filters of an Envoy (istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin). */
import { clone, create, type JsonObject } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { WasmPlugin } from '../../api/istio/wasm-plugin.ts';
import {
  type Cluster,
  Cluster_DiscoveryType,
  ClusterSchema,
} from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TypedStructSchema } from '../../xds/gen/xds/type/v3/typed_struct_pb.js';
import { socketAddress } from '../translate/message.ts';
import { type Problem, Problems } from '../translate/problem.ts';
import { plainUpstream } from '../translate/tls.ts';
import { managerOf, portOf, setManager } from './manager.ts';
import type { Context } from './patch.ts';

export interface Plugin {
  readonly id: string;
  readonly phase: NonNullable<WasmPlugin['spec']['phase']>;
  readonly match: NonNullable<WasmPlugin['spec']['match']>;
  readonly filter: HttpFilter;
  /** Where its module is fetched from; null for a file. */
  readonly cluster: Cluster | null;
}

type Read = { readonly plugin: Plugin } | { readonly path: string; readonly message: string };
const read = new WeakMap<WasmPlugin, Read>();

function readPlugin(resource: WasmPlugin): Read {
  let known = read.get(resource);
  if (known === undefined) {
    known = pluginOf(resource);
    read.set(resource, known);
  }
  return known;
}

/** Those that can be passed on. */
export const pluginsOf = (resources: readonly WasmPlugin[]): Plugin[] =>
  resources.flatMap((resource) => {
    const found = readPlugin(resource);
    return 'plugin' in found ? found.plugin : [];
  });

/** What keeps others from it. */
export function pluginProblems(resources: readonly WasmPlugin[]): Problem[] {
  const problems = new Problems();
  for (const resource of resources) {
    const found = readPlugin(resource);
    if ('path' in found) problems.add(resource, found.path, found.message);
  }
  return problems.list();
}

function pluginOf({ metadata, spec }: WasmPlugin): Read {
  const { url, sha256 = '', phase = 'UNSPECIFIED_PHASE', match = [], type } = spec;
  if (type === 'NETWORK') return { path: 'spec.type', message: 'NETWORK is not passed on: HTTP filters are' };
  const scheme = URL.canParse(url) ? /^(https?|file):\/\//i.exec(url)?.[1].toLowerCase() : undefined;
  if (scheme === undefined)
    return {
      path: 'spec.url',
      message: 'is not passed on: Envoy unpacks no images; give a module by file://, or by http(s):// with its sha256',
    };
  if (scheme !== 'file' && sha256 === '')
    return { path: 'spec.sha256', message: 'is needed: Envoy takes no module from elsewhere without it' };
  const id = `${metadata.namespace}.${metadata.name}`;
  const from = scheme === 'file' ? null : new URL(url);
  const cluster = from && moduleCluster(from);
  const code: JsonObject = cluster
    ? { remote: { http_uri: { uri: url, cluster: cluster.name, timeout: '30s' }, sha256 } }
    : { local: { filename: url.slice('file://'.length) } };
  return { plugin: { id, phase, match, cluster, filter: filterOf(id, spec, code) } };
}

function filterOf(id: string, spec: WasmPlugin['spec'], code: JsonObject): HttpFilter {
  const { pluginConfig, pluginName = '', vmConfig, failStrategy } = spec;
  const env = vmConfig?.env ?? [];
  const config: JsonObject = {
    name: id,
    root_id: pluginName,
    ...(failStrategy === 'FAIL_OPEN' && { fail_open: true }),
    ...(failStrategy === 'FAIL_RELOAD' && { failure_policy: 'FAIL_RELOAD' }),
    ...(pluginConfig && {
      configuration: {
        '@type': 'type.googleapis.com/google.protobuf.StringValue',
        value: JSON.stringify(pluginConfig),
      },
    }),
    vm_config: {
      code,
      environment_variables: {
        host_env_keys: env.flatMap(({ name, valueFrom }) => (valueFrom === 'HOST' ? name : [])),
        key_values: Object.fromEntries(
          env.flatMap(({ name, value = '', valueFrom }) => (valueFrom === 'HOST' ? [] : [[name, value]])),
        ),
      },
    },
  };
  const struct = create(TypedStructSchema, {
    typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm',
    value: { config },
  });
  const name = `extensions.istio.io/wasmplugin/${id}`;
  return create(HttpFilterSchema, {
    name,
    configType: { case: 'typedConfig', value: anyPack(TypedStructSchema, struct) },
  });
}

function moduleCluster({ protocol, hostname, port }: URL): Cluster {
  const number = Number(port) || (protocol === 'https:' ? 443 : 80);
  const name = `wasm|${number}||${hostname}`;
  const tls = plainUpstream({
    ...{ sni: hostname, subjectAltNames: [hostname], alpn: [], credentialName: '', caCertificates: '' },
    ...{ clientCertificate: '', privateKey: '', insecureSkipVerify: false },
  });
  return create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STRICT_DNS },
    connectTimeout: { seconds: 5n },
    loadAssignment: {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: socketAddress(hostname, number) } } }],
        },
      ],
    },
    transportSocket: protocol === 'https:' ? tls : undefined,
  });
}

/** The listener with the plugins in its HTTP filters; itself where none is for it. */
export function withPlugins(given: Listener, here: Context, plugins: readonly Plugin[]): Listener {
  const listener = clone(ListenerSchema, given);
  let some = false;
  const own = listener.defaultFilterChain ? [listener.defaultFilterChain] : [];
  for (const chain of [...listener.filterChains, ...own])
    for (const filter of chain.filters) {
      const manager = managerOf(filter);
      if (manager === null) continue;
      const port = here === 'SIDECAR_INBOUND' ? (chain.filterChainMatch?.destinationPort ?? 0) : portOf(given);
      const chosen = plugins.filter(({ match }) => isFor(match, here, port));
      if (chosen.length === 0) continue;
      some = true;
      manager.httpFilters = placed(manager.httpFilters, chosen);
      setManager(filter, manager);
    }
  return some ? listener : given;
}

/** A gateway counts as a client (istio.io/latest/docs/reference/config/type/workload-selector/#WorkloadMode). */
function isFor(match: Plugin['match'], here: Context, port: number): boolean {
  if (match.length === 0) return true;
  const side = here === 'SIDECAR_INBOUND' ? 'SERVER' : 'CLIENT';
  return match.some(({ mode = 'CLIENT_AND_SERVER', ports = [] }) => {
    if (mode !== 'CLIENT_AND_SERVER' && mode !== 'UNDEFINED' && mode !== side) return false;
    return ports.length === 0 || ports.some(({ number }) => number === port);
  });
}

const authorizing = new Set(['envoy.filters.http.rbac', 'envoy.filters.http.ext_authz']);

/** AUTHN before all, AUTHZ before what authorizes, the others before the router. */
function placed(filters: readonly HttpFilter[], plugins: readonly Plugin[]): HttpFilter[] {
  const of = (...phases: Plugin['phase'][]) =>
    plugins.filter(({ phase }) => phases.includes(phase)).map(({ filter }) => filter);
  const authorizer = filters.findIndex(({ name }) => authorizing.has(name));
  const at = Math.max(0, authorizer);
  return [
    ...of('AUTHN'),
    ...filters.slice(0, at),
    ...of('AUTHZ'),
    ...filters.slice(at, -1),
    ...of('STATS', 'UNSPECIFIED_PHASE'),
    ...filters.slice(-1),
  ];
}
