import type { HeaderMutations, MutationFilter } from '../../config/table.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { mutateRequest } from '../mutation.ts';

/** The chain's own changes, then those of the route's levels, the most specific first unless it is to have the last word. */
export function runHeaderMutation(
  exchange: ActiveExchange,
  { mutations, specificWins }: MutationFilter,
  levels: readonly HeaderMutations[],
): void {
  const order = [mutations, ...(specificWins ? levels.toReversed() : levels)];
  for (const { request } of order) for (const step of request) mutateRequest(step, exchange);
  const response = order.flatMap((one) => one.response);
  // Each goes before those that are there.
  for (const step of response.reverse()) exchange.changeResponse(step);
}
