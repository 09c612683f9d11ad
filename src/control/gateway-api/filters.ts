/** Filters of HTTPRoutes and GRPCRoutes. https://gateway-api.sigs.k8s.io/reference/spec/#httproutefilter */
import type { GrpcRouteResource, HeaderModifier, HttpRouteResource, RouteFilter } from '../../api/gateway/routes.ts';
import type { Headers, HttpMatchRequest, HttpRoute } from '../../api/istio/virtual-service.ts';
import { backendOf } from './backends.ts';
import { type Fact, fails } from './condition.ts';
import { quoted, trimmed } from './path.ts';
import type { View } from './view.ts';

/** Writes what the filters say into the rule; the first fault is returned. A filter that cannot be applied lets no request pass. */
export function applyFilters(
  view: View,
  route: HttpRouteResource | GrpcRouteResource,
  filters: readonly RouteFilter[],
  match: HttpMatchRequest,
  rule: HttpRoute,
): Fact | null {
  let fault: Fact | null = null;
  const headers = headersOf(filters);
  if (headers) rule.headers = headers;
  for (const filter of filters) {
    if (filter.requestRedirect) rule.redirect = redirectOf(filter.requestRedirect);
    else if (filter.urlRewrite) rule.rewrite = rewriteOf(filter.urlRewrite, match);
    else if (filter.cors) rule.corsPolicy = corsOf(filter.cors);
    else if (filter.requestMirror) {
      const { backendRef, percent, fraction } = filter.requestMirror;
      const { destination, fault: found } = backendOf(view, backendRef, route);
      fault ??= found;
      const share = fraction ? (100 * fraction.numerator) / (fraction.denominator ?? 100) : (percent ?? 100);
      if (!found) rule.mirrors = [...(rule.mirrors ?? []), { destination, percentage: { value: share } }];
    } else if (!filter.requestHeaderModifier && !filter.responseHeaderModifier) {
      fault ??= fails('ResolvedRefs', 'InvalidKind', `filter ${filter.type} is not known`);
      rule.directResponse = { status: 500 };
    }
  }
  return fault;
}

export function headersOf(filters: readonly RouteFilter[]): Headers | null {
  const headers: Headers = {};
  for (const { requestHeaderModifier, responseHeaderModifier } of filters) {
    if (requestHeaderModifier) headers.request = operationsOf(requestHeaderModifier);
    if (responseHeaderModifier) headers.response = operationsOf(responseHeaderModifier);
  }
  return headers.request || headers.response ? headers : null;
}

function operationsOf({ set, add, remove }: HeaderModifier): NonNullable<Headers['request']> {
  const named = (values: ReadonlyArray<{ name: string; value: string }>) =>
    Object.fromEntries(values.map(({ name, value }) => [name, value]));
  return {
    ...(set?.length && { set: named(set) }),
    ...(add?.length && { add: named(add) }),
    ...(remove?.length && { remove }),
  };
}

const wellKnownPort: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** Without a port of its own: that of the scheme it names, else the listener's. */
function redirectOf(given: NonNullable<RouteFilter['requestRedirect']>): NonNullable<HttpRoute['redirect']> {
  const { scheme, hostname, path, statusCode = 302 } = given;
  const port = given.port ?? wellKnownPort[scheme ?? ''];
  return {
    redirectCode: statusCode,
    ...(scheme && { scheme }),
    ...(hostname && { authority: hostname }),
    ...(port ? { port } : { derivePort: 'FROM_REQUEST_PORT' as const }),
    ...(path?.type === 'ReplaceFullPath' && { uri: path.replaceFullPath ?? '/' }),
    ...(path?.type === 'ReplacePrefixMatch' && { prefixRewrite: trimmed(path.replacePrefixMatch ?? '/') }),
  };
}

function rewriteOf(
  { hostname, path }: NonNullable<RouteFilter['urlRewrite']>,
  { uri }: HttpMatchRequest,
): NonNullable<HttpRoute['rewrite']> {
  const authority = hostname ? { authority: hostname } : {};
  if (path?.type === 'ReplaceFullPath')
    return { ...authority, uriRegexRewrite: { match: '/.*', rewrite: literal(path.replaceFullPath ?? '/') } };
  if (path?.type !== 'ReplacePrefixMatch') return authority;
  const from = uri?.prefix ?? '/';
  const to = trimmed(path.replacePrefixMatch ?? '/');
  if (from === to) return authority;
  // Without what was matched a path must still begin with one slash.
  if (to === '/') return { ...authority, uriRegexRewrite: { match: `^${quoted(from)}/*(.*)`, rewrite: '/\\1' } };
  return { ...authority, uri: from === '/' ? `${to}/` : to };
}

/** In a substitution a backslash begins a reference to a group. */
const literal = (text: string) => text.replaceAll('\\', '\\\\');

function corsOf(cors: NonNullable<RouteFilter['cors']>): NonNullable<HttpRoute['corsPolicy']> {
  return {
    allowOrigins: (cors.allowOrigins ?? []).map((origin) =>
      origin === '*'
        ? { regex: '.*' }
        : origin.includes('*')
          ? { regex: origin.split('*').map(quoted).join('.*') }
          : { exact: origin },
    ),
    allowMethods: cors.allowMethods ?? [],
    allowHeaders: cors.allowHeaders ?? [],
    exposeHeaders: cors.exposeHeaders ?? [],
    maxAge: `${cors.maxAge ?? 5}s`,
    ...(cors.allowCredentials !== undefined && { allowCredentials: cors.allowCredentials }),
    // Who is not allowed in is told so by the lack of headers, not by the backend.
    unmatchedPreflights: 'IGNORE',
  };
}
