/** Where a sidecar's own application goes: listeners for 15001 and for what it hands on. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { FilterChainMatchSchema, FilterChainSchema } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { isHttp } from '../model/protocol.ts';
import { fullHost, matchesLabels } from '../model/selector.ts';
import type { Service, ServicePort } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { httpManager } from './http-manager.ts';
import { gatewayName, type RouteContext, resolveDestination } from './http-route.ts';
import { httpInspector, plaintextHttp, tlsInspector } from './listener-filters.ts';
import { duration, socketAddress } from './message.ts';
import { blackHoleCluster, outboundCluster, passthroughCluster } from './names.ts';
import type { Problems } from './problem.ts';
import type { Scope } from './scope.ts';
import { tcpProxy, type WeightedTarget } from './tcp-filter.ts';
import { httpPorts, virtualServiceFor, visibleServices } from './virtual-hosts.ts';

type FilterChainMatch = Exclude<MessageInitShape<typeof FilterChainMatchSchema>, { $typeName: string }>;
type FilterChain = Omit<Exclude<MessageInitShape<typeof FilterChainSchema>, { $typeName: string }>, 'filterChainMatch'> & {
  filterChainMatch?: FilterChainMatch;
};

/** A headless TCP service has a listener for each pod, up to so many; beyond, its traffic passes through. */
const maxHeadlessListeners = 500;

export function outboundListeners(snapshot: Snapshot, scope: Scope, problems: Problems): Listener[] {
  const services = visibleServices(snapshot, scope.namespace);
  const listeners = new Map<string, Listener>();
  for (const port of httpPorts(services)) {
    const listener = httpListener(snapshot, port);
    listeners.set(listener.name, listener);
  }
  for (const service of services)
    for (const port of service.ports)
      for (const listener of opaqueListeners(snapshot, scope, service, port, problems))
        if (!listeners.has(listener.name)) listeners.set(listener.name, listener);
  return [virtualOutbound(snapshot), ...[...listeners.values()].sort((a, b) => (a.name < b.name ? -1 : 1))];
}

function passthrough(snapshot: Snapshot): FilterChain {
  const blocks = snapshot.mesh.outboundTrafficPolicy.mode === 'REGISTRY_ONLY';
  const cluster = blocks ? blackHoleCluster : passthroughCluster;
  return {
    name: blocks ? 'BlackHoleFilterChain' : 'PassthroughFilterChain',
    filters: [tcpProxy(snapshot, cluster, cluster)],
  };
}

function virtualOutbound(snapshot: Snapshot): Listener {
  const port = snapshot.mesh.proxyListenPort;
  return create(ListenerSchema, {
    name: 'virtualOutbound',
    address: socketAddress('0.0.0.0', port),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      // A caller of the port itself would otherwise be sent round and round.
      {
        name: 'virtualOutbound-trafficloop',
        filterChainMatch: { destinationPort: port },
        filters: [tcpProxy(snapshot, blackHoleCluster, blackHoleCluster)],
      },
      { ...passthrough(snapshot), name: 'virtualOutbound-catchall-tcp' },
    ],
  });
}

/** Every HTTP service of a port shares it; what turns out not to be HTTP passes through. */
function httpListener(snapshot: Snapshot, port: number): Listener {
  return create(ListenerSchema, {
    name: `0.0.0.0_${port}`,
    address: socketAddress('0.0.0.0', port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [tlsInspector, httpInspector()],
    listenerFiltersTimeout: duration(snapshot.mesh.protocolDetectionTimeout),
    continueOnListenerFiltersTimeout: true,
    filterChains: [
      {
        filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: plaintextHttp },
        filters: [
          httpManager(snapshot, { statPrefix: `outbound_0.0.0.0_${port}`, side: 'outbound', routes: String(port) }),
        ],
      },
    ],
    defaultFilterChain: passthrough(snapshot),
  });
}

/** TCP and TLS ports are told apart by the service's address, since nothing inside names the service. */
function opaqueListeners(
  snapshot: Snapshot,
  scope: Scope,
  service: Service,
  port: ServicePort,
  problems: Problems,
): Listener[] {
  const { protocol } = port;
  if (protocol === 'udp' || isHttp(protocol)) return [];
  const context: RouteContext = {
    snapshot,
    problems,
    namespace: scope.namespace,
    labels: scope.labels,
    gateway: 'mesh',
    port: port.port,
  };
  const chains = opaqueChains(context, service, port);
  const addresses =
    service.addresses.length > 0
      ? service.addresses
      : service.headless
        ? snapshot
            .endpoints(service, port)
            .slice(0, maxHeadlessListeners)
            .map(({ address }) => address)
        : [];
  // A detected port keeps its HTTP on 0.0.0.0; only with an address of its own can its TCP be told from others'.
  if (protocol === 'auto')
    return addresses.map((address) =>
      listener(snapshot, address, port.port, [
        {
          filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: plaintextHttp },
          filters: [
            httpManager(snapshot, {
              statPrefix: `outbound_${address}_${port.port}`,
              side: 'outbound',
              routes: String(port.port),
            }),
          ],
        },
        ...chains,
      ]),
    );
  if (addresses.length === 0) {
    const isTls = protocol === 'tls' || protocol === 'https';
    const sni: FilterChain[] = isTls ? [{ ...chains[0], filterChainMatch: { serverNames: [service.host] } }] : chains;
    return service.headless
      ? []
      : [listener(snapshot, '0.0.0.0', port.port, isTls ? [...sni, passthrough(snapshot)] : sni)];
  }
  return addresses.map((address) => listener(snapshot, address, port.port, chains));
}

