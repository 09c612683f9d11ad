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
import { addressesFor } from '../model/address-allocation.ts';
import { rulesOf } from '../model/delegates.ts';
import { isHttp } from '../model/protocol.ts';
import { compare, coversHost, fullHost, isVisible } from '../model/selector.ts';
import type { Service } from '../model/service.ts';
import { letIn, sidecarKey, type Viewer } from '../model/sidecar-scope.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { hashPolicy, httpRoutes, type RouteContext } from './http-route.ts';
import { Memo } from './memo.ts';
import { milliseconds } from './message.ts';
import { blackHoleCluster, outboundCluster, passthroughCluster } from './names.ts';
import { Problems } from './problem.ts';
import { retryPolicy } from './retry.ts';
import type { Scope } from './scope.ts';
import { destinationRuleOf } from './traffic-policy.ts';
import { appliesToMesh, callerKey, virtualServiceFor } from './virtual-service-index.ts';

/** Services that a namespace may see, of each host the one that counts: its own over another's, then the oldest. */
export function visibleServices(snapshot: Snapshot, viewer: Viewer): readonly Service[] {
  const { namespace, sidecar } = viewer;
  const all = allVisible(snapshot, namespace);
  if (!sidecar?.spec.egress?.length) return all;
  const parts = [sidecar, snapshot.virtualServices];
  return chosen.get(all, `${namespace} ${sidecarKey(viewer)}`, parts, () => {
    const letInto = new Map<string, Service>();
    for (const service of all) {
      const own = letIn(viewer, service);
      if (own) letInto.set(service.host, own);
    }
    // Where VirtualServices that are let in lead to must be known as well (Istio).
    const byHost = new Map(all.map((service) => [service.host, service]));
    for (const resource of snapshot.virtualServices)
      if (appliesToMesh(snapshot, resource, viewer))
        for (const host of destinationHosts(resource, snapshot)) {
          const service = byHost.get(host);
          if (service && !letInto.has(host)) letInto.set(host, service);
        }
    return all.flatMap(({ host }) => letInto.get(host) ?? []);
  });
}

/** Whether a service is among them. */
export function sees(snapshot: Snapshot, viewer: Viewer, service: Service): boolean {
  const all = visibleServices(snapshot, viewer);
  let known = asSets.get(all);
  if (!known) {
    known = new Set(all);
    asSets.set(all, known);
  }
  return known.has(service);
}

const asSets = new WeakMap<readonly Service[], ReadonlySet<Service>>();

const chosen = new Memo<readonly Service[]>();

function destinationHosts(resource: VirtualService, { domain, objects, mesh }: Snapshot): string[] {
  const { tls = [], tcp = [] } = resource.spec;
  const { rules } = rulesOf(resource, objects.virtualServices, mesh.defaultVirtualServiceExportTo);
  const http = rules.flatMap(({ rule, owner }) => {
    const mirrors = [rule.mirror, ...(rule.mirrors ?? []).map(({ destination }) => destination)];
    return [...(rule.route ?? []).map(({ destination }) => destination), ...mirrors].map((to) => ({ to, owner }));
  });
  const others = [...tls, ...tcp]
    .flatMap(({ route }) => route ?? [])
    .map(({ destination }) => ({ to: destination, owner: resource }));
  return [...http, ...others].flatMap(({ to, owner }) =>
    to ? fullHost(to.host, owner.metadata.namespace ?? '', domain) : [],
  );
}

function allVisible(snapshot: Snapshot, namespace: string): readonly Service[] {
  return visible.get(snapshot.services, namespace, [snapshot.mesh.defaultServiceExportTo], () => {
    const byHost = new Map<string, Service>();
    for (const service of snapshot.services) {
      const exportTo = service.exportTo.length > 0 ? service.exportTo : snapshot.mesh.defaultServiceExportTo;
      if (!isVisible(exportTo, service.namespace, namespace)) continue;
      const known = byHost.get(service.host);
      if (!known || (known.namespace !== namespace && service.namespace === namespace))
        byHost.set(service.host, service);
    }
    return [...byHost.values()];
  });
}

const visible = new Memo<readonly Service[]>();

/** HTTP ports as they are served on 0.0.0.0, detected ones among them, in order. */
export function httpPorts(services: readonly Service[]): number[] {
  const ports = new Set<number>();
  for (const service of services)
    for (const { port, protocol } of service.ports) if (isHttp(protocol) || protocol === 'auto') ports.add(port);
  return [...ports].sort((a, b) => a - b);
}

/** Shared by all scopes that no VirtualService tells apart. */
export function outboundRouteConfiguration(
  snapshot: Snapshot,
  scope: Scope,
  port: number,
  problems: Problems,
): RouteConfiguration {
  const { services, virtualServices, destinationRules, mesh } = snapshot;
  const variant = `${port} ${scope.namespace} ${sidecarKey(scope)} ${scope.capturesDns} ${callerKey(snapshot, scope.labels)}`;
  const { routes, found } = routesMemo.get(
    services,
    variant,
    [virtualServices, destinationRules, mesh, scope.sidecar],
    () => {
      const found = new Problems();
      return { found, routes: build(snapshot, scope, port, found) };
    },
  );
  problems.addAll(found);
  return routes;
}

