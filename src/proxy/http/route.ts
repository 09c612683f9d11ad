/** The routing decision: a pure function of the table and the request's facts. */
import type { Route, RouteMatch, RouteTable, VirtualHost } from '../config/table.ts';
import { isGrpcContentType } from '../telemetry/grpc-status.ts';
import type { RequestFacts } from './facts.ts';
import { matchesHeader, matchesPath, pathOnly, queryParameters } from './match.ts';

/** Takes down why each candidate was passed over; null in production. */
export interface RouteTrace {
  host(name: string | null, by: string): void;
  route(route: Route, outcome: MatchOutcome, detail: string): void;
}

export type MatchOutcome = 'taken' | 'path' | 'header' | 'query' | 'fraction' | 'grpc';

/** The authority's host without its port, in lower case; an IPv6 literal keeps its brackets. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':');
  // A literal's own colons stand before its bracket; anything else behind the last colon is no part of the name.
  if (colon < 0 || authority.indexOf(']', colon) >= 0) return authority;
  return authority.slice(0, colon);
}

/** The last authority that was looked up without a trace: a sidecar's requests mostly name the same one. */
let lastTable: RouteTable | null = null;
let lastAuthority = '';
let lastHost: VirtualHost | null = null;

function cachedHost(table: RouteTable, authority: string): VirtualHost | null {
  if (table !== lastTable || authority !== lastAuthority) {
    lastHost = findHost(table, authority);
    lastTable = table;
    lastAuthority = authority;
  }
  return lastHost;
}

/** Envoy's search order: exact, the longest `*.suffix`, the longest `prefix.*`, `*`. A star stands for at least one character. */
export function findHost(table: RouteTable, authority: string, trace: RouteTrace | null = null): VirtualHost | null {
  const { byDomain } = table;
  const host = (byDomain.ignorePort ? withoutPort(authority) : authority).toLowerCase();
  const exact = byDomain.exact.get(host);
  if (exact) return told(exact, 'its exact name', trace);
  for (const [suffix, candidate] of byDomain.suffixes)
    if (host.length > suffix.length && host.endsWith(suffix)) return told(candidate, `*${suffix}`, trace);
  for (const [prefix, candidate] of byDomain.prefixes)
    if (host.length > prefix.length && host.startsWith(prefix)) return told(candidate, `${prefix}*`, trace);
  return told(byDomain.any, '*', trace);
}

function told(host: VirtualHost | null, by: string, trace: RouteTrace | null): VirtualHost | null {
  trace?.host(host?.name ?? null, by);
  return host;
}

export interface FoundRoute {
  readonly host: VirtualHost;
  readonly route: Route;
}

/** The virtual host of the authority and its first route, in the order of the configuration, of which everything matches. */
export function findRoute(table: RouteTable, facts: RequestFacts, trace: RouteTrace | null = null): FoundRoute | null {
  const host = trace === null ? cachedHost(table, facts.authority) : findHost(table, facts.authority, trace);
  const route = host && firstRoute(host, facts, trace);
  return host && route ? { host, route } : null;
}

function firstRoute(host: VirtualHost, facts: RequestFacts, trace: RouteTrace | null): Route | null {
  const path = pathOnly(facts.path);
  for (const route of host.routes) {
    const outcome = matchOutcome(route.match, facts, path);
    trace?.route(route, outcome, outcome === 'taken' ? '' : missed);
    if (outcome === 'taken') return route;
  }
  return null;
}

/** What the last match failed on. */
let missed = '';
/** The query that was taken apart last: many routes may look at one. */
let lastPath = '';
let lastQuery: ReadonlyMap<string, string> = new Map();

function matchOutcome(match: RouteMatch, facts: RequestFacts, path: string): MatchOutcome {
  if (!matchesPath(match, path, facts.method)) {
    missed = path;
    return 'path';
  }
  for (const header of match.headers)
    if (!matchesHeader(header, facts)) {
      missed = header.name;
      return 'header';
    }
  for (const parameter of match.query) {
    if (lastPath !== facts.path) {
      lastQuery = queryParameters(facts.path);
      lastPath = facts.path;
    }
    const value = lastQuery.get(parameter.name);
    if (value === undefined || parameter.match?.test(value) === false) {
      missed = parameter.name;
      return 'query';
    }
  }
  if (match.grpcOnly && !isGrpcContentType(facts.header('content-type'))) {
    missed = facts.header('content-type') ?? '';
    return 'grpc';
  }
  if (match.fractionMillionths < 1_000_000 && facts.random >= match.fractionMillionths) {
    missed = `${match.fractionMillionths}`;
    return 'fraction';
  }
  return 'taken';
}

/** Whether everything of a match holds. */
export const matchesRoute = (match: RouteMatch, facts: RequestFacts): boolean =>
  matchOutcome(match, facts, pathOnly(facts.path)) === 'taken';
