/**
 * Why a request fares as it does: the functions by which the data path decides, asked in its order, without a connection, a
 * counter, a draw or a token taken. What depends on more than the table and the request (a service's answer, a signature, a
 * draw) is told, and the decision goes on as if it were in the request's favour.
 */
import type { FilterChain, Forward, HttpManager, Listener, Route, Table, VirtualHost } from '../config/table.ts';
import { authorize } from '../http/authorize.ts';
import type { RequestFacts } from '../http/facts.ts';
import { isOff, saidOf } from '../http/filters/in-force.ts';
import { normalizePath } from '../http/path.ts';
import { findRoute } from '../http/route.ts';
import { routeAnswer } from '../http/route-answer.ts';
import { matchChain } from '../net/chain-match.ts';
import { handedTo } from '../net/hand-over.ts';
import { chainFactsOf, factsOf } from './facts.ts';
import { decideFilter, policiesTo } from './filters.ts';
import type { Question } from './question.ts';
import type { DecisionTrace } from './trace.ts';

export interface Share {
  readonly cluster: string;
  /** Of all requests, in per cent. */
  readonly percent: number;
  /** The table has it. */
  readonly known: boolean;
}

export type Decision =
  /** The connection is not served; `by` is the listener, filter chain or filter that says so. */
  | { readonly outcome: 'refused'; readonly by: string; readonly why: string }
  /** The proxy answers. `flags` and `details` are those of the access log. */
  | {
      readonly outcome: 'answered';
      readonly by: string;
      readonly status: number;
      readonly flags: string;
      readonly details: string;
      readonly location: string;
    }
  /** `protocol` tcp: as bytes, whatever they are. */
  | {
      readonly outcome: 'forwarded';
      readonly protocol: 'http' | 'tcp';
      readonly by: string;
      readonly clusters: readonly Share[];
      /** Milliseconds; 0 is none. */
      readonly timeoutMs: number;
      readonly retries: number;
      /** Conditions under which it is tried again. */
      readonly retryOn: readonly string[];
    };

/** `trace` null takes down nothing. */
export function decide(table: Table, question: Question, trace: DecisionTrace | null): Decision {
  const listener = listenerFor(table, question);
  if (listener === null) {
    const asked = question.listener || `port ${question.port}`;
    trace?.note('listener', asked, 'missing', `there are ${[...table.listeners.keys()].join(', ') || 'none'}`);
    return { outcome: 'refused', by: asked, why: 'no listener' };
  }
  trace?.note('listener', listener.name, 'taken', `${listener.address.host}:${listener.address.port}`);
  const chain = matchChain(listener, chainFactsOf(question));
  if (chain === null) {
    trace?.note('filter chain', '', 'none matches', chainsOf(listener));
    return { outcome: 'refused', by: listener.name, why: 'no filter chain matches' };
  }
  trace?.note('filter chain', chain.name, 'taken', chain === listener.defaultChain ? 'the default' : '');
  if (chain.tls?.requireClientCertificate && question.principal === '') {
    trace?.note('filter chain', chain.name, 'refuses', 'the client must show a certificate');
    return { outcome: 'refused', by: chain.name, why: 'the client showed no certificate' };
  }
  const bare = factsOf(question, listener, chain, null);
  const allowed = authorize(chain.networkRbac, bare, trace && policiesTo(trace));
  if (!allowed.allowed) {
    trace?.note('network filter', 'rbac', 'refuses', allowed.detail);
    return { outcome: 'refused', by: allowed.policy || 'rbac', why: allowed.detail };
  }
  if (chain.networkRbac.length > 0) trace?.note('network filter', 'rbac', 'allows', allowed.policy);
  if (chain.tcp !== null) return relayed(table, question, chain, trace);
  if (chain.http === null)
    return { outcome: 'answered', by: chain.name, status: 0, flags: '', details: '', location: '' };
  return decideRequest(table, question, listener, chain, chain.http, trace);
}

function decideRequest(
  table: Table,
  question: Question,
  listener: Listener,
  chain: FilterChain,
  manager: HttpManager,
  trace: DecisionTrace | null,
): Decision {
  const answered = (by: string, status: number, flags: string, details: string, location = ''): Decision => ({
    outcome: 'answered',
    by,
    status,
    flags,
    details,
    location,
  });
  const normalized = normalizePath(question.path, manager);
  if (normalized === null) {
    trace?.note('path', question.path, 'refused', 'it has no normal form');
    return answered(chain.name, 400, '', 'path_normalization_failed');
  }
  if (normalized.redirect) return answered(chain.name, 307, '', 'path_normalization_redirect', normalized.path);
  if (normalized.path !== question.path) trace?.note('path', question.path, 'normalised', normalized.path);
  const facts = factsOf({ ...question, path: normalized.path }, listener, chain, manager);
  const { host, route } = routeFor(table, manager, facts, trace);
  for (const filter of manager.filters) {
    const said = saidOf(route?.filters, filter);
    if (isOff(filter, said)) {
      trace?.note('filter', filter.name, 'off', said === null ? 'by the chain' : 'by the route');
      continue;
    }
    const refusal = decideFilter(filter, said, facts, route, trace);
    if (refusal === null) continue;
    trace?.note('filter', filter.name, 'answers', `${refusal.status} ${refusal.details}`);
    return answered(filter.name, refusal.status, refusal.flags, refusal.details);
  }
  const own = routeAnswer(facts, manager, host, route);
  const by = route === null ? manager.routeName : nameOf(route, host);
  if (own !== null) {
    trace?.note('action', by, 'answers', `${own.status} ${own.details} ${own.location}`.trim());
    return answered(by, own.status, own.flag, own.details, own.location);
  }
  return forwarded(table, facts, by, route!.forward!, trace);
}

