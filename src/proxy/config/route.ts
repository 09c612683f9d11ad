import { fromBinary } from '@bufbuild/protobuf';
import type {
  QueryParameterMatcher,
  RedirectAction,
  RouteMatch as RouteMatchMessage,
  Route as RouteMessage,
  VirtualHost as VirtualHostMessage,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  RedirectActionSchema,
  RouteMatchSchema,
  RouteSchema,
  VirtualHostSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { hostBody, hostName, splitRoutes } from '../../xds/route-patch.ts';
import { readData } from './data-source.ts';
import { millionths } from './fault.ts';
import { type Field, regexTest, words } from './field.ts';
import { compileForward, compileRegexRewrite } from './forward.ts';
import { compileMutation, joined } from './header-mutation.ts';
import { compileRouteFilters } from './http-filters.ts';
import { metadataOf, originOf } from './origin.ts';
import { compileRateLimits } from './rate-limit.ts';
import { compileHeader, compileString } from './string-match.ts';
import type { DomainIndex, Redirect, Route, RouteFilters, RouteMatch, RouteTable, VirtualHost } from './table.ts';
import { compileDecorator, compileRouteTracing } from './tracing.ts';

const knownTable = words(`name virtual_hosts response_headers_to_add response_headers_to_remove request_headers_to_add
  request_headers_to_remove validate_clusters max_direct_response_body_size_bytes ignore_port_in_host_matching
  typed_per_filter_config metadata internal_only_headers most_specific_header_mutations_wins`);
const knownHost =
  words(`name domains routes require_tls request_headers_to_add request_headers_to_remove response_headers_to_add
  response_headers_to_remove typed_per_filter_config include_request_attempt_count include_attempt_count_in_response
  retry_policy request_mirror_policies rate_limits metadata`);
const knownRoute =
  words(`name match route redirect direct_response metadata decorator tracing typed_per_filter_config request_headers_to_add
  request_headers_to_remove response_headers_to_add response_headers_to_remove tracing stat_prefix`);
const knownMatch =
  words(`prefix path safe_regex connect_matcher path_separated_prefix case_sensitive runtime_fraction headers
  query_parameters grpc`);
const knownRedirect =
  words(`https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite response_code
  strip_query regex_rewrite`);
const requireTls = ['none', 'externalOnly', 'all'] as const;
const redirectStatus = [301, 302, 303, 307, 308] as const;

export function compileRoutes(field: Field, message: RouteConfiguration, name = message.name): RouteTable {
  field.only(RouteConfigurationSchema, message, knownTable);
  const filters = compileRouteFilters(field, message.typedPerFilterConfig, null);
  const hosts = message.virtualHosts.map((host, i) =>
    compileHost(field.at('virtual_hosts', i), host, message, filters),
  );
  return { name, hosts, byDomain: indexDomains(field, message, hosts) };
}

/**
 * The same from the encoded message. Virtual hosts whose bytes are those that they had in `before` are not read again, where all
 * else of the table is as it was. Throws an Error when it cannot be read.
 */
export function compileEncodedRoutes(
  field: Field,
  bytes: Uint8Array,
  before: { bytes: Uint8Array; table: RouteTable } | null,
): RouteTable {
  const { rest, hosts: encoded } = splitRoutes(bytes);
  const message = fromBinary(RouteConfigurationSchema, rest);
  field.only(RouteConfigurationSchema, message, knownTable);
  const filters = compileRouteFilters(field, message.typedPerFilterConfig, null);
  const known = before === null ? noHosts : hostsOf(before, rest);
  const hosts = encoded.map((host, i) => {
    const kept = known.get(hostName(host));
    if (kept !== undefined && Buffer.compare(kept.bytes, host) === 0) return kept.host;
    return compileHost(field.at('virtual_hosts', i), fromBinary(VirtualHostSchema, hostBody(host)), message, filters);
  });
  return { name: message.name, hosts, byDomain: indexDomains(field, message, hosts) };
}

type KnownHosts = ReadonlyMap<string, { readonly bytes: Uint8Array; readonly host: VirtualHost }>;
const noHosts: KnownHosts = new Map();

/** By name, what was compiled under the same `rest`; what a table says holds for each of its virtual hosts. */
function hostsOf({ bytes, table }: { bytes: Uint8Array; table: RouteTable }, rest: Uint8Array): KnownHosts {
  const before = splitRoutes(bytes);
  if (Buffer.compare(before.rest, rest) !== 0) return noHosts;
  return new Map(table.hosts.map((host, i) => [hostName(before.hosts[i]), { bytes: before.hosts[i], host }]));
}

function indexDomains(field: Field, message: RouteConfiguration, hosts: readonly VirtualHost[]): DomainIndex {
  const exact = new Map<string, VirtualHost>();
  const suffixes = new Map<string, VirtualHost>();
  const prefixes = new Map<string, VirtualHost>();
  let any: VirtualHost | null = null;
  for (const [i, host] of hosts.entries()) {
    if (host.domains.length === 0) field.at('virtual_hosts', i).at('domains').fail('is empty');
    for (const [d, given] of host.domains.entries()) {
      const at = field.at('virtual_hosts', i).at('domains', d);
      const domain = given.toLowerCase();
      const taken = `${JSON.stringify(given)} belongs to an earlier virtual host`;
      const put = (map: Map<string, VirtualHost>, key: string) => {
        if (map.has(key)) at.fail(taken);
        else map.set(key, hosts[i]);
      };
      if (domain === '*') {
        if (any) at.fail(taken);
        any ??= hosts[i];
      } else if (domain.startsWith('*')) put(suffixes, domain.slice(1));
      else if (domain.endsWith('*')) put(prefixes, domain.slice(0, -1));
      else put(exact, domain);
    }
  }
  const longestFirst = (map: Map<string, VirtualHost>) => [...map].sort((a, b) => b[0].length - a[0].length);
  return {
    exact,
    suffixes: longestFirst(suffixes),
    prefixes: longestFirst(prefixes),
    any,
    ignorePort: message.ignorePortInHostMatching,
  };
}

function compileHost(
  field: Field,
  host: VirtualHostMessage,
  table: RouteConfiguration,
  outer: RouteFilters | null,
): VirtualHost {
  field.only(VirtualHostSchema, host, knownHost);
  if (!host.name) field.at('name').fail('is empty');
  const filters = compileRouteFilters(field, host.typedPerFilterConfig, outer);
  const own = mutations(field, host);
  const common = mutations(field, table);
  const wins = table.mostSpecificHeaderMutationsWins;
  return {
    name: host.name,
    domains: host.domains,
    routes: host.routes.map((route, i) => compileRoute(field.at('routes', i), route, host, filters)),
    requireTls: requireTls[host.requireTls] ?? 'none',
    requestHeaders: wins ? joined(common.request, own.request) : joined(own.request, common.request),
    responseHeaders: wins ? joined(common.response, own.response) : joined(own.response, common.response),
    includeAttemptCount: host.includeRequestAttemptCount,
    attemptCountInResponse: host.includeAttemptCountInResponse,
    rateLimits: compileRateLimits(field, host.rateLimits),
    specificWins: wins,
    metadata: metadataOf(host.metadata),
  };
}

function mutations(field: Field, level: VirtualHostMessage | RouteMessage | RouteConfiguration) {
  return {
    request: compileMutation(field, 'request_headers', level.requestHeadersToAdd, level.requestHeadersToRemove),
    response: compileMutation(field, 'response_headers', level.responseHeadersToAdd, level.responseHeadersToRemove),
  };
}

function compileRoute(field: Field, route: RouteMessage, host: VirtualHostMessage, outer: RouteFilters | null): Route {
  field.only(RouteSchema, route, knownRoute);
  const filters = compileRouteFilters(field, route.typedPerFilterConfig, outer);
  const { request, response } = mutations(field, route);
  const { action } = route;
  const inherited = { retry: host.retryPolicy, mirrors: host.requestMirrorPolicies, filters };
  if (!action.case) field.fail('has no action: give route, redirect or direct_response');
  return {
    name: route.name,
    match: compileMatch(field.at('match'), route.match),
    forward: action.case === 'route' ? compileForward(field.at('route'), action.value, inherited) : null,
    redirect: action.case === 'redirect' ? compileRedirect(field.at('redirect'), action.value) : null,
    direct:
      action.case === 'directResponse'
        ? {
            status: action.value.status,
            body: readData(field.at('direct_response').at('body'), action.value.body),
          }
        : null,
    requestHeaders: request,
    responseHeaders: response,
    filters,
    decorator: compileDecorator(field.at('decorator'), route.decorator),
    tracing: compileRouteTracing(field.at('tracing'), route.tracing),
    origin: originOf(route.metadata),
    metadata: metadataOf(route.metadata),
  };
}

export function compileMatch(field: Field, message: RouteMatchMessage | undefined): RouteMatch {
  if (message) field.only(RouteMatchSchema, message, knownMatch);
  const caseSensitive = message?.caseSensitive ?? true;
  return {
    path: compilePath(field, message, caseSensitive),
    caseSensitive,
    headers: message?.headers.map((h, i) => compileHeader(field.at('headers', i), h)) ?? [],
    query: compileQuery(field, message?.queryParameters ?? []),
    fractionMillionths: millionths(message?.runtimeFraction?.defaultValue, 1_000_000),
    grpcOnly: message?.grpc !== undefined,
  };
}

export function compileQuery(field: Field, parameters: readonly QueryParameterMatcher[]): RouteMatch['query'] {
  return parameters.map((parameter, i) => {
    const specifier = parameter.queryParameterMatchSpecifier;
    const at = field.at('query_parameters', i);
    if (!parameter.name) at.at('name').fail('is empty');
    if (specifier.case === 'presentMatch' && !specifier.value) at.at('present_match').fail('false is not supported');
    const match = specifier.case === 'stringMatch' ? compileString(at.at('string_match'), specifier.value) : null;
    return { name: parameter.name, match };
  });
}

function compilePath(field: Field, message: RouteMatchMessage | undefined, caseSensitive: boolean): RouteMatch['path'] {
  const specifier = message?.pathSpecifier;
  const folded = (value: string) => (caseSensitive ? value : value.toLowerCase());
  switch (specifier?.case) {
    case 'prefix':
      return { kind: 'prefix', value: folded(specifier.value) };
    case 'path':
      return { kind: 'exact', value: folded(specifier.value) };
    case 'pathSeparatedPrefix':
      return { kind: 'separatedPrefix', value: folded(specifier.value) };
    case 'safeRegex': {
      const value = specifier.value.regex;
      return { kind: 'regex', test: regexTest(field.at('safe_regex').at('regex'), value), value };
    }
    case 'connectMatcher':
      return { kind: 'connect' };
    default:
      field.fail('has no path: give prefix, path or safe_regex');
      return { kind: 'prefix', value: '/' };
  }
}

function compileRedirect(field: Field, action: RedirectAction): Redirect {
  field.only(RedirectActionSchema, action, knownRedirect);
  const scheme = action.schemeRewriteSpecifier;
  const path = action.pathRewriteSpecifier;
  return {
    status: redirectStatus[action.responseCode] ?? 301,
    scheme:
      scheme.case === 'schemeRedirect'
        ? scheme.value
        : scheme.case === 'httpsRedirect' && scheme.value
          ? 'https'
          : null,
    host: action.hostRedirect || null,
    port: action.portRedirect || null,
    path: path.case === 'pathRedirect' ? path.value : null,
    prefixRewrite: path.case === 'prefixRewrite' ? path.value : null,
    regexRewrite: path.case === 'regexRewrite' ? compileRegexRewrite(field.at('regex_rewrite'), path.value) : null,
    stripQuery: action.stripQuery,
  };
}
