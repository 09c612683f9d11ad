/** /config_dump in Envoy's shape: the resources as they were taken over. Loaded when it is asked for. */
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { type EnvoyType, schemas } from '../../xds/type-urls.ts';
import type { ResourceStore } from '../config/compile.ts';
import type { Secret } from '../config/references.ts';
import { registry } from '../config/registry.ts';
import { compileRegexSearch } from './name-filter.ts';

export interface DumpSource {
  /** The bootstrap file's. */
  fixed: ResourceStore | null;
  /** The control plane's. */
  arrived: ResourceStore | null;
  /** Secrets that the process got by itself, by their SDS names. */
  own: ReadonlyMap<string, Secret>;
  /** Version of each type as the control plane named it. */
  versions: Readonly<Partial<Record<EnvoyType, string>>>;
  /** The bootstrap message as JSON. */
  bootstrap(): object;
  startedAtMs: number;
}

type Json = Record<string, unknown>;
type Section = Json & { '@type': string };

export type Dump = { readonly body: object } | { readonly status: number; readonly fault: string };

const typeUrl = (type: EnvoyType): string => `type.googleapis.com/${schemas[type].typeName}`;
const dumpUrl = (kind: string): string => `type.googleapis.com/envoy.admin.v3.${kind}`;

interface Message {
  readonly name: string;
  readonly value: Json;
  readonly updated: string;
}

function messages(store: ResourceStore | null, type: EnvoyType): Message[] {
  return (store?.raw(type) ?? []).map(([name, bytes, updatedMs]) => {
    const value = toJson(schemas[type], fromBinary(schemas[type] as never, bytes), {
      registry,
      useProtoFieldName: true,
    });
    return { name, value: { '@type': typeUrl(type), ...(value as Json) }, updated: new Date(updatedMs).toISOString() };
  });
}

/** The value of every `field` in a message, however deep. */
function* within(value: unknown, field: string): IterableIterator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    if (name === field) yield item;
    else yield* within(item, field);
  }
}

const redacted = { inline_bytes: Buffer.from('[redacted]').toString('base64') };

/** Keys do not leave the process this way. */
function withoutKeys({ name, value, updated }: Message, version: string): Json {
  const { tls_certificate: certificate } = value as { tls_certificate?: Json };
  return {
    name,
    ...(version !== '' && { version_info: version }),
    last_updated: updated,
    secret: certificate ? { ...value, tls_certificate: { ...certificate, private_key: redacted } } : value,
  };
}

/** A secret of the process itself, as SDS would have brought it. */
function ownSecret([name, secret]: readonly [string, Secret]): Json {
  const inline = (bytes: Buffer) => ({ inline_bytes: bytes.toString('base64') });
  const value: Json =
    secret.kind === 'trust'
      ? {
          validation_context: {
            trusted_ca: inline(secret.roots),
            ...(secret.crl && { crl: inline(secret.crl) }),
          },
        }
      : { tls_certificate: { certificate_chain: inline(secret.chain), private_key: redacted } };
  return { name, secret: { '@type': typeUrl('secret'), name, ...value } };
}

function sections(
  { fixed, arrived, own, versions, bootstrap, startedAtMs }: DumpSource,
  withEndpoints: boolean,
): Section[] {
  const version = (type: EnvoyType) => versions[type] ?? '';
  const fixedListeners = messages(fixed, 'listener');
  const list: Section[] = [
    {
      '@type': dumpUrl('BootstrapConfigDump'),
      bootstrap: bootstrap(),
      last_updated: new Date(startedAtMs).toISOString(),
    },
    {
      '@type': dumpUrl('ClustersConfigDump'),
      version_info: version('cluster'),
      static_clusters: messages(fixed, 'cluster').map(({ value, updated }) => ({
        cluster: value,
        last_updated: updated,
      })),
      dynamic_active_clusters: messages(arrived, 'cluster').map(({ value, updated }) => ({
        version_info: version('cluster'),
        cluster: value,
        last_updated: updated,
      })),
    },
  ];
  if (withEndpoints) list.push(endpoints(fixed, arrived, version('endpoint')));
  list.push(
    {
      '@type': dumpUrl('ListenersConfigDump'),
      version_info: version('listener'),
      static_listeners: fixedListeners.map(({ value, updated }) => ({ listener: value, last_updated: updated })),
      dynamic_listeners: messages(arrived, 'listener').map(({ name, value, updated }) => ({
        name,
        active_state: { version_info: version('listener'), listener: value, last_updated: updated },
      })),
    },
    { '@type': dumpUrl('ScopedRoutesConfigDump') },
    {
      '@type': dumpUrl('RoutesConfigDump'),
      static_route_configs: [...fixedListeners, ...messages(arrived, 'listener')].flatMap(({ value, updated }) =>
        [...within(value, 'route_config')].map((route) => ({
          route_config: { '@type': typeUrl('route'), ...(route as Json) },
          last_updated: updated,
        })),
      ),
      dynamic_route_configs: messages(arrived, 'route').map(({ value, updated }) => ({
        version_info: version('route'),
        route_config: value,
        last_updated: updated,
      })),
    },
    {
      '@type': dumpUrl('SecretsConfigDump'),
      static_secrets: messages(fixed, 'secret').map((message) => withoutKeys(message, '')),
      dynamic_active_secrets: [
        ...[...own].map(ownSecret),
        ...messages(arrived, 'secret').map((message) => withoutKeys(message, version('secret'))),
      ],
    },
  );
  return list.map(withoutEmpty);
}

