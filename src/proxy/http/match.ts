import type { HeaderMatch, Metadata, RouteMatch } from '../config/table.ts';
import type { RequestFacts } from './facts.ts';

type Headers = Pick<RequestFacts, 'header' | 'headerValues'>;

/**
 * Envoy's rule for a header matcher: of several values of a header each is compared by itself, and one that matches is enough. A
 * missing header matches only as a presence test, or when it is to be taken for an empty one; `invert` turns the result of the
 * comparison around, not that of a missing header.
 */
export function matchesHeader(matcher: HeaderMatch, facts: Headers): boolean {
  const value = facts.header(matcher.name);
  if (matcher.kind === 'present') return (value !== null) !== matcher.invert;
  if (value === null && !matcher.treatMissingAsEmpty) return false;
  return matchesAny(matcher, value ?? '', facts) !== matcher.invert;
}

function matchesAny(matcher: HeaderMatch, value: string, facts: Headers): boolean {
  if (!value.includes(',')) return matchesValue(matcher, value);
  for (const single of facts.headerValues(matcher.name)) if (matchesValue(matcher, single)) return true;
  return false;
}

export function headersMatch(matchers: readonly HeaderMatch[], facts: Headers): boolean {
  for (const matcher of matchers) if (!matchesHeader(matcher, facts)) return false;
  return true;
}

/** What lies at a path of a filter's metadata; undefined when nothing does. Lists are not walked into. */
export function metadataAt(metadata: Metadata | null, filter: string, path: readonly string[]): unknown {
  let value: unknown = metadata;
  for (let i = -1; i < path.length; i++) {
    const key = i < 0 ? filter : path[i];
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function matchesValue(matcher: HeaderMatch, value: string): boolean {
  if (matcher.kind === 'string') return matcher.match?.test(value) ?? false;
  if (!matcher.range || !/^[+-]?\d{1,19}$/.test(value)) return false;
  const number = Number(value);
  return number >= matcher.range.start && number < matcher.range.end;
}

/** The path without query and fragment. */
export function pathOnly(path: string): string {
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    if (c === 0x3f || c === 0x23) return path.slice(0, i);
  }
  return path;
}

/** `path` has no query; matchers that ignore case were compiled in lower case. */
export function matchesPath(match: RouteMatch, path: string, method: string): boolean {
  const { path: matcher } = match;
  if (matcher.kind === 'regex') return matcher.test(path);
  if (matcher.kind === 'connect') return method === 'CONNECT';
  const given = match.caseSensitive ? path : path.toLowerCase();
  if (matcher.kind === 'exact') return given === matcher.value;
  if (!given.startsWith(matcher.value)) return false;
  return matcher.kind === 'prefix' || given.length === matcher.value.length || given[matcher.value.length] === '/';
}

/** Whether all of these parameters are there and match. */
export function matchesQuery(wanted: RouteMatch['query'], path: string): boolean {
  const given = queryParameters(path);
  return wanted.every(({ name, match }) => {
    const value = given.get(name);
    return value !== undefined && match?.test(value) !== false;
  });
}

/** First value of each parameter, as it was sent: Envoy's routes do not decode it. */
export function queryParameters(path: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const start = path.indexOf('?');
  if (start < 0) return values;
  const end = path.indexOf('#', start);
  for (const pair of path.slice(start + 1, end < 0 ? undefined : end).split('&')) {
    const cut = pair.indexOf('=');
    const name = cut < 0 ? pair : pair.slice(0, cut);
    if (name !== '' && !values.has(name)) values.set(name, cut < 0 ? '' : pair.slice(cut + 1));
  }
  return values;
}
