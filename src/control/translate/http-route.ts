/** One `http[]` rule of a VirtualService as Envoy routes, one for each of its matches. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Subset } from '../../api/istio/destination-rule.ts';
import type {
  Destination,
  Headers,
  HttpFaultInjection,
  HttpMatchRequest,
  HttpRedirect,
  HttpRoute,
  VirtualService,
} from '../../api/istio/virtual-service.ts';
import { parseDurationMs } from '../../lib/duration.ts';
import {
  HeaderValueOption_HeaderAppendAction as Append,
  type HeaderValueOptionSchema,
} from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { RouteMatchSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  RouteAction_ClusterNotFoundResponseCode as NotFound,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type Route,
  type RouteAction_HashPolicySchema,
  type RouteActionSchema,
  RouteSchema,
  type WeightedCluster_ClusterWeightSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { CorsPolicySchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { FractionalPercent_DenominatorType as Denominator } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import { grpcStatusNames } from '../../xds/grpc/status.ts';
import { quoted } from '../gateway-api/path.ts';
import { rulesOf } from '../model/delegates.ts';
import { type Origin, originOf } from '../model/origin.ts';
import { fullHost, type Labels, matchesLabels } from '../model/selector.ts';
import type { Service } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { any, duration, milliseconds } from './message.ts';
import { apiPath, outboundCluster } from './names.ts';
import type { Problems } from './problem.ts';
import { retryPolicy } from './retry.ts';
import { headerMatcher, stringMatcher } from './string-match.ts';
import { destinationRuleOf, policyFor } from './traffic-policy.ts';
import { gatewayName } from './virtual-service-index.ts';

type RouteAction = Exclude<MessageInitShape<typeof RouteActionSchema>, { $typeName: string }>;
type RouteMatch = Exclude<MessageInitShape<typeof RouteMatchSchema>, { $typeName: string }>;
type ClusterWeight = MessageInitShape<typeof WeightedCluster_ClusterWeightSchema>;

/** As Istio names a resource's kind in a path, for those that rules come from. */
const resourceWords: Readonly<Record<string, string>> = {
  VirtualService: 'virtual-service',
  HTTPRoute: 'http-route',
  GRPCRoute: 'grpc-route',
};

export interface RouteContext {
  snapshot: Snapshot;
  problems: Problems;
  /** The proxy that asks. */
  namespace: string;
  labels: Labels;
  /** `mesh`, or `namespace/name` of a Gateway. */
  gateway: string;
  /** The port that traffic comes in on. */
  port: number;
  /** Whether TLS ends there. */
  isSecure?: boolean;
}

/** The routes of a VirtualService in its own order; what can never match this proxy is left out. Catch-all routes end the list. */
export function httpRoutes(context: RouteContext, resource: VirtualService): Route[] {
  const routes: Route[] = [];
  const { rules, faults } = rulesOf(
    resource,
    context.snapshot.objects.virtualServices,
    context.snapshot.mesh.defaultVirtualServiceExportTo,
  );
  for (const { owner, path, message } of faults) context.problems.add(owner, path, message);
  for (const { rule, owner, path } of rules) {
    const matches = rule.match?.length ? rule.match : [null];
    for (const match of matches) {
      // Names of gateways in a delegate's matches are as its root would write them.
      if (match && !concerns(context, resource, match)) continue;
      const route = oneRoute(context, owner, rule, match, path);
      routes.push(route);
      // Nothing behind a catch-all can be reached.
      if (!match || isCatchAll(match)) return routes;
    }
  }
  return routes;
}

function isCatchAll(match: HttpMatchRequest): boolean {
  const { uri } = match;
  const anyPath = !uri || uri.prefix === '/' || uri.regex === '.*' || uri.regex === '*';
  return (
    anyPath &&
    ![match.headers, match.withoutHeaders, match.queryParams].some(
      (matches) => Object.keys(matches ?? {}).length > 0,
    ) &&
    !match.method &&
    !match.authority &&
    !match.scheme
  );
}

