/** Where a sidecar's own application goes: listeners for 15001 and for what it hands on. */
import { create } from '@bufbuild/protobuf';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { addressesFor } from '../model/address-allocation.ts';
import { isHttp } from '../model/protocol.ts';
import { fullHost, matchesLabels } from '../model/selector.ts';
import type { Service, ServicePort } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { distinctChains, type FilterChain, type FilterChainMatch } from './distinct-chains.ts';
import { httpManager } from './http-manager.ts';
import { type RouteContext, resolveDestination } from './http-route.ts';
import { httpInspector, plaintextHttp, tlsInspector } from './listener-filters.ts';
import { Memo } from './memo.ts';
import { duration, socketAddress } from './message.ts';
import { blackHoleCluster, outboundCluster, passthroughCluster } from './names.ts';
import { Problems } from './problem.ts';
import type { Scope } from './scope.ts';
import { tcpProxy, type WeightedTarget } from './tcp-filter.ts';
import { destinationRuleOf, policyFor, tunnelRules } from './traffic-policy.ts';
import { httpPorts, visibleServices } from './virtual-hosts.ts';
import { callerKey, gatewayName, virtualServiceFor } from './virtual-service-index.ts';

/** A headless TCP service has a listener for each pod, up to so many; beyond, its traffic passes through. */
const maxHeadlessListeners = 500;

export function outboundListeners(snapshot: Snapshot, scope: Scope, problems: Problems): Listener[] {
  const services = visibleServices(snapshot, scope);
  const listeners = new Map<string, Listener>();
  const shared = new Map<number, FilterChain[]>();
  for (const service of services)
    for (const port of service.ports) {
      const opaque = opaqueOf(snapshot, scope, service, port);
      problems.addAll(opaque.problems);
      for (const listener of opaque.listeners)
        if (!listeners.has(listener.name)) listeners.set(listener.name, listener);
      if (opaque.shared.length > 0) shared.set(port.port, [...(shared.get(port.port) ?? []), ...opaque.shared]);
    }
  const http = new Set(httpPorts(services));
  for (const port of new Set([...http, ...shared.keys()])) {
    const listener = sharedListener(snapshot, port, http.has(port), shared.get(port) ?? []);
    listeners.set(listener.name, listener);
  }
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

/**
 * Every HTTP service of a port shares its listener, and so do services without one address of their own, told apart by server name or
 * block of addresses. What no chain takes passes through.
 */
function sharedListener(snapshot: Snapshot, port: number, hasHttp: boolean, shared: readonly FilterChain[]): Listener {
  const make = () => {
    // HTTP goes to whom it names; beside it a chain without a name of its own would take everything else for one service.
    const others = hasHttp ? shared.filter(({ filterChainMatch }) => isSelective(filterChainMatch)) : shared;
    const chains = distinctChains([...(hasHttp ? [httpChain(snapshot, '0.0.0.0', port)] : []), ...others]);
    const takesAll = chains.some(({ filterChainMatch }) => !isSelective(filterChainMatch));
    return listener(snapshot, '0.0.0.0', port, chains, takesAll ? undefined : passthrough(snapshot));
  };
  return shared.length > 0 ? make() : httpMemo.get(snapshot.mesh, `${port}`, [], make);
}

const httpMemo = new Memo<Listener>();

const isSelective = (match: FilterChainMatch | undefined) =>
  Boolean(match?.serverNames?.length || match?.prefixRanges?.length || match?.applicationProtocols?.length);

function httpChain(snapshot: Snapshot, address: string, port: number): FilterChain {
  return {
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: plaintextHttp },
    filters: [
      httpManager(snapshot, { statPrefix: `outbound_${address}_${port}`, side: 'outbound', routes: String(port) }),
    ],
  };
}

/** What a port that is not known to be HTTP comes to: listeners at the service's addresses, or chains on 0.0.0.0. */
interface Opaque {
  listeners: readonly Listener[];
  shared: readonly FilterChain[];
  problems: Problems;
}

const none: Opaque = { listeners: [], shared: [], problems: new Problems() };
const opaqueMemo = new Memo<Opaque>();

/** TCP and TLS ports are told apart by the service's address, since nothing inside names the service. */
function opaqueOf(snapshot: Snapshot, scope: Scope, service: Service, port: ServicePort): Opaque {
  if (port.protocol === 'udp' || isHttp(port.protocol)) return none;
  const { mesh, services, destinationRules } = snapshot;
  const { namespace, labels } = scope;
  const resource = virtualServiceFor(snapshot, service.host, scope);
  const endpoints = service.headless ? snapshot.endpoints(service, port) : null;
  const caller = resource ? `${namespace} ${callerKey(snapshot, labels)}` : tunnelRules(snapshot) ? namespace : '';
  const addresses = addressesFor(service, scope);
  const parts = [mesh, resource, endpoints, ...(resource ? [services, destinationRules] : [tunnelRules(snapshot)])];
  return opaqueMemo.get(port, `${service.host} ${addresses.join()} ${caller}`, parts, () => {
    const problems = new Problems();
    const context: RouteContext = { snapshot, problems, namespace, labels, gateway: 'mesh', port: port.port };
    return { ...opaque(context, service, addresses, port, resource), problems };
  });
}