function endpoints(fixed: ResourceStore | null, arrived: ResourceStore | null, version: string): Section {
  const assignment = (value: unknown) => ({ '@type': typeUrl('endpoint'), ...(value as Json) });
  return {
    '@type': dumpUrl('EndpointsConfigDump'),
    static_endpoint_configs: messages(fixed, 'cluster').flatMap(({ value }) =>
      value.load_assignment ? [{ endpoint_config: assignment(value.load_assignment) }] : [],
    ),
    dynamic_endpoint_configs: messages(arrived, 'endpoint').map(({ value, updated }) => ({
      version_info: version,
      endpoint_config: value,
      last_updated: updated,
    })),
  };
}

const isEmpty = (value: unknown): boolean => value === '' || (Array.isArray(value) && value.length === 0);

function withoutEmpty(section: Section): Section {
  return Object.fromEntries(Object.entries(section).filter(([, value]) => !isEmpty(value))) as Section;
}

/** Message types of the elements of a section's lists, where a resource is asked for by the list's name. */
const elementTypes: Readonly<Record<string, string>> = {
  static_clusters: 'ClustersConfigDump.StaticCluster',
  dynamic_active_clusters: 'ClustersConfigDump.DynamicCluster',
  static_endpoint_configs: 'EndpointsConfigDump.StaticEndpointConfig',
  dynamic_endpoint_configs: 'EndpointsConfigDump.DynamicEndpointConfig',
  static_listeners: 'ListenersConfigDump.StaticListener',
  dynamic_listeners: 'ListenersConfigDump.DynamicListener',
  static_route_configs: 'RoutesConfigDump.StaticRouteConfig',
  dynamic_route_configs: 'RoutesConfigDump.DynamicRouteConfig',
  static_secrets: 'SecretsConfigDump.StaticSecret',
  dynamic_active_secrets: 'SecretsConfigDump.DynamicSecret',
};
/** Lists that Envoy knows and that are always empty here. */
const emptyLists = new Set(
  `dynamic_warming_clusters dynamic_warming_secrets static_scoped_route_configs inline_scoped_route_configs
  dynamic_scoped_route_configs`.split(/\s+/),
);

/** Keeps what a field mask names, `listener.name`; lists are looked through. Undefined when nothing is left. */
function masked(value: unknown, paths: ReadonlyArray<readonly string[]>): unknown {
  if (paths.some((path) => path.length === 0)) return value;
  if (Array.isArray(value)) return value.map((item) => masked(item, paths)).filter((item) => item !== undefined);
  if (typeof value !== 'object' || value === null) return undefined;
  const kept: Json = {};
  for (const [name, item] of Object.entries(value)) {
    const inside = paths.filter(([head]) => head === name).map((path) => path.slice(1));
    const made = name === '@type' ? item : inside.length > 0 ? masked(item, inside) : undefined;
    if (made !== undefined) kept[name] = made;
  }
  return Object.keys(kept).some((name) => name !== '@type') ? kept : undefined;
}

/** The name by which an element goes, whichever kind it is. */
function nameOf(element: Json): string {
  if (typeof element.name === 'string') return element.name;
  for (const value of Object.values(element))
    if (typeof value === 'object' && value !== null) {
      const { name, cluster_name: cluster } = value as Json;
      const given = name ?? cluster;
      if (typeof given === 'string') return given;
    }
  return '';
}

const pathsOf = (mask: string): string[][] => mask.split(',').map((path) => path.split('.'));

export function configDump(source: DumpSource, query: URLSearchParams): Dump {
  const filter = compileRegexSearch(query.get('name_regex'));
  if ('fault' in filter) return { status: 400, fault: `Error while parsing name_regex from ${filter.fault}` };
  const named = (element: Json) => filter.test === null || filter.test(nameOf(element));
  const resource = query.get('resource');
  const mask = query.get('mask');
  const all = sections(source, query.has('include_eds') || resource?.endsWith('endpoint_configs') === true);
  if (resource !== null) {
    const section = all.find((candidate) => Object.hasOwn(candidate, resource));
    if (section === undefined)
      return Object.hasOwn(elementTypes, resource) || emptyLists.has(resource)
        ? { body: {} }
        : { status: 404, fault: `${resource} not found in config dump` };
    const value = section[resource];
    if (!Array.isArray(value))
      return { body: { configs: [{ '@type': dumpUrl('BootstrapConfigDump'), [resource]: value }] } };
    const type = dumpUrl(elementTypes[resource]);
    const configs = (value as Json[])
      .filter(named)
      .map((element) => ({ '@type': type, ...element }))
      .map((element) => (mask === null ? element : masked(element, pathsOf(mask))))
      .filter((element) => element !== undefined);
    return { body: configs.length === 0 ? {} : { configs } };
  }
  const narrowed = all.map((section) =>
    filter.test === null
      ? section
      : (Object.fromEntries(
          Object.entries(section).map(([key, value]) => [key, Array.isArray(value) ? value.filter(named) : value]),
        ) as Section),
  );
  if (mask === null) return { body: { configs: narrowed.map(withoutEmpty) } };
  const configs = narrowed.map((section) => masked(section, pathsOf(mask))).filter((section) => section !== undefined);
  if (configs.length === 0)
    return { status: 400, fault: `FieldMask ${mask} could not be successfully applied to any configs.` };
  return { body: { configs } };
}
