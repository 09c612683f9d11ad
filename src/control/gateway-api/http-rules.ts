/** Rules of HTTPRoutes and GRPCRoutes as rules of VirtualServices, one for each match. */
import type {
  GrpcRouteMatch,
  GrpcRouteResource,
  GrpcRouteRule,
  HttpRouteMatch,
  HttpRouteResource,
  HttpRouteRule,
  ValueMatch,
} from '../../api/gateway/routes.ts';
import type { HttpMatchRequest, HttpRoute } from '../../api/istio/virtual-service.ts';
import { withOrigin } from '../model/origin.ts';
import { backendOf } from './backends.ts';
import { type Fact, fails } from './condition.ts';
import { applyFilters, headersOf } from './filters.ts';
import { quoted, trimmed } from './path.ts';
import type { Entry } from './precedence.ts';
import type { View } from './view.ts';

export interface Rules {
  readonly entries: readonly Entry[];
  /** The first reference that is at fault. */
  readonly fault: Fact | null;
}

export function httpRules(view: View, route: HttpRouteResource | GrpcRouteResource): Rules {
  const entries: Entry[] = [];
  let fault: Fact | null = null;
  for (const [i, rule] of (route.spec.rules ?? []).entries()) {
    const matches: Array<HttpRouteMatch | GrpcRouteMatch> = rule.matches?.length ? rule.matches : [{}];
    for (const given of matches) {
      const match =
        route.kind === 'HTTPRoute' ? httpMatch(given as HttpRouteMatch) : grpcMatch(given as GrpcRouteMatch);
      const made = ruleOf(view, route, rule, match);
      fault ??= made.fault;
      entries.push({ route, order: entries.length, match, rule: withOrigin(made.rule, route, `spec.rules[${i}]`) });
    }
  }
  return { entries, fault };
}

function ruleOf(
  view: View,
  route: HttpRouteResource | GrpcRouteResource,
  given: HttpRouteRule | GrpcRouteRule,
  match: HttpMatchRequest,
): { rule: HttpRoute; fault: Fact | null } {
  const { timeouts, retry } = given as HttpRouteRule;
  const rule: HttpRoute = { ...(given.name && { name: given.name }), match: [match] };
  let fault = applyFilters(view, route, given.filters ?? [], match, rule);
  if (timeouts?.request) rule.timeout = goDuration(timeouts.request);
  if (retry || timeouts?.backendRequest)
    rule.retries = {
      ...(retry && {
        attempts: retry.attempts ?? 1,
        retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', ...(retry.codes ?? [])].join(','),
      }),
      ...(retry?.backoff && { backoff: goDuration(retry.backoff) }),
      ...(timeouts?.backendRequest && { perTryTimeout: goDuration(timeouts.backendRequest) }),
    };
  if (rule.redirect || rule.directResponse) return { rule, fault };
  const backends = (given.backendRefs ?? []).map((reference) => {
    const backend = backendOf(view, reference, route);
    fault ??= backend.fault;
    for (const { type } of reference.filters ?? [])
      if (type !== 'RequestHeaderModifier' && type !== 'ResponseHeaderModifier')
        fault ??= fails('ResolvedRefs', 'UnsupportedValue', `filter ${type} is not possible on a backend`);
    const headers = headersOf(reference.filters ?? []);
    return {
      destination: backend.destination,
      weight: reference.weight ?? 1,
      ...(headers && { headers }),
      isUsable: backend.fault === null,
    };
  });
  // Requests that lead to no backend are answered with 500 (specification, `backendRefs`).
  if (!backends.some(({ isUsable, weight }) => isUsable && weight > 0)) rule.directResponse = { status: 500 };
  else rule.route = backends.map(({ isUsable: _, ...destination }) => destination);
  return { rule, fault };
}

function httpMatch({ path, headers, queryParams, method }: HttpRouteMatch): HttpMatchRequest {
  const { type = 'PathPrefix', value = '/' } = path ?? {};
  const uri =
    type === 'Exact' ? { exact: value } : type === 'RegularExpression' ? { regex: value } : { prefix: trimmed(value) };
  return {
    uri,
    ...(method && { method: { exact: method } }),
    ...valuesOf('headers', headers),
    ...valuesOf('queryParams', queryParams),
  };
}

function grpcMatch({ method, headers }: GrpcRouteMatch): HttpMatchRequest {
  return { uri: grpcPath(method ?? {}), ...valuesOf('headers', headers) };
}

/** `/package.Service/Method` is a gRPC call's path. */
function grpcPath({ type = 'Exact', service, method }: NonNullable<GrpcRouteMatch['method']>) {
  if (type === 'RegularExpression') return { regex: `/(${service || '[^/]+'})/(${method || '[^/]+'})` };
  if (service && method) return { exact: `/${service}/${method}` };
  if (service) return { prefix: `/${service}` };
  return method ? { regex: `/[^/]+/${quoted(method)}` } : { prefix: '/' };
}

/** Of several for one name the first counts. Names of headers are told apart without their case. */
function valuesOf(field: 'headers' | 'queryParams', matches: readonly ValueMatch[] | undefined) {
  if (!matches?.length) return {};
  const found: NonNullable<HttpMatchRequest['headers']> = {};
  for (const { type = 'Exact', name, value } of matches) {
    const key = field === 'headers' ? name.toLowerCase() : name;
    if (!Object.hasOwn(found, key)) found[key] = type === 'Exact' ? { exact: value } : { regex: value };
  }
  return { [field]: found };
}

/** `1h2m3s4ms` (GEP-2257) in seconds, which the API of Istio takes as well. */
function goDuration(text: string): string {
  const unitMs = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|h|m|s)/g))
    ms += Number(count) * unitMs[unit as keyof typeof unitMs];
  return `${ms}ms`;
}
