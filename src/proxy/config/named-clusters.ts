import type { FilterChain, Listener, RouteTable } from './table.ts';

const ofRoutes = new WeakMap<RouteTable, ReadonlySet<string>>();

/** The clusters that routes may send requests to, those named by a header left out. */
export function clustersOfRoutes(table: RouteTable): ReadonlySet<string> {
  let names = ofRoutes.get(table);
  if (names === undefined) {
    const made = new Set<string>();
    for (const { routes } of table.hosts)
      for (const { forward } of routes) for (const { cluster } of forward?.clusters ?? []) made.add(cluster);
    names = made;
    ofRoutes.set(table, names);
  }
  return names;
}

export const chainsOf = ({ chains, defaultChain }: Listener): readonly FilterChain[] =>
  defaultChain === null ? chains : [...chains, defaultChain];

/** The clusters that a listener's connections and requests may go to, by the routes of `routeTables`. */
export function clustersOfListener(
  listener: Listener,
  routeTables: { get(name: string): RouteTable | undefined },
): Set<string> {
  const names = new Set<string>();
  for (const { tcp, http } of chainsOf(listener)) {
    for (const { cluster } of tcp?.clusters ?? []) names.add(cluster);
    const routes = http === null ? undefined : routeTables.get(http.routeName);
    if (routes !== undefined) for (const name of clustersOfRoutes(routes)) names.add(name);
  }
  return names;
}
