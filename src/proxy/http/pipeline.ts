/**
 * The way of a request, top to bottom. A step that answers by itself ends the exchange.
 *
 *     head parsed → receiveHeaders → normalise the path → route → the filters of the chain in their order
 *       → redirect, direct answer or forward → relay → finish
 */
import { taken } from '../net/overload.ts';
import type { ActiveExchange, BodyTaker } from './active-exchange.ts';
import { fromInside } from './client-address.ts';
import { runFilters } from './filters/chain.ts';
import { Forwarding } from './forward.ts';
import { localReply } from './local-reply.ts';
import { normalizePath } from './path.ts';
import { redirectLocation } from './redirect.ts';
import { receiveHeaders } from './request-headers.ts';
import { resolveRoute } from './resolve-route.ts';

export function runPipeline(exchange: ActiveExchange): void {
  const { manager, plane } = exchange;
  if (manager.stripPort !== 'none' || manager.stripTrailingDot) stripAuthority(exchange);
  if (manager.underscores === 'reject' && exchange.request.hasUnderscore()) {
    exchange.lastOfConnection = true;
    exchange.addFlag('DPE');
    localReply(exchange, 400, 'Bad Request', 'http1.unexpected_underscore');
    return;
  }
  receiveHeaders(exchange);
  if (manager.logOptions.onRequest) plane.telemetry.during(exchange, 'DownstreamStart');

  // Before any work is done for it, as Envoy does.
  if (plane.overload.stopRequests > 0 && !exchange.listener.bypassesOverload && taken(plane.overload.stopRequests)) {
    // Envoy sets no flag here; the details tell.
    plane.statistics.http(manager).downstreamRqOverloadClose++;
    localReply(exchange, 503, 'envoy overloaded', 'overload');
    return;
  }

  // Every rule below reads the normalised path, so that no spelling of a path slips past one of them.
  const normalized = normalizePath(exchange.path, manager);
  if (normalized === null) {
    exchange.lastOfConnection = true;
    localReply(exchange, 400, '', 'path_normalization_failed');
    return;
  }
  exchange.path = normalized.path;
  if (normalized.redirect) {
    localReply(exchange, 307, '', 'path_normalization_redirect', ['location', normalized.path]);
    return;
  }

  resolveRoute(exchange);
  runFilters(exchange, 0, serve);
}

/** Runs the filters for a request whose route is another than before; its body, all of which has come, goes after it. */
export function serveAgain(exchange: ActiveExchange, body: readonly Buffer[]): void {
  exchange.taker = null;
  exchange.responseChanges = null;
  const completes = body.length > 0;
  if (completes) exchange.requestComplete = false;
  runFilters(exchange, 0, serve);
  const taker = () => exchange.taker as BodyTaker | null;
  for (const piece of body) taker()?.onRequestBody(piece, 0, piece.length);
  if (!completes) return;
  exchange.requestComplete = true;
  taker()?.onRequestEnd();
}

/** Takes port and trailing dot off the authority, as configured, for all that follows (Envoy: strip_any_host_port). */
function stripAuthority(exchange: ActiveExchange): void {
  const { stripPort, stripTrailingDot } = exchange.manager;
  const found = /^(.*?)(\.?)(?::(\d+))?$/.exec(exchange.authority);
  if (found === null) return;
  const [, name, dot, port] = found;
  const strips =
    stripPort === 'any' || (stripPort === 'matching' && Number(port) === exchange.connection.socketLocal.port);
  exchange.authority = `${name}${stripTrailingDot ? '' : dot}${port === undefined || strips ? '' : `:${port}`}`;
}

function serve(exchange: ActiveExchange): void {
  const { route, virtualHost } = exchange;
  if (route === null || virtualHost === null) {
    exchange.addFlag('NR');
    localReply(exchange, 404, '', 'route_not_found');
    return;
  }
  const needsTls =
    virtualHost.requireTls === 'all' || (virtualHost.requireTls === 'externalOnly' && !fromInside(exchange));
  if (needsTls && exchange.scheme !== 'https') {
    localReply(exchange, 301, '', 'direct_response', [
      'location',
      `https://${exchange.authority.replace(/:\d+$/, '')}${exchange.path}`,
    ]);
    return;
  }
  if (exchange.method === 'CONNECT' && !(route.forward?.upgrades ?? exchange.manager.upgrades).has('connect')) {
    localReply(exchange, 403, '', 'upgrade_failed');
    return;
  }
  if (route.redirect !== null) {
    localReply(exchange, route.redirect.status, '', 'direct_response', [
      'location',
      redirectLocation(exchange, route, route.redirect),
    ]);
    return;
  }
  if (route.direct !== null) {
    const { status, body } = route.direct;
    // Envoy says where what was created is: here.
    const location = status === 201 ? ['location', `${exchange.scheme}://${exchange.authority}${exchange.path}`] : null;
    localReply(exchange, status, body, 'direct_response', location);
    return;
  }
  new Forwarding(exchange, route.forward!).start();
}