const routesMemo = new Memo<{ routes: RouteConfiguration; found: Problems }>();

const servesHttp = (service: Service, port: number) =>
  service.ports.some(({ port: own, protocol }) => own === port && (isHttp(protocol) || protocol === 'auto'));

function build(snapshot: Snapshot, scope: Scope, port: number, problems: Problems): RouteConfiguration {
  const { namespace, labels } = scope;
  const context: RouteContext = { snapshot, problems, namespace, labels, gateway: 'mesh', port };
  const taken = new Set<string>();
  const hosts: VirtualHost[] = [];
  const add = (host: VirtualHost) => {
    // A domain may stand once in a route configuration; the first, whose host is exactly that, keeps it.
    const free = host.domains.filter((domain) => !taken.has(domain));
    for (const domain of free) taken.add(domain);
    if (free.length === 0 || host.routes.length === 0) return;
    hosts.push(free.length === host.domains.length ? host : create(VirtualHostSchema, { ...host, domains: free }));
  };
  for (const service of visibleServices(snapshot, scope)) {
    if (!servesHttp(service, port)) continue;
    const { host, found } = hostOf(context, scope, service);
    problems.addAll(found);
    add(host);
  }
  for (const [host, resource] of hostsWithoutService(snapshot, scope, port))
    add(virtualHost(`${host}:${port}`, [host], httpRoutes(context, resource)));
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

const virtualHost = (name: string, domains: string[], routes: Route[]): VirtualHost =>
  create(VirtualHostSchema, { name, domains, routes, includeRequestAttemptCount: true });

/**
 * Made once for all proxies that nothing tells apart, and kept while nothing that it comes from has changed. Without a VirtualService
 * these are the proxies of all namespaces but the service's own, in which it has a short name.
 */
function hostOf({ snapshot, namespace, labels, gateway, port }: RouteContext, scope: Scope, service: Service) {
  const { mesh, services, destinationRules, virtualServices } = snapshot;
  const resource = virtualServiceFor(snapshot, service.host, scope);
  const addresses = addressesFor(service, scope);
  const rules = resource?.spec.http?.length ? resource : null;
  const delegates = rules?.spec.http?.some(({ delegate }) => delegate !== undefined) ? virtualServices : null;
  const rule = rules === null ? destinationRuleOf(snapshot, service, namespace) : null;
  const parts = rules === null ? [null, rule, mesh] : [rules, services, destinationRules, mesh, delegates];
  const caller =
    rules === null
      ? `${service.namespace === namespace} ${rule?.metadata.namespace}/${rule?.metadata.name}`
      : `${namespace} ${callerKey(snapshot, labels)}`;
  return hostMemo.get(service, `${port} ${addresses === service.addresses} ${caller}`, parts, () => {
    const found = new Problems();
    const context: RouteContext = { snapshot, problems: found, namespace, labels, gateway, port };
    const routes = rules === null ? [defaultRoute(context, service)] : httpRoutes(context, rules);
    return { host: virtualHost(`${service.host}:${port}`, domainsOf(service, addresses, namespace), routes), found };
  });
}

const hostMemo = new Memo<{ host: VirtualHost; found: Problems }>();

/**
 * A VirtualService may speak for a host that no service has: on the HTTP ports of its other hosts' services, and if it has none, on
 * port 80 (Istio).
 */
function hostsWithoutService(snapshot: Snapshot, viewer: Viewer, port: number): Array<[string, VirtualService]> {
  const found: Array<[string, VirtualService]> = [];
  const services = visibleServices(snapshot, viewer);
  for (const resource of snapshot.virtualServices) {
    if (!resource.spec.http?.length || !appliesToMesh(snapshot, resource, viewer)) continue;
    const without: string[] = [];
    const matched: Service[] = [];
    for (const given of resource.spec.hosts ?? []) {
      const host = fullHost(given, resource.metadata.namespace ?? '', snapshot.domain);
      const service = snapshot.serviceByHost.get(host);
      const covered = host.startsWith('*') ? services.filter((each) => coversHost(host, each.host)) : [];
      if (service) matched.push(service);
      else if (covered.length > 0) matched.push(...covered);
      else if (host !== '*') without.push(host);
    }
    const hasPorts = matched.some((service) => service.ports.some((own) => servesHttp(service, own.port)));
    if (hasPorts ? matched.some((service) => servesHttp(service, port)) : port === 80)
      found.push(...without.map((host): [string, VirtualService] => [host, resource]));
  }
  return found;
}

/** Every name by which a caller in a namespace knows a service, and its addresses. */
function domainsOf(service: Service, addresses: readonly string[], namespace: string): string[] {
  const { host, name } = service;
  const domains = [host];
  if (service.native) {
    if (service.namespace === namespace) domains.push(name);
    domains.push(`${name}.${service.namespace}`, `${name}.${service.namespace}.svc`);
  }
  // The pods of a headless service have names of their own below the service's.
  if (service.headless) domains.push(...domains.map((each) => `*.${each}`));
  domains.push(
    ...addresses
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
