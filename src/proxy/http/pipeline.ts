/**
 * The way of a request, top to bottom. A step that answers by itself ends the exchange.
 *
 *     head parsed → receiveHeaders → normalise the path → authorization → route → route's authorization → fault
 *       → redirect, direct answer or CORS preflight → forward → relay → finish
 */
import type { Fault, Rbac } from '../config/table.ts';
import { output } from '../net/output.ts';
import { taken } from '../net/overload.ts';
import type { ActiveExchange, BodyTaker } from './active-exchange.ts';
import { authorize } from './authorize.ts';
import { preflight } from './cors.ts';
import { finish } from './finish.ts';
import { Forwarding } from './forward.ts';
import { HeldBody } from './held-body.ts';
import { localReply } from './local-reply.ts';
import { matchesHeader } from './match.ts';
import { normalizePath } from './path.ts';
import { redirectLocation } from './redirect.ts';
import { receiveHeaders } from './request-headers.ts';
import { findRoute } from './route.ts';

export function runPipeline(exchange: ActiveExchange): void {
  const { manager, plane } = exchange;
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
    localReply(exchange, 400, '', 'path_normalization_failed');
    return;
  }
  exchange.path = normalized.path;
  if (normalized.redirect) {
    localReply(exchange, 307, '', 'path_normalization_redirect', ['location', normalized.path]);
    return;
  }

  // Before faults and routing, as Istio orders its filters: who may not ask learns nothing more.
  if (refused(exchange, manager.rbac)) return;

  const routes = plane.table.routeTables.get(manager.routeName);
  const found = routes === undefined || exchange.method === 'CONNECT' ? null : findRoute(routes, exchange);
  if (found === null) {
    exchange.addFlag('NR');
    localReply(exchange, 404, '', 'route_not_found');
    return;
  }
  const { host, route } = found;
  exchange.virtualHost = host;
  exchange.route = route;
  if (host.requireTls === 'all' && exchange.scheme !== 'https') {
    localReply(exchange, 301, '', 'direct_response', [
      'location',
      `https://${exchange.authority.replace(/:\d+$/, '')}${exchange.path}`,
    ]);
    return;
  }
  if (route.rbac !== null && refused(exchange, route.rbac)) return;

  const fault = route.fault ?? manager.fault;
  if (fault !== null) {
    injectFault(exchange, fault);
    return;
  }
  serve(exchange);
}

function refused(exchange: ActiveExchange, filters: readonly Rbac[]): boolean {
  if (filters.length === 0) return false;
  const decision = authorize(filters, exchange, null);
  if (decision.allowed) return false;
  localReply(exchange, 403, 'RBAC: access denied', decision.detail);
  return true;
}

function serve(exchange: ActiveExchange): void {
  const route = exchange.route!;
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
  const { cors } = route.forward!;
  const answer = cors === null ? null : preflight(exchange, cors);
  if (answer !== null) {
    localReply(exchange, 200, '', 'cors_preflight', answer);
    return;
  }
  new Forwarding(exchange, route.forward!).start();
}

/** Delay first, then abort (Envoy's fault filter). The share of requests is drawn for each by itself. */
function injectFault(exchange: ActiveExchange, fault: Fault): void {
  if (!fault.headers.every((header) => matchesHeader(header, exchange))) {
    serve(exchange);
    return;
  }
  if (fault.delay !== null && drawn(fault.delay.millionths)) {
    exchange.addFlag('DI');
    new FaultDelay(exchange, fault, fault.delay.ms);
    return;
  }
  abortOrServe(exchange, fault);
}

function abortOrServe(exchange: ActiveExchange, fault: Fault): void {
  if (fault.abort !== null && drawn(fault.abort.millionths)) {
    exchange.addFlag('FI');
    localReply(exchange, fault.abort.status, 'fault filter abort', 'fault_filter_abort');
    return;
  }
  serve(exchange);
}

function drawn(millionths: number): boolean {
  return millionths >= 1_000_000 || Math.random() * 1_000_000 < millionths;
}

/** Keeps a request waiting; what of its body had already been read is handed on afterwards. */
class FaultDelay implements BodyTaker {
  private readonly exchange: ActiveExchange;
  private readonly held = new HeldBody();
  private readonly timer: NodeJS.Timeout;

  constructor(exchange: ActiveExchange, fault: Fault, delayMs: number) {
    this.exchange = exchange;
    exchange.taker = this;
    exchange.stream.pauseRequest();
    this.timer = setTimeout(() => {
      output.turn(() => {
        exchange.taker = null;
        exchange.stream.resumeRequest();
        abortOrServe(exchange, fault);
        const taker = exchange.taker as BodyTaker | null;
        for (const piece of this.held.pieces) taker?.onRequestBody(piece, 0, piece.length);
        if (exchange.requestComplete) taker?.onRequestEnd();
      });
    }, delayMs);
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.held.add(bytes, start, end);
  }

  onRequestEnd(): void {}

  onDownstreamDrain(): void {}

  cancel(): void {
    clearTimeout(this.timer);
  }

  onDownstreamGone(): void {
    clearTimeout(this.timer);
    this.exchange.addFlag('DC');
    this.exchange.details = 'downstream_remote_disconnect';
    finish(this.exchange);
  }
}
