/**
 * The way of a request, top to bottom. A step that answers by itself ends the exchange.
 *
 *     head parsed → receiveHeaders → normalise the path → route → the filters of the chain in their order
 *       → redirect, direct answer or forward → relay → finish
 */
import { taken } from '../net/overload.ts';
import type { ActiveExchange, BodyTaker } from './active-exchange.ts';
import { strippedAuthority } from './authority.ts';
import { runFilters } from './filters/chain.ts';
import { Forwarding } from './forward.ts';
import { localReply } from './local-reply.ts';
import { normalizePath } from './path.ts';
import { receiveHeaders } from './request-headers.ts';
import { resolveRoute } from './resolve-route.ts';
import { routeAnswer } from './route-answer.ts';

export function runPipeline(exchange: ActiveExchange): void {
  const { manager, plane } = exchange;
  if (manager.stripPort !== 'none' || manager.stripTrailingDot)
    exchange.authority = strippedAuthority(exchange.authority, manager, exchange.connection.socketLocal.port);
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

function serve(exchange: ActiveExchange): void {
  const { route } = exchange;
  const answer = routeAnswer(exchange, exchange.manager, exchange.virtualHost, route);
  if (answer === null) {
    new Forwarding(exchange, route!.forward!).start();
    return;
  }
  const { status, body, flag, details, location } = answer;
  if (flag !== '') exchange.addFlag(flag);
  localReply(exchange, status, body, details, location === '' ? null : ['location', location]);
}
