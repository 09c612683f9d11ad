/** Rules across a VirtualService's fields. */
import { below, each, type Report, show } from '../../schema/problem.ts';
import type { TcpRoute, TlsRoute, VirtualService, VirtualServiceSpec } from '../virtual-service.ts';
import { checkDestination, checkWeights } from './destination.ts';
import { checkExportTo } from './export-to.ts';
import { checkGatewayNames } from './gateway-names.ts';
import { isClaim } from './header-rules.ts';
import { covers, isIpAddress, isIpOrCidr, overlaps, wildcardNameProblem } from './host-name.ts';
import { checkLabels } from './label-rules.ts';
import { warnOfUnreachable } from './reachability.ts';

export function checkVirtualService(
  { metadata, spec }: Pick<VirtualService, 'metadata' | 'spec'>,
  report: Report,
): void {
  const at = below(report, 'spec');
  const hosts = spec.hosts ?? [];
  const isDelegate = hosts.length === 0;
  const isForMesh = !spec.gateways?.length || spec.gateways.includes('mesh');

  if (isDelegate)
    for (const field of ['gateways', 'tls', 'tcp'] as const)
      if (spec[field]?.length)
        at.error([field], 'cannot be set in a VirtualService that has no hosts (a delegate)', 'conflict');
  checkGatewayNames(at, spec.gateways);
  checkHosts(at, hosts, isForMesh, hasSni(spec));
  if (!spec.http?.length && !spec.tcp?.length && !spec.tls?.length)
    at.error([], 'needs one of http, tls and tcp', 'required');

  each(at, 'http', spec.http, (route, there) => {
    if (isDelegate && route.delegate)
      there.error(
        ['delegate'],
        'cannot be set in a VirtualService that has no hosts: a delegate does not delegate',
        'conflict',
      );
    if (isForMesh) refuseClaims(there, route.match);
  });
  each(at, 'tls', spec.tls, (route, there) => checkTlsRoute(there, route, hosts));
  each(at, 'tcp', spec.tcp, (route, there) => checkTcpRoute(there, route));
  checkExportTo(at, spec.exportTo, metadata.namespace);
  warnOfUnreachable(report, spec);
}

function hasSni({ tls = [] }: VirtualServiceSpec): boolean {
  return tls.some(({ match }) => match.some(({ sniHosts }) => sniHosts.length > 0));
}

/** The SNI that gateways in AUTO_PASSTHROUGH mode see: `outbound_.80_._.reviews.default.svc.cluster.local`. */
const passthroughSni = /^outbound_\.?\d+_[^_]*_\.?[a-zA-Z]/;

function checkHosts(report: Report, hosts: readonly string[], isForMesh: boolean, mayBePassthroughSni: boolean): void {
  let allAreValid = true;
  each(report, 'hosts', hosts, (host, at) => {
    if (isIpAddress(host) || (!isForMesh && mayBePassthroughSni && passthroughSni.test(host))) return;
    const problem =
      host === '*' && isForMesh
        ? 'must not be "*" for traffic inside the mesh; name hosts, or gateways without "mesh"'
        : wildcardNameProblem(host);
    if (!problem) return;
    at.error([], problem, 'format');
    allAreValid = false;
  });
  if (!allAreValid) return;
  hosts.forEach((host, i) => {
    const before = hosts.findIndex((other, j) => j < i && overlaps(other, host));
    if (before >= 0)
      report.error(['hosts', i], `${show(host)} and ${show(hosts[before])} stand for the same hosts`, 'duplicate');
  });
}

function refuseClaims(report: Report, matches: NonNullable<VirtualServiceSpec['http']>[number]['match']): void {
  each(report, 'match', matches, (match, at) => {
    for (const field of ['headers', 'withoutHeaders'] as const)
      for (const header of Object.keys(match[field] ?? {}))
        if (isClaim(header))
          at.error(
            [field, header],
            'routes by a token, which only gateways can; name gateways without "mesh"',
            'conflict',
          );
  });
}

type L4Match = Pick<NonNullable<TcpRoute['match']>[number], 'destinationSubnets' | 'sourceLabels' | 'gateways'>;

function checkL4Match(report: Report, match: L4Match): void {
  each(report, 'destinationSubnets', match.destinationSubnets, (subnet, at) => {
    if (!isIpOrCidr(subnet))
      at.error([], `must be an address or a block such as 10.0.0.0/8, is ${show(subnet)}`, 'format');
  });
  checkLabels(report, 'sourceLabels', match.sourceLabels);
  checkGatewayNames(report, match.gateways);
}

function checkL4Destinations(report: Report, routes: TcpRoute['route']): void {
  if (!routes?.length) report.error(['route'], 'is required', 'required');
  each(report, 'route', routes, (route, at) => checkDestination(below(at, 'destination'), route.destination));
  checkWeights(report, routes);
}

function checkTlsRoute(report: Report, route: TlsRoute, hosts: readonly string[]): void {
  if (route.match.length === 0) report.error(['match'], 'must not be empty', 'required');
  each(report, 'match', route.match, (match, at) => {
    if (match.sniHosts.length === 0) at.error(['sniHosts'], 'must not be empty', 'required');
    each(at, 'sniHosts', match.sniHosts, (host, there) => {
      if (isIpAddress(host)) return there.warning([], 'is an address, which clients do not send as SNI (RFC 6066 §3)');
      const problem = passthroughSni.test(host) ? null : wildcardNameProblem(host);
      if (problem) there.error([], problem, 'format');
      else if (!hosts.some((wide) => covers(wide, host)))
        there.error([], `${show(host)} is none of the VirtualService's hosts (${hosts.join(', ')})`, 'conflict');
    });
    checkL4Match(at, match);
  });
  checkL4Destinations(report, route.route);
}

function checkTcpRoute(report: Report, route: TcpRoute): void {
  each(report, 'match', route.match, (match, at) => checkL4Match(at, match));
  checkL4Destinations(report, route.route);
}