function routeFor(table: Table, { routeName }: HttpManager, facts: RequestFacts, trace: DecisionTrace | null) {
  const routes = table.routeTables.get(routeName);
  const found =
    routes === undefined
      ? null
      : findRoute(
          routes,
          facts,
          trace && {
            host: (name, by) => trace.note('virtual host', name ?? '', name === null ? 'none' : 'taken', by),
            route: (route, outcome, detail) =>
              trace.note(
                'route',
                route.origin || route.name || patternOf(route),
                outcome === 'taken' ? 'taken' : 'passed over',
                outcome === 'taken' ? patternOf(route) : `${outcome} ${detail}`,
              ),
          },
        );
  return { host: found?.host ?? null, route: found?.route ?? null };
}

function forwarded(
  table: Table,
  facts: RequestFacts,
  by: string,
  forward: Forward,
  trace: DecisionTrace | null,
): Decision {
  const named = forward.clusterHeader === null ? null : facts.header(forward.clusterHeader);
  const weighted =
    forward.clusterHeader === null ? forward.clusters : named === null ? [] : [{ cluster: named, weight: 1 }];
  const clusters = sharesOf(table, weighted);
  for (const { cluster, percent, known } of clusters)
    trace?.note('action', by, 'forwards', `${percent} % to ${cluster}${known ? '' : ', which is unknown'}`);
  if (!clusters.some(({ known, percent }) => known && percent > 0))
    return {
      outcome: 'answered',
      by,
      status: forward.clusterNotFoundStatus,
      flags: 'NC',
      details: 'cluster_not_found',
      location: '',
    };
  const { timeoutMs, retry } = forward;
  return {
    outcome: 'forwarded',
    protocol: 'http',
    by,
    clusters,
    timeoutMs,
    retries: retry?.retries ?? 0,
    retryOn: [...(retry?.on ?? [])],
  };
}

function relayed(table: Table, question: Question, { name, tcp }: FilterChain, trace: DecisionTrace | null): Decision {
  const { clusterBySni, clusters: weighted } = tcp!;
  const clusters = sharesOf(
    table,
    clusterBySni && question.sni !== '' ? [{ cluster: question.sni, weight: 1 }] : weighted,
  );
  for (const { cluster, percent } of clusters) trace?.note('action', name, 'relays', `${percent} % to ${cluster}`);
  return { outcome: 'forwarded', protocol: 'tcp', by: name, clusters, timeoutMs: 0, retries: 0, retryOn: [] };
}

function sharesOf(table: Table, weighted: ReadonlyArray<{ cluster: string; weight: number }>): Share[] {
  const sum = weighted.reduce((total, { weight }) => total + weight, 0);
  return weighted.map(({ cluster, weight }) => ({
    cluster,
    percent: sum === 0 ? 0 : Math.round((weight / sum) * 10_000) / 100,
    known: table.clusters.has(cluster),
  }));
}

/** By name, or the one that takes what comes in at the port, redirected traffic as it is handed over. */
function listenerFor(table: Table, { listener: name, port, destination }: Question): Listener | null {
  if (name !== '') return table.listeners.get(name) ?? null;
  const all = [...table.listeners.values()];
  const direct = all.find((listener) => listener.address.port === port);
  if (direct !== undefined) return direct;
  const to = { ip: destination, port };
  for (const accepting of all) {
    if (!accepting.useOriginalDst) continue;
    const taken = handedTo(table, accepting, to, { ip: '', port: accepting.address.port });
    if (taken !== accepting) return taken;
  }
  return all.find(({ useOriginalDst, direction }) => useOriginalDst && direction !== 'inbound') ?? null;
}

const chainsOf = ({ chains }: Listener): string => `there are ${chains.map(({ name }) => name).join(', ')}`;

const nameOf = (route: Route, host: VirtualHost | null): string => route.name || route.origin || (host?.name ?? '');

function patternOf({ match }: Route): string {
  const { path } = match;
  return path.kind === 'connect' ? 'CONNECT' : `${path.kind} ${path.value}`;
}