function concerns(
  { gateway, port, labels, namespace }: RouteContext,
  resource: VirtualService,
  match: HttpMatchRequest,
): boolean {
  if (match.port && match.port !== port) return false;
  if (match.gateways?.length && !match.gateways.some((name) => gatewayName(name, resource) === gateway)) return false;
  if (gateway !== 'mesh') return true;
  if (match.sourceNamespace && match.sourceNamespace !== namespace) return false;
  return matchesLabels(match.sourceLabels, labels);
}

function oneRoute(
  context: RouteContext,
  resource: Origin['owner'],
  rule: HttpRoute,
  match: HttpMatchRequest | null,
  path: string,
): Route {
  const name = [rule.name, match?.name].filter(Boolean).join('.');
  const action = actionOf(context, resource, rule, match, path);
  const filters: Record<string, ReturnType<typeof any>> = {};
  if (rule.fault) filters['envoy.filters.http.fault'] = fault(rule.fault);
  if (rule.corsPolicy) filters['envoy.filters.http.cors'] = cors(rule.corsPolicy);
  return create(RouteSchema, {
    name,
    match: routeMatch(match, originOf(rule) !== null),
    action,
    typedPerFilterConfig: filters,
    metadata: {
      filterMetadata: {
        istio: { config: apiPath(resource, resourceWords[resource.kind] ?? resource.kind.toLowerCase()), rule: path },
      },
    },
    ...mutations(rule.headers),
  });
}

function actionOf(
  context: RouteContext,
  resource: Origin['owner'],
  rule: HttpRoute,
  match: HttpMatchRequest | null,
  path: string,
): MessageInitShape<typeof RouteSchema>['action'] {
  if (rule.redirect) return { case: 'redirect', value: redirect(rule, match, context) };
  if (rule.directResponse) {
    const { status, body } = rule.directResponse;
    const specifier =
      body?.string !== undefined
        ? { case: 'inlineString' as const, value: body.string }
        : body?.bytes !== undefined
          ? { case: 'inlineBytes' as const, value: new Uint8Array(Buffer.from(body.bytes, 'base64')) }
          : undefined;
    return { case: 'directResponse', value: { status, body: specifier && { specifier } } };
  }
  if (!rule.route?.length || (rule.route.length > 1 && rule.route.every(({ weight }) => !weight))) {
    context.problems.add(
      resource,
      `${path}.route`,
      'no destination has a weight above 0: requests are answered with 503',
    );
    return { case: 'directResponse', value: { status: 503 } };
  }
  return { case: 'route', value: forward(context, resource, rule, match, path) };
}

/** @param isBySegment a prefix counts whole segments: the Gateway API's rule, not Istio's */
function routeMatch(match: HttpMatchRequest | null, isBySegment: boolean): RouteMatch {
  const result: RouteMatch = { pathSpecifier: { case: 'prefix', value: '/' }, caseSensitive: !match?.ignoreUriCase };
  if (!match) return result;
  const { uri } = match;
  if (uri?.exact !== undefined) result.pathSpecifier = { case: 'path', value: uri.exact };
  else if (isBySegment && uri?.prefix !== undefined && uri.prefix !== '/')
    result.pathSpecifier = { case: 'pathSeparatedPrefix', value: uri.prefix };
  else if (uri?.prefix !== undefined) result.pathSpecifier = { case: 'prefix', value: uri.prefix };
  else if (uri?.regex !== undefined && uri.regex !== '*')
    result.pathSpecifier = { case: 'safeRegex', value: { regex: uri.regex } };
  const headers = [
    ...Object.entries(match.headers ?? {}).map(([name, value]) => headerMatcher(name, value)),
    ...Object.entries(match.withoutHeaders ?? {}).map(([name, value]) => headerMatcher(name, value, true)),
  ];
  if (match.method) headers.push(headerMatcher(':method', match.method));
  if (match.authority) headers.push(headerMatcher(':authority', match.authority));
  if (match.scheme) headers.push(headerMatcher(':scheme', match.scheme));
  result.headers = headers;
  result.queryParameters = Object.entries(match.queryParams ?? {}).map(([name, value]) => {
    const matcher = stringMatcher(value);
    return {
      name,
      queryParameterMatchSpecifier: matcher
        ? { case: 'stringMatch' as const, value: matcher }
        : { case: 'presentMatch' as const, value: true },
    };
  });
  return result;
}

