/**
 * EnvoyFilters as patches: read once, chosen for a proxy, and told of where they cannot be read.
 * istio.io/latest/docs/reference/config/networking/envoy-filter
 */
import { type DescMessage, fromJson, type JsonObject, type JsonValue, type Message } from '@bufbuild/protobuf';
import type { ConfigPatch, EnvoyFilter } from '../../api/istio/envoy-filter.ts';
import type { WasmPlugin } from '../../api/istio/wasm-plugin.ts';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteSchema, VirtualHostSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { HttpFilterSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TypedStructSchema } from '../../xds/gen/xds/type/v3/typed_struct_pb.js';
import { registry } from '../../xds/registry.ts';
import { compare, type Labels, matchesLabels } from '../model/selector.ts';
import type { Extensions } from '../model/snapshot.ts';
import { type Problem, Problems } from '../translate/problem.ts';
import { type Plugin, pluginsOf } from './wasm.ts';

const schemas = {
  LISTENER: ListenerSchema,
  FILTER_CHAIN: FilterChainSchema,
  NETWORK_FILTER: FilterSchema,
  LISTENER_FILTER: ListenerFilterSchema,
  HTTP_FILTER: HttpFilterSchema,
  ROUTE_CONFIGURATION: RouteConfigurationSchema,
  VIRTUAL_HOST: VirtualHostSchema,
  HTTP_ROUTE: RouteSchema,
  CLUSTER: ClusterSchema,
} as const;
export type Target = keyof typeof schemas;

/**
 * In which order a proxy's patches are applied, whatever filter they are of: what is outside first, what is put in before what is merged into
 * it, and last what is added as a whole, which is left as it is (Istio: pilot/pkg/networking/core/envoyfilter).
 */
function rankOf({ applyTo, operation }: Pick<Patch, 'applyTo' | 'operation'>): number {
  const isMerge = operation.startsWith('MERGE');
  if (applyTo === 'FILTER_CHAIN' || applyTo === 'VIRTUAL_HOST') return operation === 'ADD' ? 7 : 2;
  if (applyTo === 'NETWORK_FILTER') return isMerge ? 4 : 3;
  if (applyTo === 'HTTP_FILTER') return isMerge ? 6 : 5;
  if (applyTo === 'HTTP_ROUTE') return isMerge || operation === 'REMOVE' ? 3 : 4;
  return applyTo === 'LISTENER_FILTER' ? 1 : 0;
}

/** Why what a patch is for is not passed on to anybody. */
const notPassedOn: Readonly<Record<string, string>> = {
  EXTENSION_CONFIG: 'is not passed on: filters are configured in their listeners here, not by ECDS',
  BOOTSTRAP: 'is not passed on: the bootstrap of an Envoy is not made here',
};

type Match = NonNullable<ConfigPatch['match']>;
export type ListenerMatch = NonNullable<Match['listener']>;
export type RouteMatch = NonNullable<Match['routeConfiguration']>;
export type ClusterMatch = NonNullable<Match['cluster']>;

export type ProxyKind = 'sidecar' | 'router';
/** Where on a proxy something is. */
export type Context = 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';

export const isInContext = ({ context }: Patch, here: Context): boolean => context === 'ANY' || context === here;

export interface Patch {
  /** `NAMESPACE/NAME#INDEX`. */
  readonly id: string;
  readonly applyTo: Target;
  readonly operation: NonNullable<NonNullable<ConfigPatch['patch']>['operation']>;
  readonly context: NonNullable<Match['context']>;
  readonly match: Match;
  /** Null for REMOVE alone. */
  readonly value: Message | null;
}

interface Read {
  readonly patches: readonly Patch[];
  /** Of what is left out. */
  readonly problems: ReadonlyArray<{ readonly path: string; readonly message: string }>;
}

const read = new WeakMap<EnvoyFilter, Read>();

function readFilter(filter: EnvoyFilter): Read {
  let known = read.get(filter);
  if (known !== undefined) return known;
  const patches: Patch[] = [];
  const problems: Array<Read['problems'][number]> = [];
  for (const [i, { applyTo = 'INVALID', match = {}, patch = {} }] of (filter.spec.configPatches ?? []).entries()) {
    const path = `spec.configPatches[${i}]`;
    const { operation = 'INVALID', value } = patch;
    if (!Object.hasOwn(schemas, applyTo)) {
      problems.push({ path: `${path}.applyTo`, message: notPassedOn[applyTo] ?? `${applyTo} is not known` });
      continue;
    }
    const target = applyTo as Target;
    const { namespace, name } = filter.metadata;
    const made = {
      id: `${namespace}/${name}#${i}`,
      applyTo: target,
      operation,
      context: match.context ?? 'ANY',
      match,
    };
    try {
      const message = operation === 'REMOVE' ? null : messageOf(schemas[target], (value ?? {}) as JsonObject);
      patches.push({ ...made, value: message });
    } catch (error) {
      problems.push({ path: `${path}.patch.value`, message: `cannot be read: ${(error as Error).message}` });
    }
  }
  known = { patches, problems };
  read.set(filter, known);
  return known;
}

