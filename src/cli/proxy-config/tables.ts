/** Parts of a proxy's configuration as istioctl's tables show them: a header, then rows. */
import { X509Certificate } from 'node:crypto';
import { clusterName, configName, type Dump, entries, section } from './dump.ts';

type Json = Readonly<Record<string, unknown>>;
export type Table = ReadonlyArray<readonly string[]>;

export interface Wanted {
  readonly fqdn?: string;
  readonly port?: string;
  readonly subset?: string;
  readonly direction?: string;
  readonly name?: string;
  readonly address?: string;
  readonly type?: string;
  readonly cluster?: string;
  readonly status?: string;
}

const dash = (text: string): string => text || '-';
const is = (wanted: string | undefined, found: string): boolean => wanted === undefined || wanted === found;

interface Cluster extends Json {
  readonly name: string;
  readonly type?: string;
  readonly cluster_type?: { readonly name: string };
  readonly metadata?: unknown;
}

export const clustersOf = (dump: Dump): Cluster[] =>
  entries<Cluster>(
    section(dump, 'ClustersConfigDump'),
    ['static_clusters', 'dynamic_active_clusters', 'dynamic_warming_clusters'],
    'cluster',
  );

export function chosenClusters(dump: Dump, wanted: Wanted): Cluster[] {
  return clustersOf(dump)
    .filter(({ name }) => {
      const parts = clusterName(name);
      if (parts === null) return is(wanted.fqdn, name) && !wanted.port && !wanted.subset && !wanted.direction;
      return (
        (wanted.fqdn === undefined || parts.host.includes(wanted.fqdn)) &&
        is(wanted.port, parts.port) &&
        is(wanted.subset, parts.subset) &&
        is(wanted.direction, parts.direction)
      );
    })
    .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** By service, port, direction, subset. */
const sortKey = ({ name }: Cluster): string => {
  const parts = clusterName(name);
  return parts === null ? name : [parts.host, parts.port.padStart(5), parts.direction, parts.subset].join(' ');
};

export function clusterTable(clusters: readonly Cluster[]): Table {
  return [
    ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'],
    ...clusters.map(({ name, type, cluster_type, metadata }) => {
      const parts = clusterName(name) ?? { host: name, port: '', subset: '', direction: '' };
      return [
        parts.host,
        dash(parts.port),
        dash(parts.subset),
        dash(parts.direction),
        type ?? cluster_type?.name ?? 'STATIC',
        configName(metadata),
      ];
    }),
  ];
}

interface SocketAddress {
  readonly socket_address?: { readonly address: string; readonly port_value?: number };
  readonly pipe?: { readonly path: string };
}

interface Filter {
  readonly name: string;
  readonly typed_config?: Json;
}

interface Chain {
  readonly filter_chain_match?: Json;
  readonly filters?: readonly Filter[];
}

interface Listener extends Json {
  readonly name?: string;
  readonly address?: SocketAddress;
  readonly filter_chains?: readonly Chain[];
  readonly default_filter_chain?: Chain;
}

export function chosenListeners(dump: Dump, wanted: Wanted): Listener[] {
  const part = section(dump, 'ListenersConfigDump');
  const active: Listener[] = [];
  for (const { active_state: state } of (part.dynamic_listeners ?? []) as Array<{
    active_state?: { listener?: Listener };
  }>)
    if (state?.listener) active.push(state.listener);
  return [...entries<Listener>(part, ['static_listeners'], 'listener'), ...active]
    .filter(({ name = '', address, ...listener }) => {
      const { address: ip = '', port_value: port = 0 } = address?.socket_address ?? {};
      return (
        is(wanted.name, name) &&
        is(wanted.address, ip) &&
        is(wanted.port, String(port)) &&
        (wanted.type === undefined || wanted.type.toUpperCase() === kindOf(listener as Listener))
      );
    })
    .sort((a, b) => portOf(a) - portOf(b));
}

const portOf = ({ address }: Listener): number => address?.socket_address?.port_value ?? 0;
const managerName = 'envoy.filters.network.http_connection_manager';

function kindOf({ filter_chains = [], default_filter_chain }: Listener): string {
  const all = [...filter_chains, ...(default_filter_chain ? [default_filter_chain] : [])];
  const http = all.some(({ filters }) => filters?.some(({ name }) => name === managerName));
  const tcp = all.some(({ filters }) => filters?.some(({ name }) => name === 'envoy.filters.network.tcp_proxy'));
  return http && tcp ? 'HTTP+TCP' : http ? 'HTTP' : tcp ? 'TCP' : 'UNKNOWN';
}

export function listenerTable(listeners: readonly Listener[]): Table {
  const rows = listeners.flatMap((listener) => {
    const { address, filter_chains = [], default_filter_chain } = listener;
    const at = address?.socket_address?.address ?? address?.pipe?.path ?? '';
    const chains = [
      ...filter_chains,
      ...(default_filter_chain ? [{ ...default_filter_chain, filter_chain_match: {} }] : []),
    ];
    return chains.map((chain) => [
      at,
      String(portOf(listener)),
      matchText(chain.filter_chain_match ?? {}),
      destinationText(chain),
    ]);
  });
  return [['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'], ...rows];
}

function matchText(match: Json): string {
  const { server_names, transport_protocol, application_protocols, destination_port, prefix_ranges } = match as {
    server_names?: string[];
    transport_protocol?: string;
    application_protocols?: string[];
    destination_port?: number;
    prefix_ranges?: Array<{ address_prefix: string; prefix_len?: number }>;
  };
  const parts = [
    server_names?.length ? `SNI: ${server_names.join(',')}` : '',
    transport_protocol ? `Trans: ${transport_protocol}` : '',
    application_protocols?.length ? `App: ${application_protocols.join(',')}` : '',
    destination_port || prefix_ranges?.length
      ? `Addr: ${(prefix_ranges ?? []).map(({ address_prefix, prefix_len = 32 }) => `${address_prefix}/${prefix_len}`).join(',') || '*'}:${destination_port ?? '*'}`
      : '',
  ].filter(Boolean);
  return parts.join('; ') || 'ALL';
}

function destinationText({ filters = [] }: Chain): string {
  for (const { name, typed_config: config = {} } of filters) {
    if (name === managerName) {
      const { rds, route_config } = config as { rds?: { route_config_name: string }; route_config?: RouteTable };
      if (rds) return `Route: ${rds.route_config_name}`;
      const clusters = route_config?.virtual_hosts?.flatMap(({ routes = [] }) => routes.map(destinationOf)) ?? [];
      return `Inline Route: ${[...new Set(clusters)].join(', ') || '-'}`;
    }
    if (name === 'envoy.filters.network.tcp_proxy') {
      const { cluster, weighted_clusters } = config as {
        cluster?: string;
        weighted_clusters?: { clusters: Array<{ name: string; weight: number }> };
      };
      if (weighted_clusters)
        return `Clusters: ${weighted_clusters.clusters.map((each) => `${each.name} ${each.weight}`).join(', ')}`;
      return cluster?.includes('|') ? `Cluster: ${cluster}` : (cluster ?? '-');
    }
  }
  return 'Non-HTTP/Non-TCP';
}

interface RouteEntry extends Json {
  readonly name?: string;
  readonly match?: Json;
  readonly metadata?: unknown;
  readonly direct_response?: { readonly status?: number };
  readonly redirect?: unknown;
  readonly route?: {
    readonly cluster?: string;
    readonly weighted_clusters?: { readonly clusters: ReadonlyArray<{ readonly name: string }> };
  };
}

interface RouteTable extends Json {
  readonly name?: string;
  readonly virtual_hosts?: ReadonlyArray<{
    readonly name: string;
    readonly domains?: readonly string[];
    readonly routes?: readonly RouteEntry[];
  }>;
}

function destinationOf({ route, direct_response: direct, redirect }: RouteEntry): string {
  if (direct) return String(direct.status ?? '');
  if (redirect) return 'redirect';
  return route?.cluster ?? route?.weighted_clusters?.clusters.map(({ name }) => name).join(', ') ?? '-';
}

export function chosenRoutes(dump: Dump, wanted: Wanted): RouteTable[] {
  return entries<RouteTable>(
    section(dump, 'RoutesConfigDump'),
    ['static_route_configs', 'dynamic_route_configs'],
    'route_config',
  )
    .filter(({ name = '' }) => is(wanted.name, name))
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
}

export function routeTable(tables: readonly RouteTable[]): Table {
  const rows = tables.flatMap(({ name = '', virtual_hosts = [] }) =>
    virtual_hosts.flatMap((host) => {
      const domains = host.domains ?? [];
      const shown =
        domains.length > 2 ? `${domains.slice(0, 2).join(', ')} + ${domains.length - 2} more...` : domains.join(', ');
      if (!host.routes?.length) return [[name, host.name, shown, '', '404']];
      return host.routes.map((route) => [
        name,
        host.name,
        shown,
        pathText(route.match ?? {}),
        configName(route.metadata) || (route.direct_response ? String(route.direct_response.status) : ''),
      ]);
    }),
  );
  return [['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE'], ...rows];
}

function pathText(match: Json): string {
  const { prefix, path, safe_regex, path_separated_prefix, connect_matcher } = match as {
    prefix?: string;
    path?: string;
    safe_regex?: { regex: string };
    path_separated_prefix?: string;
    connect_matcher?: unknown;
  };
  if (path !== undefined) return path;
  if (safe_regex) return `regex ${safe_regex.regex}`;
  if (path_separated_prefix !== undefined) return `PathPrefix:${path_separated_prefix}`;
  if (connect_matcher) return 'CONNECT';
  return `${prefix ?? '/'}*`;
}

interface HostStatus {
  readonly address?: SocketAddress;
  readonly health_status?: {
    readonly eds_health_status?: string;
    readonly failed_outlier_check?: boolean;
    readonly failed_active_health_check?: boolean;
  };
}

export interface ClusterStatuses {
  readonly cluster_statuses?: ReadonlyArray<{ readonly name: string; readonly host_statuses?: readonly HostStatus[] }>;
}

export function chosenEndpoints({ cluster_statuses = [] }: ClusterStatuses, wanted: Wanted): ClusterStatuses {
  const hostOf = ({ address }: HostStatus) => address?.socket_address?.address ?? '';
  return {
    cluster_statuses: cluster_statuses
      .filter(({ name }) => is(wanted.cluster, name))
      .map(({ name, host_statuses = [] }) => ({
        name,
        host_statuses: host_statuses.filter(
          (host) =>
            is(wanted.address, hostOf(host)) &&
            is(wanted.port, String(host.address?.socket_address?.port_value ?? '')) &&
            (wanted.status === undefined || wanted.status.toUpperCase() === healthOf(host)),
        ),
      }))
      .filter(({ host_statuses }) => host_statuses.length > 0),
  };
}

const healthOf = ({ health_status: health }: HostStatus): string =>
  health?.failed_active_health_check ? 'UNHEALTHY' : (health?.eds_health_status ?? 'HEALTHY');

export function endpointTable({ cluster_statuses = [] }: ClusterStatuses): Table {
  const rows = cluster_statuses.flatMap(({ name, host_statuses = [] }) =>
    host_statuses.map((host): string[] => {
      const { socket_address: socket, pipe } = host.address ?? {};
      const at = socket ? `${socket.address}:${socket.port_value ?? 0}` : `unix://${pipe?.path ?? ''}`;
      return [at, healthOf(host), host.health_status?.failed_outlier_check ? 'FAILED' : 'OK', name];
    }),
  );
  return [
    ['ENDPOINT', 'STATUS', 'OUTLIER CHECK', 'CLUSTER'],
    ...rows.sort((a, b) => (`${a[0]} ${a[3]}` < `${b[0]} ${b[3]}` ? -1 : 1)),
  ];
}

interface Secret extends Json {
  readonly name?: string;
  readonly tls_certificate?: { readonly certificate_chain?: { readonly inline_bytes?: string } };
  readonly validation_context?: { readonly trusted_ca?: { readonly inline_bytes?: string } };
}

const secretLists = [
  ['static_secrets', 'ACTIVE'],
  ['dynamic_active_secrets', 'ACTIVE'],
  ['dynamic_warming_secrets', 'WARMING'],
] as const;

export function secretTable(dump: Dump): Table {
  const part = section(dump, 'SecretsConfigDump');
  const rows = secretLists.flatMap(([list, status]) =>
    entries<Secret>(part, [list], 'secret').map(({ name = '', tls_certificate: own, validation_context: trust }) => {
      const bytes = own?.certificate_chain?.inline_bytes ?? trust?.trusted_ca?.inline_bytes;
      return [name, own ? 'Cert Chain' : 'CA', status, ...certificateCells(bytes)];
    }),
  );
  return [['RESOURCE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'], ...rows];
}

function certificateCells(bytes: string | undefined): string[] {
  if (!bytes) return ['false', '', '', ''];
  try {
    const { serialNumber, validFrom, validTo } = new X509Certificate(Buffer.from(bytes, 'base64'));
    const time = (text: string) => new Date(text).toISOString().replace('.000', '');
    const valid = Date.parse(validFrom) <= Date.now() && Date.now() < Date.parse(validTo);
    return [String(valid), serialNumber.toLowerCase(), time(validTo), time(validFrom)];
  } catch {
    return ['false', '', '', ''];
  }
}