/** The service and port that a destination means, or null with the problem told. */
export function resolveDestination(
  context: RouteContext,
  resource: Origin['owner'],
  destination: Destination,
  path: string,
): { cluster: string; service: Service; port: number; subset: Subset | null } | { cluster: string; service: null } {
  const { snapshot, problems } = context;
  const host = fullHost(destination.host, resource.metadata.namespace ?? '', snapshot.domain);
  const service = snapshot.serviceByHost.get(host);
  if (!service) {
    problems.add(resource, `${path}.host`, `no service is known as "${host}"`);
    return {
      cluster: outboundCluster(destination.port?.number ?? context.port, destination.subset ?? '', host),
      service: null,
    };
  }
  // A single port needs no naming (Istio); otherwise the port that the request came in on.
  const port = destination.port?.number ?? (service.ports.length === 1 ? service.ports[0].port : context.port);
  if (!service.ports.some((candidate) => candidate.port === port))
    problems.add(resource, `${path}.port.number`, `service "${host}" has no port ${port}`);
  let subset: Subset | null = null;
  if (destination.subset) {
    const rule = destinationRuleOf(snapshot, service, context.namespace);
    subset = rule?.spec.subsets?.find(({ name }) => name === destination.subset) ?? null;
    if (!subset)
      problems.add(resource, `${path}.subset`, `no DestinationRule for "${host}" has a subset "${destination.subset}"`);
  }
  return { cluster: outboundCluster(port, destination.subset ?? '', host), service, port, subset };
}

function forward(
  context: RouteContext,
  resource: Origin['owner'],
  rule: HttpRoute,
  match: HttpMatchRequest | null,
  path: string,
): RouteAction {
  const targets = (rule.route ?? []).map((target, i) => ({
    target,
    resolved: resolveDestination(context, resource, target.destination, `${path}.route[${i}].destination`),
  }));
  const weightOf = (weight: number | undefined) => (targets.length === 1 ? weight || 1 : (weight ?? 0));
  const action: RouteAction = {
    timeout: rule.timeout ? duration(rule.timeout) : milliseconds(0),
    retryPolicy: retryPolicy(rule.retries, context.snapshot.mesh),
    requestMirrorPolicies: mirrors(context, resource, rule, path),
    // The share of a backend that cannot be used (Gateway API); Envoy's own is 503.
    ...(originOf(rule) && { clusterNotFoundResponseCode: NotFound.INTERNAL_SERVER_ERROR }),
  };
  if (targets.length === 1 && !targets[0].target.headers)
    action.clusterSpecifier = { case: 'cluster', value: targets[0].resolved.cluster };
  else
    action.clusterSpecifier = {
      case: 'weightedClusters',
      value: {
        clusters: targets
          .filter(({ target }) => weightOf(target.weight) > 0)
          .map(
            ({ target, resolved }): ClusterWeight => ({
              name: resolved.cluster,
              weight: weightOf(target.weight),
              ...hostRewrite(hostOf(target.headers)),
              ...mutations(target.headers),
            }),
          ),
      },
    };
  const { rewrite } = rule;
  Object.assign(action, hostRewrite(rewrite?.authority || hostOf(rule.headers)));
  if (rewrite?.uriRegexRewrite)
    action.regexRewrite = {
      pattern: { regex: rewrite.uriRegexRewrite.match ?? '' },
      substitution: rewrite.uriRegexRewrite.rewrite ?? '',
    };
  else if (rewrite?.uri) {
    if (match?.uri?.regex !== undefined) action.regexRewrite = { pattern: { regex: '.*' }, substitution: rewrite.uri };
    else action.prefixRewrite = rewrite.uri;
  }
  const first = targets[0]?.resolved;
  if (first?.service) action.hashPolicy = hashPolicy(context, first.service, first.port, first.subset);
  return action;
}