/** What is left out of the filters, whomever they are for. */
export function patchProblems(filters: readonly EnvoyFilter[]): Problem[] {
  const problems = new Problems();
  for (const filter of filters)
    for (const { path, message } of readFilter(filter).problems) problems.add(filter, path, message);
  return problems.list();
}

const messageOf = (schema: DescMessage, value: JsonObject): Message =>
  fromJson(schema, withTypedStructs(value) as JsonObject, { registry });

const typedStructs: readonly string[] = [TypedStructSchema.typeName, 'udpa.type.v1.TypedStruct'];

/**
 * Types that are not known here travel as what Envoy turns into them itself (xds.type.v3.TypedStruct); known ones travel as they are, also where
 * an author wrote such a struct, as Istio's page on local rate limits does: a merge goes by the type.
 */
function withTypedStructs(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withTypedStructs);
  if (typeof value !== 'object' || value === null) return value;
  const { '@type': type, ...rest } = value as JsonObject & { '@type'?: string };
  if (typeof type === 'string') {
    const inner = typedStructs.includes(nameOfType(type)) && (rest.type_url ?? rest.typeUrl);
    if (typeof inner === 'string') return withTypedStructs({ ...(rest.value as JsonObject), '@type': inner });
    if (!registry.getMessage(nameOfType(type)))
      return { '@type': `type.googleapis.com/${TypedStructSchema.typeName}`, type_url: type, value: rest };
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withTypedStructs(each)]));
}

const nameOfType = (url: string): string => url.slice(url.lastIndexOf('/') + 1);

/** What a proxy says of itself that patches are chosen by. */
export interface PatchedProxy {
  readonly namespace: string;
  readonly labels: Labels;
  readonly metadata: JsonObject;
}

/** What is to be changed for a proxy, in order; the same object for the same patches of the same filters. */
export interface PatchSet {
  readonly key: string;
  readonly patches: readonly Patch[];
  /** In the order in which they see a request. */
  readonly plugins: readonly Plugin[];
}

export const noPatches: PatchSet = { key: '', patches: [], plugins: [] };
const sets = new WeakMap<Extensions, Map<string, PatchSet>>();

/** First those of the root namespace, then those of the proxy's own. */
export function patchesFor(extensions: Extensions, rootNamespace: string, proxy: PatchedProxy): PatchSet {
  const { filters, plugins } = extensions;
  const places = new Set([rootNamespace, proxy.namespace]);
  const chosen = <T extends EnvoyFilter | WasmPlugin>(all: readonly T[]): T[] =>
    [...places].flatMap((place) =>
      all.filter((each) => each.metadata.namespace === place && selects(each, proxy.labels)),
    );
  const [ownFilters, ownPlugins] = [chosen(filters), pluginsOf(chosen(plugins).sort(byPluginPriority))];
  if (ownFilters.length + ownPlugins.length === 0) return noPatches;
  const patches = ownFilters
    .flatMap((filter) => readFilter(filter).patches)
    .filter((patch) => isFor(patch, proxy))
    .sort((a, b) => rankOf(a) - rankOf(b));
  const key = [...patches, null, ...ownPlugins].map((each) => each?.id ?? '').join(' ');
  let known = sets.get(extensions);
  if (known === undefined) {
    known = new Map();
    sets.set(extensions, known);
  }
  let set = known.get(key);
  if (set === undefined) {
    set = { key, patches, plugins: ownPlugins };
    known.set(key, set);
  }
  return set;
}

/** Those of higher priority first, of these by name and namespace. */
const byPluginPriority = (a: WasmPlugin, b: WasmPlugin): number =>
  (b.spec.priority ?? 0) - (a.spec.priority ?? 0) ||
  compare(a.metadata.name ?? '', b.metadata.name ?? '') ||
  compare(a.metadata.namespace ?? '', b.metadata.namespace ?? '');

/** Who is named by a `targetRef` is a gateway of the Kubernetes Gateway API, whose pods have its name as a label. */
function selects({ spec }: EnvoyFilter | WasmPlugin, labels: Labels): boolean {
  const targetRefs = [...(spec.targetRefs ?? []), ...('targetRef' in spec && spec.targetRef ? [spec.targetRef] : [])];
  const selected = 'url' in spec ? spec.selector?.matchLabels : (spec as EnvoyFilter['spec']).workloadSelector?.labels;
  if (targetRefs.length === 0) return matchesLabels(selected, labels);
  const gateway = labels['gateway.networking.k8s.io/gateway-name'];
  return targetRefs.some(({ kind, name }) => kind === 'Gateway' && name === gateway);
}

/** Patches without a match of the proxy are for all; a metadata value is compared as text. */
function isFor({ match }: Patch, { metadata }: PatchedProxy): boolean {
  const { proxyVersion, metadata: wanted = {} } = match.proxy ?? {};
  if (proxyVersion) {
    const version = metadata.ISTIO_VERSION;
    // Validation has told of what is no expression.
    try {
      if (typeof version !== 'string' || !new RegExp(proxyVersion).test(version)) return false;
    } catch {
      return false;
    }
  }
  return Object.entries(wanted).every(([key, value]) => metadata[key] === value);
}
