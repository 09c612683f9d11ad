/**
 * Which match of all routes on a host is tried first: the more exact path, the longer one, a method, more headers, more query parameters; then
 * the older route, the earlier name, the earlier rule (https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule). The specification
 * leaves regular expressions open; they come after exact paths, so that a prefix of one character does not hide them.
 */
import type { RouteResource } from '../../api/gateway/routes.ts';
import type { HttpMatchRequest, HttpRoute } from '../../api/istio/virtual-service.ts';
import { compare } from '../model/selector.ts';

/** One match of one rule, as Istio's API says it. */
export interface Entry {
  readonly route: RouteResource;
  /** Place of the match among all of its route. */
  readonly order: number;
  readonly match: HttpMatchRequest;
  readonly rule: HttpRoute;
}

export function byPrecedence(a: Entry, b: Entry): number {
  const [x, y] = [rankOf(a.match), rankOf(b.match)];
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return y[i] - x[i];
  const [one, other] = [a.route.metadata, b.route.metadata];
  return (
    compare(one.creationTimestamp ?? '', other.creationTimestamp ?? '') ||
    compare(`${one.namespace}/${one.name}`, `${other.namespace}/${other.name}`) ||
    a.order - b.order
  );
}

function rankOf({ uri, method, headers, queryParams }: HttpMatchRequest): number[] {
  const { exact, regex, prefix = '' } = uri ?? {};
  const path = exact !== undefined ? 3 : regex !== undefined ? 2 : prefix.length > 1 ? 1 : 0;
  const length = exact?.length ?? regex?.length ?? prefix.length;
  const count = (matches: object | undefined) => Object.keys(matches ?? {}).length;
  return [path, length, method ? 1 : 0, count(headers), count(queryParams)];
}
