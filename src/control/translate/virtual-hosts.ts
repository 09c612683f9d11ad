/** Route configurations of sidecars: one for each port that HTTP services have, a virtual host for each service. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import {
  RouteAction_ClusterNotFoundResponseCode as NotFound,
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { type RouteConfiguration, RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { isHttp } from '../model/protocol.ts';
import { compare, coversHost, fullHost, isVisible } from '../model/selector.ts';
import type { Service } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { gatewayName, hashPolicy, httpRoutes, type RouteContext } from './http-route.ts';
import { milliseconds } from './message.ts';
import { blackHoleCluster, inboundCluster, outboundCluster, passthroughCluster } from './names.ts';
import type { Problems } from './problem.ts';
import { retryPolicy } from './retry.ts';
import type { InboundPort, Scope } from './scope.ts';

/** Services that a namespace may see, of each host the one that counts: its own over another's, then the oldest. */
export function visibleServices(snapshot: Snapshot, namespace: string): readonly Service[] {
  const cached = visible.get(snapshot.services)?.get(namespace);
  if (cached) return cached;
  const byHost = new Map<string, Service>();
  for (const service of snapshot.services) {
    const exportTo = service.exportTo.length > 0 ? service.exportTo : snapshot.mesh.defaultServiceExportTo;
    if (!isVisible(exportTo, service.namespace, namespace)) continue;
    const known = byHost.get(service.host);
    if (!known || (known.namespace !== namespace && service.namespace === namespace)) byHost.set(service.host, service);
  }
  const services = [...byHost.values()];
  const perNamespace = visible.get(snapshot.services) ?? new Map<string, readonly Service[]>();
  visible.set(snapshot.services, perNamespace.set(namespace, services));
  return services;
}

const visible = new WeakMap<readonly Service[], Map<string, readonly Service[]>>();

/** HTTP ports as they are served on 0.0.0.0, detected ones among them, in order. */
export function httpPorts(services: readonly Service[]): number[] {
  const ports = new Set<number>();
  for (const service of services)
    for (const { port, protocol } of service.ports) if (isHttp(protocol) || protocol === 'auto') ports.add(port);
  return [...ports].sort((a, b) => a - b);
}

export function outboundRouteConfiguration(
  snapshot: Snapshot,
  scope: Scope,
  port: number,
  problems: Problems,
): RouteConfiguration {
  const services = visibleServices(snapshot, scope.namespace).filter((service) =>
    service.ports.some(
      (candidate) => candidate.port === port && (isHttp(candidate.protocol) || candidate.protocol === 'auto'),
    ),
  );
  const context: RouteContext = {
    snapshot,
    problems,
    namespace: scope.namespace,
    labels: scope.labels,
    gateway: 'mesh',
    port,
  };
  const taken = new Set<string>();
  const hosts: VirtualHost[] = [];
  const add = (name: string, domains: readonly string[], routes: Route[]) => {
    // A domain may stand once in a route configuration; the first, whose host is exactly that, keeps it.
    const free = domains.filter((domain) => !taken.has(domain));
    for (const domain of free) taken.add(domain);
    if (free.length > 0 && routes.length > 0)
      hosts.push(create(VirtualHostSchema, { name, domains: free, routes, includeRequestAttemptCount: true }));
  };
  for (const service of services) {
    const resource = virtualServiceFor(snapshot, service.host, scope.namespace);
    const routes = resource?.spec.http?.length ? httpRoutes(context, resource) : [defaultRoute(context, service)];
    add(`${service.host}:${port}`, domainsOf(service, scope.namespace), routes);
  }
  // A VirtualService may speak for a host that no service has.
  for (const resource of snapshot.virtualServices) {
    if (!appliesToMesh(snapshot, resource, scope.namespace) || !resource.spec.http?.length) continue;
    for (const host of resource.spec.hosts ?? []) {
      const full = fullHost(host, resource.metadata.namespace ?? '', snapshot.domain);
      if (snapshot.serviceByHost.has(full) || full === '*') continue;
      if (services.some((service) => coversHost(full, service.host)) && full.startsWith('*')) continue;
      add(`${full}:${port}`, [full], httpRoutes(context, resource));
    }
  }
  hosts.sort((a, b) => compare(a.name, b.name));
  hosts.push(catchAll(snapshot));
  return create(RouteConfigurationSchema, {
    name: String(port),
    virtualHosts: hosts,
    validateClusters: false,
    maxDirectResponseBodySizeBytes: 1_048_576,
    ignorePortInHostMatching: true,
  });
}