const hostRewrite = (host: string | undefined) =>
  host ? { hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: host } } : {};

/** A DestinationRule's consistent hash needs the route to say what is hashed. */
export function hashPolicy(
  { snapshot, namespace }: Pick<RouteContext, 'snapshot' | 'namespace'>,
  service: Service,
  port: number,
  subset: Subset | null,
): Array<MessageInitShape<typeof RouteAction_HashPolicySchema>> {
  const hash = policyFor(destinationRuleOf(snapshot, service, namespace), subset, port).loadBalancer?.consistentHash;
  if (hash?.httpHeaderName)
    return [{ policySpecifier: { case: 'header', value: { headerName: hash.httpHeaderName } } }];
  if (hash?.httpCookie) {
    const { name, path, ttl } = hash.httpCookie;
    return [{ policySpecifier: { case: 'cookie', value: { name, path: path ?? '', ttl: duration(ttl) } } }];
  }
  if (hash?.useSourceIp) return [{ policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } } }];
  if (hash?.httpQueryParameterName)
    return [{ policySpecifier: { case: 'queryParameter', value: { name: hash.httpQueryParameterName } } }];
  return [];
}

function mirrors(
  context: RouteContext,
  resource: Origin['owner'],
  rule: HttpRoute,
  path: string,
): RouteAction['requestMirrorPolicies'] {
  const wanted = [
    ...(rule.mirrors ?? []).map((mirror, i) => ({ ...mirror, path: `${path}.mirrors[${i}].destination` })),
  ];
  const percent = rule.mirrorPercentage ?? rule.mirrorPercent ?? rule.mirror_percent ?? undefined;
  if (rule.mirror)
    wanted.push({
      destination: rule.mirror,
      percentage: typeof percent === 'number' ? { value: percent } : percent,
      path: `${path}.mirror`,
    });
  return wanted.map(({ destination, percentage, path: at }) => ({
    cluster: resolveDestination(context, resource, destination, at).cluster,
    runtimeFraction: { defaultValue: fraction(percentage?.value ?? 100) },
  }));
}

function redirect(rule: HttpRoute, match: HttpMatchRequest | null, context: RouteContext) {
  const settings = rule.redirect as NonNullable<HttpRoute['redirect']>;
  const isGatewayApi = originOf(rule) !== null;
  const codes: Record<number, RedirectCode> = {
    301: RedirectCode.MOVED_PERMANENTLY,
    302: RedirectCode.FOUND,
    303: RedirectCode.SEE_OTHER,
    307: RedirectCode.TEMPORARY_REDIRECT,
    308: RedirectCode.PERMANENT_REDIRECT,
  };
  return {
    hostRedirect: settings.authority ?? '',
    portRedirect: isGatewayApi && isUsualPort(settings, context) ? 0 : redirectPort(settings, context),
    responseCode: codes[settings.redirectCode || 301] ?? RedirectCode.MOVED_PERMANENTLY,
    schemeRewriteSpecifier: settings.scheme ? { case: 'schemeRedirect' as const, value: settings.scheme } : undefined,
    pathRewriteSpecifier:
      isGatewayApi && settings.prefixRewrite === '/' && match?.uri?.prefix !== '/'
        ? {
            case: 'regexRewrite' as const,
            value: { pattern: { regex: `^${quoted(match?.uri?.prefix ?? '')}/*(.*)` }, substitution: '/\\1' },
          }
        : settings.prefixRewrite
          ? { case: 'prefixRewrite' as const, value: settings.prefixRewrite }
          : settings.uri
            ? { case: 'pathRedirect' as const, value: settings.uri }
            : undefined,
  };
}

const redirectPort = ({ port, derivePort }: HttpRedirect, context: RouteContext): number =>
  port || (derivePort === 'FROM_REQUEST_PORT' ? context.port : 0);

