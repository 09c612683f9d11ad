/** Warnings of routes that no request can reach, because earlier ones take everything. */
import { below, type Report } from '../../schema/problem.ts';
import type { HttpMatchRequest, VirtualServiceSpec } from '../virtual-service.ts';

interface Route {
  name?: string;
  match?: unknown[];
}

export function warnOfUnreachable(report: Report, spec: VirtualServiceSpec): void {
  for (const field of ['http', 'tls', 'tcp'] as const) {
    const routes: readonly Route[] = spec[field] ?? [];
    const taken = new Map<string, number>();
    let catchAll: number | null = null;
    routes.forEach((route, i) => {
      const at = below(report, 'spec', field, i);
      if (catchAll !== null) {
        at.warning(
          [],
          `is never reached: ${called(routes[catchAll], catchAll)} before it takes everything`,
          'unreachable',
        );
        return;
      }
      if (!route.match?.length) {
        catchAll = i;
        return;
      }
      let repeated = 0;
      route.match.forEach((match, j) => {
        const key = identity(match);
        const first = taken.get(key);
        if (first === undefined) taken.set(key, i);
        else {
          repeated++;
          at.warning(
            ['match', j],
            `is never reached: ${called(routes[first], first)} has the same match`,
            'unreachable',
          );
        }
      });
      if (repeated === route.match.length)
        at.warning([], 'is never reached: earlier routes have all its matches', 'unreachable');
    });
  }
  warnOfCoveredPrefixes(report, spec);
}

function called(route: Route, i: number): string {
  return route.name ? `route "${route.name}"` : `route ${i}`;
}

/** Equal for matches that differ in nothing but their name and the order of their fields. */
function identity(match: unknown): string {
  const sorted = (value: unknown): unknown =>
    typeof value !== 'object' || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, child]) => [key, sorted(child)]),
        );
  const { name: _, ...conditions } = match as HttpMatchRequest;
  return JSON.stringify(sorted(conditions));
}

const maxCompared = 200;

/** A prefix hides every later, longer prefix when nothing else is asked for. */
function warnOfCoveredPrefixes(report: Report, { http = [] }: VirtualServiceSpec): void {
  const prefixes: Array<{ prefix: string; i: number }> = [];
  http.forEach((route, i) => {
    route.match?.forEach((match, j) => {
      const prefix = match.uri?.prefix;
      if (!prefix) return;
      const cover = prefixes.find(
        (earlier) => earlier.i !== i && prefix !== earlier.prefix && prefix.startsWith(earlier.prefix),
      );
      if (cover)
        report.warning(
          ['spec', 'http', i, 'match', j, 'uri', 'prefix'],
          `is never reached: ${called(http[cover.i], cover.i)} takes every path that begins with "${cover.prefix}"`,
          'unreachable',
        );
      const asksForMore = Object.keys(match).some(
        (field) => !['uri', 'name', 'statPrefix', 'ignoreUriCase'].includes(field),
      );
      if (!asksForMore && prefixes.length < maxCompared) prefixes.push({ prefix, i });
    });
  });
}
