import type { HttpFilter, RouteFilter, RouteFilters } from '../../config/table.ts';

/** What a route says about a filter; null for nothing. */
export const saidOf = (filters: RouteFilters | null | undefined, filter: HttpFilter): RouteFilter | null =>
  filters?.get(filter.name) ?? null;

/** Whether a filter is passed over for a route. */
export const isOff = (filter: HttpFilter, said: RouteFilter | null): boolean =>
  said === null ? filter.disabled : said.kind === 'disabled';