/** On sidecars VirtualServices do not merge: of several for a host the oldest counts (Istio), an exact host before a wildcard. */
export function virtualServiceFor(snapshot: Snapshot, host: string, namespace: string): VirtualService | null {
  let best: VirtualService | null = null;
  let bestLength = -1;
  for (const resource of snapshot.virtualServices) {
    if (!appliesToMesh(snapshot, resource, namespace)) continue;
    for (const given of resource.spec.hosts ?? []) {
      const full = fullHost(given, resource.metadata.namespace ?? '', snapshot.domain);
      if (!coversHost(full, host)) continue;
      const length = full === host ? Number.POSITIVE_INFINITY : full.length;
      if (length > bestLength) {
        best = resource;
        bestLength = length;
      }
    }
  }
  return best;
}

function appliesToMesh(snapshot: Snapshot, resource: VirtualService, namespace: string): boolean {
  const { gateways, exportTo } = resource.spec;
  if (gateways?.length && !gateways.some((name) => gatewayName(name, resource) === 'mesh')) return false;
  return isVisible(
    exportTo?.length ? exportTo : snapshot.mesh.defaultVirtualServiceExportTo,
    resource.metadata.namespace ?? '',
    namespace,
  );
}

/** Every name by which a caller in a namespace knows a service, and its addresses. */
function domainsOf(service: Service, namespace: string): string[] {
  const { host, name } = service;
  const domains = [host];
  if (service.native) {
    if (service.namespace === namespace) domains.push(name);
    domains.push(`${name}.${service.namespace}`, `${name}.${service.namespace}.svc`);
  }
  // The pods of a headless service have names of their own below the service's.
  if (service.headless) domains.push(...domains.map((each) => `*.${each}`));
  domains.push(
    ...service.addresses
      .filter((address) => !address.includes('/'))
      .map((address) => (address.includes(':') ? `[${address}]` : address)),
  );
  return domains;
}

function defaultRoute(context: RouteContext, service: Service): Route {
  return create(RouteSchema, {
    name: 'default',
    match: { pathSpecifier: { case: 'prefix', value: '/' } },
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: outboundCluster(context.port, '', service.host) },
        timeout: milliseconds(0),
        retryPolicy: retryPolicy(undefined, context.snapshot.mesh),
        hashPolicy: hashPolicy(context, service, context.port, null),
      },
    },
  });
}

/** Hosts that no service has: let through as they are, or refused with 502 (Istio: outboundTrafficPolicy). */
function catchAll(snapshot: Snapshot): VirtualHost {
  const blocks = snapshot.mesh.outboundTrafficPolicy.mode === 'REGISTRY_ONLY';
  const action: MessageInitShape<typeof RouteSchema>['action'] = blocks
    ? { case: 'directResponse', value: { status: 502 } }
    : {
        case: 'route',
        value: { clusterSpecifier: { case: 'cluster', value: passthroughCluster }, timeout: milliseconds(0) },
      };
  const name = blocks ? 'block_all' : 'allow_any';
  return create(VirtualHostSchema, {
    name,
    domains: ['*'],
    routes: [{ name, match: { pathSpecifier: { case: 'prefix', value: '/' } }, action }],
    includeRequestAttemptCount: true,
  });
}

export function inboundRouteConfiguration({ target }: Pick<InboundPort, 'target'>): RouteConfiguration {
  return singleRoute(inboundCluster(target), `inbound|http|${target}`, inboundCluster(target));
}

/** One host, one route, one cluster. */
export function singleRoute(name: string, hostName: string, cluster: string): RouteConfiguration {
  return create(RouteConfigurationSchema, {
    name,
    validateClusters: false,
    virtualHosts: [
      {
        name: hostName,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: cluster },
                timeout: milliseconds(0),
                clusterNotFoundResponseCode: cluster === blackHoleCluster ? NotFound.SERVICE_UNAVAILABLE : undefined,
              },
            },
          },
        ],
      },
    ],
  });
}
