/** Redirects that the proxy follows itself (Envoy: internal_redirect_policy). */
import type { HeaderBlock } from '../codec/header-block.ts';
import type { InternalRedirect, Route } from '../config/table.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { resolveRoute } from './resolve-route.ts';

/**
 * Readies the request for where a response sends it; false when the response is the caller's after all, and the request is as it
 * was. What it counts is Envoy's `passthrough_internal_redirect_*`.
 */
export function followRedirect(exchange: ActiveExchange, policy: InternalRedirect, response: HeaderBlock): boolean {
  const counters = exchange.plane.statistics.http(exchange.manager);
  const target = targetOf(response.get('location'));
  if (target === null) {
    counters.passthroughInternalRedirectBadLocation++;
    return false;
  }
  const downgrade = exchange.scheme === 'https';
  if (target.scheme !== exchange.scheme && (!policy.crossesScheme || (policy.onlySafely && !downgrade))) {
    counters.passthroughInternalRedirectUnsafeScheme++;
    return false;
  }
  if (exchange.redirects >= policy.max) {
    counters.passthroughInternalRedirectTooManyRedirects++;
    return false;
  }
  const before = { ...place(exchange), method: exchange.method };
  const original = `${exchange.scheme}://${exchange.authority}${exchange.path}`;
  Object.assign(exchange, target);
  // A different method is asked of what a 303 names (RFC 9110 §15.4.4).
  if (response.status === 303 && exchange.method !== 'GET' && exchange.method !== 'HEAD') exchange.method = 'GET';
  resolveRoute(exchange);
  const { route } = exchange;
  if (route === null || !agrees(exchange, policy, route)) {
    if (route === null) counters.passthroughInternalRedirectNoRoute++;
    else counters.passthroughInternalRedirectPredicate++;
    Object.assign(exchange, before);
    return false;
  }
  exchange.redirects++;
  exchange.visited ??= [];
  exchange.visited.push(route);
  for (const name of policy.copies) {
    const value = response.get(name);
    exchange.removeRequestHeader(name);
    if (value !== null) exchange.addRequestHeader(name, value);
  }
  exchange.setRequestHeader('x-envoy-original-url', original);
  if (exchange.method !== before.method) exchange.removeRequestHeader('content-length');
  return true;
}

const place = (exchange: ActiveExchange) => {
  const { scheme, authority, path, route, virtualHost, weighted } = exchange;
  return { scheme, authority, path, route, virtualHost, weighted };
};

/** Whole URLs only, as with Envoy; null for anything else. */
function targetOf(location: string | null) {
  const found = /^(https?):\/\/([^/?#]+)([^#]*)/i.exec(location ?? '');
  if (found === null) return null;
  const [, scheme, authority, rest] = found;
  return {
    scheme: scheme.toLowerCase() as 'http' | 'https',
    authority,
    path: rest.startsWith('/') ? rest : `/${rest}`,
  };
}

function agrees({ visited }: ActiveExchange, policy: InternalRedirect, next: Route): boolean {
  if (policy.avoidsPreviousRoutes && visited?.includes(next)) return false;
  return policy.allowedRoutes === null || policy.allowedRoutes.has(next.name);
}
