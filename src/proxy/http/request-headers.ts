import { HeaderBlock } from '../codec/header-block.ts';
import { edit, type HeaderEdit } from '../codec/header-edit.ts';
import { idSet, knownId } from '../codec/header-names.ts';
import type { Forward, HttpManager, Route, VirtualHost, WeightedCluster } from '../config/table.ts';
import type { PeerIdentity } from '../net/connection.ts';
import { output } from '../net/output.ts';
import { injectTrace } from '../telemetry/trace.ts';
import type { RequestHead } from '../upstream/upstream-call.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { writeGrpcTimeout } from './allowance.ts';
import { clientAddress, fromInside } from './client-address.ts';
import { pathOnly } from './match.ts';
import { mutate } from './mutation.ts';
import { makeRequestId } from './request-id.ts';

/** Of one hop only (RFC 9110 §7.6.1), or written anew. */
const neverSent = idSet(
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'http2-settings',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-internal',
  'x-envoy-overloaded',
);
/** Passed on only from callers inside the mesh. */
const fromInsideOnly = idSet('x-envoy-force-trace', 'x-envoy-ip-tags', 'x-envoy-original-url');
/** Taken from callers beyond the edge, which have no say in them. */
const notFromOutside = idSet(
  'x-envoy-external-address',
  'x-envoy-original-path',
  'x-envoy-original-host',
  'x-envoy-attempt-count',
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
);
/** A Connection header cannot take these away. */
const notNominable = new Set([
  'host',
  'content-length',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-client-cert',
  'x-request-id',
  'authorization',
  'cookie',
]);

const connectionId = knownId('connection');
const teId = knownId('te');
const expectId = knownId('expect');
const requestIdId = knownId('x-request-id');
const forwardedForId = knownId('x-forwarded-for');
const forwardedProtoId = knownId('x-forwarded-proto');
const forwardedPortId = knownId('x-forwarded-port');
const clientCertId = knownId('x-forwarded-client-cert');
const attemptCountId = knownId('x-envoy-attempt-count');

/** Settles, before any rule reads them, who the caller is and what the request is called. */
export function receiveHeaders(exchange: ActiveExchange): void {
  const { manager, request, connection } = exchange;
  const forwardedFor = request.find(forwardedForId) < 0 ? null : request.get('x-forwarded-for');
  if (forwardedFor !== null)
    exchange.client = clientAddress(
      connection.remote,
      forwardedFor,
      manager.useRemoteAddress,
      manager.xffNumTrustedHops,
    );
  const protoAt = request.find(forwardedProtoId);
  if (protoAt >= 0 && !manager.useRemoteAddress) {
    const proto = request.value(protoAt);
    if (proto === 'https' || proto === 'http') exchange.scheme = proto;
  }
  const idAt = request.find(requestIdId);
  if (
    manager.generateRequestId &&
    (idAt < 0 || (manager.useRemoteAddress && !manager.preserveExternalRequestId && !fromInside(exchange)))
  ) {
    exchange.requestId = makeRequestId();
  }
}

/** One element of x-forwarded-client-cert (Envoy's documented syntax). */
export function clientCertElement(manager: HttpManager, own: string, peer: PeerIdentity): string {
  const { clientCertDetails: details } = manager;
  const parts: string[] = [];
  if (own !== '') parts.push(`By=${own}`);
  parts.push(`Hash=${peer.fingerprint}`);
  if (details.subject) parts.push(`Subject="${peer.subject.replaceAll('"', '\\"')}"`);
  if (details.uri) for (const uri of peer.uriSans.length === 0 ? [''] : peer.uriSans) parts.push(`URI=${uri}`);
  if (details.dns) for (const name of peer.dnsSans) parts.push(`DNS=${name}`);
  return parts.join(';');
}

function editClientCert(exchange: ActiveExchange): void {
  const { manager, request, connection } = exchange;
  const at = request.find(clientCertId);
  const how = manager.forwardClientCert;
  if (how === 'alwaysForwardOnly' || (how === 'forwardOnly' && connection.mtls)) return;
  const before = at < 0 ? null : edit.get('x-forwarded-client-cert');
  if (at >= 0) edit.remove('x-forwarded-client-cert');
  if (!connection.mtls || connection.peer === null || (how !== 'appendForward' && how !== 'sanitizeSet')) return;
  const element = clientCertElement(manager, connection.ownPrincipal, connection.peer);
  edit.add('x-forwarded-client-cert', how === 'appendForward' && before !== null ? `${before},${element}` : element);
}