function opaque(
  context: RouteContext,
  service: Service,
  own: readonly string[],
  port: ServicePort,
  resource: VirtualService | null,
): Omit<Opaque, 'problems'> {
  const { snapshot } = context;
  const chains = opaqueChains(context, service, port, resource);
  const addresses = service.headless
    ? snapshot
        .endpoints(service, port)
        .slice(0, maxHeadlessListeners)
        .map(({ address }) => address)
    : own;
  const listeners: Listener[] = [];
  const shared: FilterChain[] = [];
  for (const address of addresses) {
    const [host, bits] = address.split('/');
    if (bits !== undefined) {
      const prefixRanges = [{ addressPrefix: host, prefixLen: Number(bits) }];
      shared.push(
        ...chains.map((chain) =>
          chain.filterChainMatch?.prefixRanges?.length
            ? chain
            : { ...chain, filterChainMatch: { ...chain.filterChainMatch, prefixRanges } },
        ),
      );
      continue;
    }
    const http = port.protocol === 'auto' ? [httpChain(snapshot, host, port.port)] : [];
    listeners.push(listener(snapshot, host, port.port, distinctChains([...http, ...chains])));
  }
  if (addresses.length === 0 && !service.headless && port.protocol !== 'auto') {
    const isTls = port.protocol === 'tls' || port.protocol === 'https';
    shared.push(
      ...chains.map((chain) =>
        isTls && !chain.filterChainMatch?.serverNames?.length
          ? { ...chain, filterChainMatch: { serverNames: [service.host] } }
          : chain,
      ),
    );
  }
  return { listeners, shared };
}

function listener(
  snapshot: Snapshot,
  address: string,
  port: number,
  chains: FilterChain[],
  otherwise?: FilterChain,
): Listener {
  const byContent = chains.some(({ filterChainMatch }) => filterChainMatch?.applicationProtocols?.length);
  const byName = chains.some(({ filterChainMatch }) => filterChainMatch?.serverNames?.length);
  return create(ListenerSchema, {
    name: `${address}_${port}`,
    address: socketAddress(address, port),
    bindToPort: false,
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(byName || byContent ? [tlsInspector] : []), ...(byContent ? [httpInspector()] : [])],
    listenerFiltersTimeout: duration(snapshot.mesh.protocolDetectionTimeout),
    continueOnListenerFiltersTimeout: true,
    filterChains: chains,
    defaultFilterChain: otherwise,
  });
}

/** `tls[]` and `tcp[]` of the host's VirtualService, then the service itself. */
function opaqueChains(
  context: RouteContext,
  service: Service,
  port: ServicePort,
  resource: VirtualService | null,
): FilterChain[] {
  const { snapshot } = context;
  const chains: FilterChain[] = [];
  for (const [i, rule] of (resource?.spec.tls ?? []).entries())
    for (const match of rule.match) {
      if (!concerns(context, resource as VirtualService, match)) continue;
      const targets = targetsOf(context, resource as VirtualService, rule.route, `spec.tls[${i}]`);
      if (targets.length > 0)
        chains.push({
          filterChainMatch: {
            prefixRanges: rangesOf(match.destinationSubnets),
            serverNames: match.sniHosts.map((host) =>
              fullHost(host, resource?.metadata.namespace ?? '', snapshot.domain),
            ),
          },
          filters: [tcpProxy(snapshot, targets[0].cluster, targets)],
        });
    }
  for (const [i, rule] of (resource?.spec.tcp ?? []).entries()) {
    const matches = (rule.match ?? []).filter((match) => concerns(context, resource as VirtualService, match));
    if (rule.match?.length && matches.length === 0) continue;
    const targets = targetsOf(context, resource as VirtualService, rule.route, `spec.tcp[${i}]`);
    if (targets.length === 0) continue;
    const filters = [tcpProxy(snapshot, targets[0].cluster, targets)];
    const prefixRanges = rangesOf(matches.flatMap(({ destinationSubnets }) => destinationSubnets ?? []));
    if (matches.some(({ destinationSubnets }) => !destinationSubnets?.length) || prefixRanges.length === 0) {
      chains.push({ filters });
      return chains;
    }
    chains.push({ filterChainMatch: { prefixRanges }, filters });
  }
  const own = outboundCluster(port.port, '', service.host);
  const { tunnel } = policyFor(destinationRuleOf(snapshot, service, context.namespace), null, port.port);
  chains.push({ filters: [tcpProxy(snapshot, own, [{ cluster: own, weight: 1, tunnel }])] });
  return chains;
}

/** `10.0.0.0/8`, or one address. */
const rangesOf = (subnets: readonly string[] | undefined) =>
  (subnets ?? []).map((subnet) => {
    const [addressPrefix, bits] = subnet.split('/');
    return { addressPrefix, prefixLen: Number(bits ?? (addressPrefix.includes(':') ? 128 : 32)) };
  });

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
  const targets = (route ?? []).map(({ destination, weight }, i): WeightedTarget => {
    const found = resolveDestination(context, resource, destination, `${path}.route[${i}].destination`);
    const rule = found.service && destinationRuleOf(context.snapshot, found.service, context.namespace);
    const tunnel = found.service ? policyFor(rule, found.subset, found.port).tunnel : undefined;
    return { cluster: found.cluster, weight: route?.length === 1 ? weight || 1 : (weight ?? 0), tunnel };
  });
  return targets.filter(({ weight }) => weight > 0);
}
