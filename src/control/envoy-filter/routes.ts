import { clone } from '@bufbuild/protobuf';
import {
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { type RouteConfiguration, RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { Memo } from '../translate/memo.ts';
import { inserted } from './insert.ts';
import { mergeInto } from './merge.ts';
import { type Context, isInContext, type Patch, type PatchSet, type RouteMatch } from './patch.ts';

const memo = new Memo<RouteConfiguration>();

/** Ports that are known by another number, too: of a gateway, what it listens on by the port of its Server. */
export type OtherPorts = ReadonlyMap<number, number>;

/** The table itself when no patch is for it. */
export function patchedRoutes(
  routes: RouteConfiguration,
  here: Context,
  patches: readonly Patch[],
  set: PatchSet,
  ports: OtherPorts,
): RouteConfiguration {
  const own = portOfTable(routes.name);
  const other = ports.get(own) ?? own;
  return memo.get(routes, `${here} ${other}`, [set], () => patched(routes, here, patches, [own, other]));
}

function patched(
  given: RouteConfiguration,
  here: Context,
  patches: readonly Patch[],
  ports: readonly number[],
): RouteConfiguration {
  let routes = given;
  for (const patch of patches) {
    const { applyTo, operation, match, value } = patch;
    if (!isInContext(patch, here) || !matchesTable(match.routeConfiguration, given.name, ports)) continue;
    if (routes === given) routes = clone(RouteConfigurationSchema, given);
    const replacesLists = operation === 'MERGE_AND_REPLACE_LIST';
    if (applyTo === 'ROUTE_CONFIGURATION') {
      if (operation.startsWith('MERGE'))
        mergeInto(RouteConfigurationSchema, routes, value as RouteConfiguration, replacesLists);
    } else if (applyTo === 'VIRTUAL_HOST') patchHosts(routes, patch, replacesLists);
    else
      for (const host of routes.virtualHosts)
        if (matchesHost(match.routeConfiguration, host)) patchRoutes(host, patch, replacesLists);
  }
  return routes;
}

function patchHosts(routes: RouteConfiguration, { operation, match, value }: Patch, replacesLists: boolean): void {
  if (operation === 'ADD') routes.virtualHosts.push(clone(VirtualHostSchema, value as VirtualHost));
  const isMatch = (host: VirtualHost) => matchesHost(match.routeConfiguration, host);
  if (operation === 'REPLACE')
    routes.virtualHosts = routes.virtualHosts.map((host) =>
      isMatch(host) ? clone(VirtualHostSchema, value as VirtualHost) : host,
    );
  if (operation === 'REMOVE') routes.virtualHosts = routes.virtualHosts.filter((host) => !isMatch(host));
  if (operation.startsWith('MERGE'))
    for (const host of routes.virtualHosts)
      if (isMatch(host)) mergeInto(VirtualHostSchema, host, value as VirtualHost, replacesLists);
}

function patchRoutes(host: VirtualHost, { operation, match, value }: Patch, replacesLists: boolean): void {
  const wanted = match.routeConfiguration?.vhost?.route;
  const isMatch = (route: Route) =>
    (!wanted?.name || wanted.name === route.name) &&
    (!wanted?.action || wanted.action === 'ANY' || actions[wanted.action] === route.action.case);
  if (operation === 'REMOVE') host.routes = host.routes.filter((route) => !isMatch(route));
  else if (operation.startsWith('MERGE')) {
    for (const route of host.routes) if (isMatch(route)) mergeInto(RouteSchema, route, value as Route, replacesLists);
  } else if (operation !== 'INSERT_FIRST' || wanted === undefined || host.routes.some(isMatch))
    host.routes = inserted(
      host.routes,
      operation,
      clone(RouteSchema, value as Route),
      wanted === undefined ? null : isMatch,
    );
}

const actions = { ROUTE: 'route', REDIRECT: 'redirect', DIRECT_RESPONSE: 'directResponse' } as const;

/**
 * Tables are named after ports on sidecars (`80`, `reviews.shop.svc.cluster.local:9080`, `inbound|http|8080`), and after ports and servers on
 * gateways (`http.8080`, `https.443.NAME.GATEWAY.NAMESPACE`).
 */
function matchesTable(match: RouteMatch | undefined, name: string, ports: readonly number[]): boolean {
  if (match === undefined) return true;
  if (match.name && match.name !== name) return false;
  if (match.portNumber && !ports.includes(match.portNumber)) return false;
  if (!match.portName && !match.gateway) return true;
  const [, , portName = '', gateway = '', namespace = ''] = name.split('.');
  if (match.portName && match.portName !== portName) return false;
  return !match.gateway || match.gateway === `${namespace}/${gateway}`;
}

const portOfTable = (name: string): number => Number(/(?:^|[.|:])(\d+)(?:$|[.|])/.exec(name)?.[1] ?? 0);

function matchesHost(match: RouteMatch | undefined, host: VirtualHost): boolean {
  const { name, domainName } = match?.vhost ?? {};
  return (!name || name === host.name) && (!domainName || host.domains.includes(domainName));
}