/** Removes what Connection names besides the usual options. */
function dropNominated(exchange: ActiveExchange, edit: HeaderEdit): void {
  const { request } = exchange;
  for (let i = request.find(connectionId); i >= 0; i = request.find(connectionId, i + 1)) {
    for (const option of request.value(i).toLowerCase().split(',')) {
      const name = option.trim();
      if (name !== '' && name !== 'te' && !notNominable.has(name)) edit.remove(name);
    }
  }
}

/** The path to send, rewritten as the route says; the query stays. */
export function rewrittenPath(path: string, route: Route, forward: Forward): string {
  const { prefixRewrite, regexRewrite } = forward;
  if (prefixRewrite === null && regexRewrite === null) return path;
  const queryAt = path.indexOf('?');
  const bare = queryAt < 0 ? path : path.slice(0, queryAt);
  const query = queryAt < 0 ? '' : path.slice(queryAt);
  if (regexRewrite !== null) return regexRewrite.replace(bare) + query;
  const { path: match } = route.match;
  const matched = match.kind === 'regex' || match.kind === 'connect' ? bare.length : match.value.length;
  return prefixRewrite! + bare.slice(matched) + query;
}

function editForwarded(exchange: ActiveExchange): void {
  const { manager, request, connection } = exchange;
  if (manager.useRemoteAddress) {
    if (!manager.skipXffAppend) edit.join('x-forwarded-for', connection.remote.ip, ',');
    if (!(manager.xffNumTrustedHops > 0 && request.find(forwardedProtoId) >= 0))
      edit.set('x-forwarded-proto', connection.tls ? 'https' : 'http');
    if (manager.appendForwardedPort && request.find(forwardedPortId) < 0)
      edit.add('x-forwarded-port', String(connection.local.port));
    if (fromInside(exchange)) edit.add('x-envoy-internal', 'true');
    else {
      for (let i = 0; i < request.count; i++) if (notFromOutside[request.ids[i]] === 1) edit.skip(i);
      if (!manager.suppressEnvoyHeaders) edit.set('x-envoy-external-address', exchange.client.ip);
    }
  } else {
    if (request.find(forwardedProtoId) < 0) edit.add('x-forwarded-proto', connection.tls ? 'https' : 'http');
    if (manager.internalRanges.length > 0 && fromInside(exchange)) edit.add('x-envoy-internal', 'true');
  }
}

/** What is left of the route's time when another attempt begins, whole milliseconds. */
function leftOf({ attempts, requestEndTick, timeoutMs }: ActiveExchange): number {
  if (attempts <= 1 || timeoutMs <= 0 || requestEndTick < 0) return timeoutMs;
  return Math.max(1, timeoutMs - Math.floor(output.tick - requestEndTick));
}

function noteRequest(exchange: ActiveExchange, name: string, value: string): void {
  exchange.noteRequestHeader(name, value);
}

/** What an attempt sends: filled by `editRequest`, used up by the next call's `sendHead`. */
export const outgoing: { -readonly [K in keyof RequestHead]: RequestHead[K] } = {
  method: '',
  scheme: 'http',
  authority: '',
  path: '',
  block: new HeaderBlock(),
  edit,
  framing: 'none',
  upgrade: '',
};

/** Prepares `edit` with what the proxy itself changes, whichever way the request goes: hop by hop fields, who the caller is. */
function editReceived(exchange: ActiveExchange): void {
  const { manager, request } = exchange;
  edit.begin(request);
  let te = -1;
  for (let i = 0; i < request.count; i++) {
    const id = request.ids[i];
    if (id === 0) continue;
    if (id === teId) te = i;
    if (neverSent[id] === 1 || (id === expectId && request.expectContinue)) edit.skip(i);
    // The address of before a redirect is of the proxy's own making.
    else if (fromInsideOnly[id] === 1 && exchange.redirects === 0 && !fromInside(exchange)) edit.skip(i);
  }
  if (manager.underscores === 'drop')
    for (let i = 0; i < request.count; i++) if (request.nameHasUnderscore(i)) edit.skip(i);
  if (request.nominates) dropNominated(exchange, edit);
  if (manager.via !== '') edit.join('via', manager.via, ', ');
  // `te: trailers` alone means something beyond this hop (RFC 9110 §10.1.4).
  if (te >= 0 && request.value(te).toLowerCase().includes('trailers')) edit.add('te', 'trailers');
  editForwarded(exchange);
  editClientCert(exchange);
}

