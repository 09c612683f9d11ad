/** Gateways: the listeners and routes of proxies that stand at the edge. */
import { create } from '@bufbuild/protobuf';
import type { Gateway, Server } from '../../api/istio/gateway.ts';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import type { Cluster } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import {
  VirtualHost_TlsRequirementType as RequireTls,
  type Route,
  VirtualHostSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { type RouteConfiguration, RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { originOf } from '../model/origin.ts';
import { compare, coversHost, fullHost, isVisible, matchesLabels } from '../model/selector.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { authorization } from './authorization.ts';
import { passedOnClusters } from './cluster.ts';
import { distinctChains, type FilterChain } from './distinct-chains.ts';
import { httpManager } from './http-manager.ts';
import { httpRoutes, type RouteContext } from './http-route.ts';
import { tlsInspector } from './listener-filters.ts';
import { socketAddress } from './message.ts';
import { blackHoleCluster } from './names.ts';
import { targetsOf } from './outbound.ts';
import type { Problems } from './problem.ts';
import type { Scope } from './scope.ts';
import { tcpProxy } from './tcp-filter.ts';
import { gatewayDownstream, httpAlpn, meshDownstream, meshServerOffer } from './tls.ts';
import { visibleServices } from './virtual-hosts.ts';
import { gatewayName } from './virtual-service-index.ts';

interface BoundServer {
  gateway: Gateway;
  server: Server;
  index: number;
  /** What the proxy listens on: the Service's target port where one maps the server's port. */
  port: number;
}

export interface GatewayTranslation {
  /** Beside those that every proxy has. */
  clusters: Cluster[];
  listeners: Listener[];
  routes: RouteConfiguration[];
}

export function gatewayResources(snapshot: Snapshot, scope: Scope, problems: Problems): GatewayTranslation {
  const byPort = new Map<number, BoundServer[]>();
  for (const gateway of [...snapshot.gateways.values()].sort((a, b) => compare(nameOf(a), nameOf(b)))) {
    if (Object.keys(gateway.spec.selector ?? {}).length === 0 || !matchesLabels(gateway.spec.selector, scope.labels))
      continue;
    // One of the Gateway API runs in its own namespace; Istio's are for any gateway with these labels.
    if (originOf(gateway) && gateway.metadata.namespace !== scope.namespace) continue;
    for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
      const port = scope.inbound.find(({ port: own }) => own.port === server.port.number)?.target ?? server.port.number;
      const list = byPort.get(port);
      if (list) list.push({ gateway, server, index, port });
      else byPort.set(port, [{ gateway, server, index, port }]);
    }
  }
  const result: GatewayTranslation = { clusters: [], listeners: [], routes: [] };
  for (const [port, servers] of [...byPort].sort(([a], [b]) => a - b))
    build(snapshot, scope, problems, port, servers, result);
  return result;
}

const nameOf = ({ metadata }: { metadata: { namespace?: string; name?: string } }) =>
  `${metadata.namespace}/${metadata.name}`;

function build(
  snapshot: Snapshot,
  scope: Scope,
  problems: Problems,
  port: number,
  servers: BoundServer[],
  result: GatewayTranslation,
): void {
  const chains: FilterChain[] = [];
  const plain = servers.filter(({ server }) => isPlainHttp(server));
  const secured = servers.filter(({ server }) => !isPlainHttp(server));
  const filters = authorization(snapshot, scope, problems);
  if (plain.length > 0) {
    const name = `http.${port}`;
    result.routes.push(routes(snapshot, scope, problems, name, plain));
    chains.push({
      filters: [
        httpManager(snapshot, {
          statPrefix: `outbound_0.0.0.0_${port}`,
          side: 'gateway',
          routes: name,
          filters: filters.http,
        }),
      ],
    });
  }
  for (const bound of secured) {
    const { server, gateway, index } = bound;
    const mode = server.tls?.mode ?? 'SIMPLE';
    const hosts = server.hosts.map((host) => host.split('/').at(-1) as string);
    const serverNames = hosts.includes('*') ? [] : hosts;
    const path = `spec.servers[${index}]`;
    const protocol = server.port.protocol.toUpperCase();
    if (mode === 'AUTO_PASSTHROUGH') {
      chains.push(...passedOn(snapshot, scope, hosts, result));
      continue;
    }
    if (mode === 'PASSTHROUGH' || (protocol === 'TCP' && !server.tls)) {
      chains.push(...opaque(snapshot, scope, problems, bound, serverNames));
      continue;
    }
    const { tls = {} } = server;
    const credentials = tls.credentialNames ?? (tls.credentialName ? [tls.credentialName] : []);
    if (mode !== 'ISTIO_MUTUAL' && credentials.length === 0) {
      problems.add(
        gateway,
        `${path}.tls.credentialName`,
        'a certificate is needed: name a Secret of the gateway’s namespace',
      );
      continue;
    }
    for (const field of ['minProtocolVersion', 'maxProtocolVersion'] as const)
      if (tls[field] === 'TLSV1_0' || tls[field] === 'TLSV1_1')
        problems.add(gateway, `${path}.tls.${field}`, 'is not used: TLS before 1.2 is not offered (RFC 8996)');
    const transportSocket =
      mode === 'ISTIO_MUTUAL'
        ? meshDownstream([snapshot.mesh.trustDomain], protocol === 'HTTPS' ? meshServerOffer.http : meshServerOffer.tcp)
        : gatewayDownstream(credentials, mode, tls, protocol === 'HTTPS' ? httpAlpn : []);
    // TLS ends here, and what is within is passed on as it is.
    if (protocol === 'TLS' || protocol === 'TCP') {
      for (const chain of opaque(snapshot, scope, problems, bound, serverNames))
        chains.push({ ...chain, transportSocket });
      continue;
    }
    const name = `https.${server.port.number}.${server.port.name}.${gateway.metadata.name}.${gateway.metadata.namespace}`;
    result.routes.push(routes(snapshot, scope, problems, name, [bound]));
    chains.push({
      filterChainMatch: { serverNames },
      filters: [
        httpManager(snapshot, {
          statPrefix: `outbound_0.0.0.0_${port}`,
          side: 'gateway',
          routes: name,
          filters: filters.http,
        }),
      ],
      transportSocket,
    });
  }
  if (chains.length === 0) return;
  result.listeners.push(
    create(ListenerSchema, {
      name: `0.0.0.0_${port}`,
      address: socketAddress('0.0.0.0', port),
      trafficDirection: TrafficDirection.OUTBOUND,
      // Where there is no TLS nothing is waited for: a server may be the one that speaks first.
      listenerFilters: secured.some(({ server }) => server.tls) ? [tlsInspector] : [],
      filterChains: distinctChains(chains),
    }),
  );
}

function isPlainHttp({ port, tls }: Server): boolean {
  return (
    ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB'].includes(port.protocol.toUpperCase()) &&
    (!tls || tls.httpsRedirect === true || tls.mode === undefined)
  );
}

/** Hosts of all servers on a port, each with the routes of the VirtualServices bound to it; what none has is 404. */
function routes(
  snapshot: Snapshot,
  scope: Scope,
  problems: Problems,
  name: string,
  servers: BoundServer[],
): RouteConfiguration {
  const byHost = new Map<string, { routes: Route[]; redirects: boolean }>();
  for (const { gateway, server } of servers) {
    const redirects = server.tls?.httpsRedirect === true;
    const context = contextOf(snapshot, scope, problems, gateway, server);
    for (const resource of snapshot.virtualServices) {
      if (!isBound(snapshot, resource, gateway)) continue;
      for (const host of boundHosts(snapshot, resource, gateway, server)) {
        const entry = byHost.get(host) ?? { routes: [], redirects };
        // On gateways VirtualServices of one host merge: routes of the older first, catch-alls last (Istio).
        entry.routes.push(...httpRoutes(context, resource));
        byHost.set(host, entry);
      }
    }
    if (redirects)
      for (const host of server.hosts.map((each) => each.split('/').at(-1) as string))
        if (!byHost.has(host)) byHost.set(host, { routes: [], redirects });
  }
  return create(RouteConfigurationSchema, {
    name,
    validateClusters: false,
    ignorePortInHostMatching: true,
    maxDirectResponseBodySizeBytes: 1_048_576,
    virtualHosts:
      byHost.size === 0
        ? [{ name: 'blackhole:404', domains: ['*'] }]
        : [...byHost]
            .sort(([a], [b]) => compare(a, b))
            .map(([host, entry]) =>
              create(VirtualHostSchema, {
                name: `${host}:${servers[0].port}`,
                domains: [host],
                routes: catchAllsLast(entry.routes),
                requireTls: entry.redirects ? RequireTls.ALL : RequireTls.NONE,
                includeRequestAttemptCount: true,
              }),
            ),
  });
}

function catchAllsLast(routes: Route[]): Route[] {
  const isCatchAll = ({ match }: Route) =>
    match?.pathSpecifier.case === 'prefix' &&
    match.pathSpecifier.value === '/' &&
    match.headers.length === 0 &&
    match.queryParameters.length === 0;
  return [...routes.filter((route) => !isCatchAll(route)), ...routes.filter(isCatchAll)];
}

function isBound(snapshot: Snapshot, resource: VirtualService, gateway: Gateway): boolean {
  const { gateways, exportTo } = resource.spec;
  if (!gateways?.some((name) => gatewayName(name, resource) === nameOf(gateway))) return false;
  return isVisible(
    exportTo?.length ? exportTo : snapshot.mesh.defaultVirtualServiceExportTo,
    resource.metadata.namespace ?? '',
    gateway.metadata.namespace ?? '',
  );
}

/** Where a server's hosts (`namespace/host`) and a VirtualService's meet: the narrower of the two. */
function boundHosts(snapshot: Snapshot, resource: VirtualService, gateway: Gateway, server: Server): string[] {
  const found = new Set<string>();
  for (const given of resource.spec.hosts ?? []) {
    const host = fullHost(given, resource.metadata.namespace ?? '', snapshot.domain);
    for (const served of server.hosts) {
      const slash = served.indexOf('/');
      const namespace = slash < 0 ? '*' : served.slice(0, slash);
      const pattern = slash < 0 ? served : served.slice(slash + 1);
      const own = resource.metadata.namespace;
      if (namespace !== '*' && namespace !== own && !(namespace === '.' && own === gateway.metadata.namespace))
        continue;
      if (coversHost(pattern, host)) found.add(host);
      else if (coversHost(host, pattern)) found.add(pattern);
    }
  }
  return [...found].sort();
}

/** What the rules of VirtualServices bound to a server are read with. */
function contextOf(
  snapshot: Snapshot,
  scope: Scope,
  problems: Problems,
  gateway: Gateway,
  server: Server,
): RouteContext {
  return {
    snapshot,
    problems,
    namespace: scope.namespace,
    labels: scope.labels,
    gateway: nameOf(gateway),
    port: server.port.number,
    isSecure: server.tls !== undefined && !isPlainHttp(server),
  };
}

/** TLS of the mesh that goes where its SNI says, for the services that a server's hosts cover. */
function passedOn(
  snapshot: Snapshot,
  scope: Scope,
  hosts: readonly string[],
  { clusters }: GatewayTranslation,
): FilterChain[] {
  const known = new Set(clusters.map(({ name }) => name));
  const chains: FilterChain[] = [];
  for (const service of visibleServices(snapshot, scope))
    for (const cluster of passedOnClusters(snapshot, scope, service)) {
      const { name } = cluster;
      if (!hosts.some((host) => coversHost(host, name))) continue;
      if (!known.has(name)) clusters.push(cluster);
      chains.push({ filterChainMatch: { serverNames: [name] }, filters: [tcpProxy(snapshot, name, name)] });
    }
  return chains;
}

/** TCP and TLS passed on as they are, by the `tcp[]` and `tls[]` rules of the VirtualServices bound; `tcp[]` is for what is not in TLS any more. */
function opaque(
  snapshot: Snapshot,
  scope: Scope,
  problems: Problems,
  { gateway, server }: BoundServer,
  serverNames: string[],
): FilterChain[] {
  const context = contextOf(snapshot, scope, problems, gateway, server);
  const chains: FilterChain[] = [];
  for (const resource of snapshot.virtualServices) {
    if (!isBound(snapshot, resource, gateway)) continue;
    for (const [i, rule] of (resource.spec.tls ?? []).entries()) {
      const targets = targetsOf(context, resource, rule.route, `spec.tls[${i}]`);
      const names = rule.match
        .filter((match) => !match.port || match.port === server.port.number)
        .flatMap(({ sniHosts }) => sniHosts);
      if (targets.length > 0 && names.length > 0)
        chains.push({
          filterChainMatch: { serverNames: names.includes('*') ? [] : names },
          filters: [tcpProxy(snapshot, targets[0].cluster, targets)],
        });
    }
    if (server.tls?.mode === 'PASSTHROUGH') continue;
    for (const [i, rule] of (resource.spec.tcp ?? []).entries()) {
      if (rule.match?.length && !rule.match.some((match) => !match.port || match.port === server.port.number)) continue;
      const targets = targetsOf(context, resource, rule.route, `spec.tcp[${i}]`);
      if (targets.length > 0)
        return [
          ...chains,
          { filterChainMatch: { serverNames }, filters: [tcpProxy(snapshot, targets[0].cluster, targets)] },
        ];
    }
  }
  if (chains.length === 0)
    chains.push({
      filterChainMatch: { serverNames },
      filters: [tcpProxy(snapshot, blackHoleCluster, blackHoleCluster)],
    });
  return chains;
}