/** Whether nobody writes the port: neither where the request came in nor where it is sent (Gateway API, `requestRedirect.port`). */
function isUsualPort(settings: HttpRedirect, context: RouteContext): boolean {
  const own = context.isSecure ? 'https' : 'http';
  const usual: Record<string, number> = { http: 80, https: 443 };
  return context.port === usual[own] && redirectPort(settings, context) === usual[settings.scheme ?? own];
}

/** Envoy counts in millionths, so that 0.01 % stays what it is. */
function fraction(percent: number) {
  return { numerator: Math.round(percent * 10_000), denominator: Denominator.MILLION };
}

function fault({ abort, delay }: HttpFaultInjection) {
  const grpc = abort?.grpcStatus ? grpcStatusNames.indexOf(abort.grpcStatus) : -1;
  const delayMs = parseDurationMs(delay?.fixedDelay ?? '');
  return any(HTTPFaultSchema, {
    abort: abort && {
      errorType:
        grpc >= 0 ? { case: 'grpcStatus', value: grpc } : { case: 'httpStatus', value: abort.httpStatus || 500 },
      percentage: fraction(abort.percentage ? (abort.percentage.value ?? 0) : 100),
    },
    delay:
      delay && delayMs !== null
        ? {
            faultDelaySecifier: { case: 'fixedDelay', value: milliseconds(delayMs) },
            percentage: fraction(delay.percentage ? (delay.percentage.value ?? 0) : delay.percent || 100),
          }
        : undefined,
  });
}

function cors(policy: NonNullable<HttpRoute['corsPolicy']>) {
  const ageMs = parseDurationMs(policy.maxAge ?? '');
  return any(CorsPolicySchema, {
    allowOriginStringMatch: [
      ...(policy.allowOrigins ?? []).flatMap((match) => stringMatcher(match) ?? []),
      ...(policy.allowOrigin ?? []).map((value) => ({ matchPattern: { case: 'exact' as const, value } })),
    ],
    allowMethods: policy.allowMethods?.join(',') ?? '',
    allowHeaders: policy.allowHeaders?.join(',') ?? '',
    exposeHeaders: policy.exposeHeaders?.join(',') ?? '',
    maxAge: ageMs === null ? '' : String(Math.floor(ageMs / 1000)),
    allowCredentials: policy.allowCredentials ?? undefined,
    forwardNotMatchingPreflights:
      policy.unmatchedPreflights === undefined ? undefined : policy.unmatchedPreflights !== 'IGNORE',
  });
}

const isHost = (name: string) => ['host', ':authority'].includes(name.toLowerCase());

/** Envoy changes the host by a rewrite only, never by a header rule. */
function hostOf(headers: Headers | undefined): string | undefined {
  return Object.entries(headers?.request?.set ?? {}).find(([name]) => isHost(name))?.[1];
}

type HeaderOption = MessageInitShape<typeof HeaderValueOptionSchema>;

function mutations(headers: Headers | undefined) {
  const options = (set: Record<string, string> = {}, add: Record<string, string> = {}): HeaderOption[] => [
    ...Object.entries(set).map(([key, value]) => ({
      header: { key, value },
      appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD,
    })),
    ...Object.entries(add).map(([key, value]) => ({
      header: { key, value },
      appendAction: Append.APPEND_IF_EXISTS_OR_ADD,
    })),
  ];
  const withoutHost = (set: Record<string, string> | undefined) =>
    Object.fromEntries(Object.entries(set ?? {}).filter(([name]) => !isHost(name)));
  const { set, add, remove } = headers?.request ?? {};
  return {
    requestHeadersToAdd: options(withoutHost(set), withoutHost(add)),
    requestHeadersToRemove: remove?.filter((name) => !isHost(name)) ?? [],
    responseHeadersToAdd: options(headers?.response?.set, headers?.response?.add),
    responseHeadersToRemove: headers?.response?.remove ?? [],
  };
}