function listener(snapshot: Snapshot, address: string, port: number, chains: FilterChain[]): Listener {
  const [host, bits] = address.split('/');
  const byName = chains.some(
    ({ filterChainMatch }) => filterChainMatch?.serverNames?.length || filterChainMatch?.transportProtocol,
  );
  const byContent = chains.some(({ filterChainMatch }) => filterChainMatch?.applicationProtocols?.length);
  // A block of addresses is matched on 0.0.0.0, by prefix.
  const matched =
    bits === undefined
      ? chains
      : chains.map((chain) => ({
          ...chain,
          filterChainMatch: {
            ...chain.filterChainMatch,
            prefixRanges: [{ addressPrefix: host, prefixLen: Number(bits) }],
          },
        }));
  const bound = bits === undefined ? host : '0.0.0.0';
  return create(ListenerSchema, {
    name: `${bound}_${port}`,
    address: socketAddress(bound, port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(byName || byContent ? [tlsInspector] : []), ...(byContent ? [httpInspector()] : [])],
    listenerFiltersTimeout: duration(snapshot.mesh.protocolDetectionTimeout),
    continueOnListenerFiltersTimeout: true,
    filterChains: matched,
    defaultFilterChain: bits === undefined ? undefined : passthrough(snapshot),
  });
}

/** `tls[]` and `tcp[]` of the host's VirtualService, then the service itself. */
function opaqueChains(context: RouteContext, service: Service, port: ServicePort): FilterChain[] {
  const { snapshot } = context;
  const resource = virtualServiceFor(snapshot, service.host, context.namespace);
  const chains: FilterChain[] = [];
  for (const [i, rule] of (resource?.spec.tls ?? []).entries())
    for (const match of rule.match) {
      if (!concerns(context, resource as VirtualService, match)) continue;
      const targets = targetsOf(context, resource as VirtualService, rule.route, `spec.tls[${i}]`);
      if (targets.length > 0)
        chains.push({
          filterChainMatch: {
            serverNames: match.sniHosts.map((host) =>
              fullHost(host, resource?.metadata.namespace ?? '', snapshot.domain),
            ),
          },
          filters: [tcpProxy(snapshot, targets[0].cluster, targets)],
        });
    }
  for (const [i, rule] of (resource?.spec.tcp ?? []).entries()) {
    const concerned =
      !rule.match?.length || rule.match.some((match) => concerns(context, resource as VirtualService, match));
    if (!concerned) continue;
    const targets = targetsOf(context, resource as VirtualService, rule.route, `spec.tcp[${i}]`);
    if (targets.length === 0) continue;
    chains.push({ filters: [tcpProxy(snapshot, targets[0].cluster, targets)] });
    return chains;
  }
  const own = outboundCluster(port.port, '', service.host);
  chains.push({ filters: [tcpProxy(snapshot, own, own)] });
  return chains;
}

interface L4Match {
  port?: number;
  gateways?: string[];
  sourceLabels?: Record<string, string>;
  sourceNamespace?: string;
}

function concerns(context: RouteContext, resource: VirtualService, match: L4Match): boolean {
  if (match.port && match.port !== context.port) return false;
  if (match.gateways?.length && !match.gateways.some((name) => gatewayName(name, resource) === context.gateway))
    return false;
  if (match.sourceNamespace && match.sourceNamespace !== context.namespace) return false;
  return matchesLabels(match.sourceLabels, context.labels);
}

type Targets = NonNullable<NonNullable<VirtualService['spec']['tcp']>[number]['route']>;

export function targetsOf(
  context: RouteContext,
  resource: VirtualService,
  route: Targets | undefined,
  path: string,
): WeightedTarget[] {
  const targets = (route ?? []).map(({ destination, weight }, i) => ({
    cluster: resolveDestination(context, resource, destination, `${path}.route[${i}].destination`).cluster,
    weight: route?.length === 1 ? weight || 1 : (weight ?? 0),
  }));
  return targets.filter(({ weight }) => weight > 0);
}
