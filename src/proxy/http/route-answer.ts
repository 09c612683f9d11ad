/** What a route answers by itself: a pure function of the route and the request's facts. */
import type { HttpManager, Route, VirtualHost } from '../config/table.ts';
import { fromInside } from './client-address.ts';
import type { RequestFacts } from './facts.ts';
import { redirectLocation } from './redirect.ts';

export interface RouteAnswer {
  readonly status: number;
  readonly body: string | Buffer;
  /** Response flag; ''. */
  readonly flag: string;
  /** %RESPONSE_CODE_DETAILS%. */
  readonly details: string;
  /** '' for none. */
  readonly location: string;
}

const answer = (status: number, details: string, more: Partial<RouteAnswer> = {}): RouteAnswer => ({
  status,
  body: '',
  flag: '',
  details,
  location: '',
  ...more,
});

/** Null when the request is to be forwarded as `route.forward` says. */
export function routeAnswer(
  facts: RequestFacts,
  manager: HttpManager,
  host: VirtualHost | null,
  route: Route | null,
): RouteAnswer | null {
  if (route === null || host === null) return answer(404, 'route_not_found', { flag: 'NR' });
  const { requireTls } = host;
  const needsTls =
    requireTls === 'all' ||
    (requireTls === 'externalOnly' && !fromInside({ client: facts.client, source: facts.source, manager }));
  if (needsTls && facts.scheme !== 'https')
    return answer(301, 'direct_response', { location: `https://${facts.authority.replace(/:\d+$/, '')}${facts.path}` });
  if (facts.method === 'CONNECT' && !(route.forward?.upgrades ?? manager.upgrades).has('connect'))
    return answer(403, 'upgrade_failed');
  if (route.redirect !== null)
    return answer(route.redirect.status, 'direct_response', {
      location: redirectLocation(facts, route, route.redirect),
    });
  if (route.direct === null) return null;
  const { status, body } = route.direct;
  // Envoy says where what was created is: here.
  const location = status === 201 ? `${facts.scheme}://${facts.authority}${facts.path}` : '';
  return answer(status, 'direct_response', { body, location });
}