/** The request's head as filters and services are to see it, names in lower case, pseudo-headers first. */
export function visibleHeaders(exchange: ActiveExchange): Array<readonly [name: string, value: string]> {
  const { request } = exchange;
  editReceived(exchange);
  if (exchange.requestId !== '') edit.set('x-request-id', exchange.requestId);
  const headers: Array<readonly [string, string]> = [
    [':authority', exchange.authority],
    [':method', exchange.method],
    [':path', exchange.path],
    [':scheme', exchange.scheme],
  ];
  for (let i = 0; i < request.count; i++)
    if (i !== request.host && !edit.skips(i)) headers.push([request.name(i).toLowerCase(), request.value(i)]);
  for (let i = 0; i < edit.count; i++) headers.push([edit.names[i], edit.values[i]]);
  return headers;
}

/**
 * Prepares `edit` with what this attempt's head has different from the caller's, in the order of Envoy's connection
 * manager and router: forwarded-for and identity first, then rewriting, then the route's own changes from the most
 * specific level outwards.
 */
export function editRequest(
  exchange: ActiveExchange,
  virtualHost: VirtualHost,
  route: Route,
  forward: Forward,
  weighted: WeightedCluster,
  upstreamName: string,
): void {
  const { manager, request } = exchange;
  editReceived(exchange);
  if (virtualHost.includeAttemptCount)
    for (let i = request.find(attemptCountId); i >= 0; i = request.find(attemptCountId, i + 1)) edit.skip(i);
  // Before the request's id is written: the decision to trace is part of it.
  if (manager.tracing !== null) injectTrace(exchange, manager.tracing, edit);
  if (exchange.requestId !== '') edit.set('x-request-id', exchange.requestId);
  const expectedMs = exchange.perTryTimeoutMs || leftOf(exchange);
  if (!manager.suppressEnvoyHeaders && expectedMs > 0) edit.add('x-envoy-expected-rq-timeout-ms', String(expectedMs));
  if (forward.grpcMaxTimeoutMs !== null && expectedMs > 0 && exchange.grpc)
    edit.set('grpc-timeout', writeGrpcTimeout(expectedMs));
  if (virtualHost.includeAttemptCount) edit.add('x-envoy-attempt-count', String(exchange.attempts));

  const path = rewrittenPath(exchange.path, route, forward);
  const hostRewrite =
    weighted.hostRewrite ??
    forward.hostRewrite ??
    (forward.hostRewriteHeader === null ? null : exchange.header(forward.hostRewriteHeader) || null) ??
    (forward.hostRewritePath === null ? null : forward.hostRewritePath.replace(pathOnly(exchange.path))) ??
    (forward.autoHostRewrite && upstreamName !== '' ? upstreamName : null);
  let authority = hostRewrite ?? exchange.authority;
  if (!manager.suppressEnvoyHeaders) {
    if (authority !== exchange.authority) edit.set('x-envoy-original-host', exchange.authority);
    if (path !== exchange.path || forward.regexRewrite !== null) edit.set('x-envoy-original-path', exchange.path);
  }
  if (path !== exchange.path) exchange.noteRequestHeader('x-envoy-original-path', exchange.path);
  if (authority !== exchange.authority) exchange.noteRequestHeader('x-envoy-original-host', exchange.authority);
  if (forward.appendXForwardedHost && authority !== exchange.authority)
    edit.join('x-forwarded-host', exchange.authority, ',');
  const { specificWins } = virtualHost;
  mutate((specificWins ? virtualHost : weighted).requestHeaders, edit, exchange, noteRequest);
  mutate(route.requestHeaders, edit, exchange, noteRequest);
  mutate((specificWins ? weighted : virtualHost).requestHeaders, edit, exchange, noteRequest);
  const named = addedHost();
  if (named !== null) {
    authority = named;
    edit.removeAdded(':authority');
    edit.removeAdded('host');
  }
  outgoing.method = exchange.method;
  outgoing.scheme = exchange.scheme;
  exchange.sentPath = path;
  exchange.sentAuthority = authority;
  outgoing.path = path;
  outgoing.authority = authority;
  outgoing.block = request;
  outgoing.framing = exchange.requestFraming;
  outgoing.upgrade = '';
}

/** A route's header changes may name the host themselves, under either name. */
function addedHost(): string | null {
  for (let i = 0; i < edit.count; i++)
    if (edit.names[i] === ':authority' || edit.names[i] === 'host') return edit.values[i];
  return null;
}
