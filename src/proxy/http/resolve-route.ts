import type { ActiveExchange } from './active-exchange.ts';
import { findRoute } from './route.ts';
import { chooseCluster } from './weighted.ts';

/** Settles which route takes the request as it is now; none when there is none. */
export function resolveRoute(exchange: ActiveExchange): void {
  const routes = exchange.plane.table.routeTables.get(exchange.manager.routeName);
  const found = routes === undefined ? null : findRoute(routes, exchange);
  exchange.virtualHost = found?.host ?? null;
  exchange.route = found?.route ?? null;
  const forward = found?.route.forward;
  // Its filters are to be known before they run.
  exchange.weighted = forward?.clustersHaveFilters ? chooseCluster(exchange, forward) : null;
}
