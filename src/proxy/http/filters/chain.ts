/** Runs the filters of a request in the order of the chain, and then hands it to whoever answers. */
import type { HttpFilter, RouteFilter } from '../../config/table.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { BufferedRequest } from './buffer.ts';
import { runCors } from './cors.ts';
import { runExtAuthz } from './ext-authz.ts';
import { runFault } from './fault.ts';
import { runHeaderMutation } from './header-mutation.ts';
import { runHealthCheck } from './health-check.ts';
import { isOff, saidOf } from './in-force.ts';
import { runJwt } from './jwt.ts';
import { runLocalRateLimit } from './local-rate-limit.ts';
import type { Outcome, Place } from './place.ts';
import { runRateLimit } from './rate-limit.ts';
import { runRbac } from './rbac.ts';

/** From the filter of this number on; `serve` is what follows the last. */
export function runFilters(exchange: ActiveExchange, from: number, serve: Place['serve']): void {
  const { filters } = exchange.manager;
  for (let next = from; next < filters.length; ) {
    const filter = filters[next++];
    const said = saidOf((exchange.weighted ?? exchange.route)?.filters, filter);
    if (isOff(filter, said)) continue;
    if (runFilter(exchange, filter, said, next, serve) !== 'goOn') return;
  }
  serve(exchange);
}

const goOn = ({ exchange, next, serve }: Place): void => runFilters(exchange, next, serve);

/** `said` is what the route has to say about the filter. */
function runFilter(
  exchange: ActiveExchange,
  { config, statPrefix }: HttpFilter,
  said: RouteFilter | null,
  next: number,
  serve: Place['serve'],
): Outcome {
  switch (config.kind) {
    case 'rbac':
      return runRbac(exchange, statPrefix, said?.kind === 'rbac' ? said.rules : config.rules);
    case 'fault': {
      const fault = said?.kind === 'fault' ? said.fault : config.fault;
      return fault === null ? 'goOn' : runFault({ exchange, goOn, next, serve }, statPrefix, fault);
    }
    case 'cors':
      return said?.kind === 'cors' ? runCors(exchange, statPrefix, said.levels) : 'goOn';
    case 'headerMutation':
      runHeaderMutation(exchange, config, said?.kind === 'headerMutation' ? said.levels : []);
      return 'goOn';
    case 'buffer': {
      const maxBytes = said?.kind === 'buffer' ? said.maxBytes : config.maxBytes;
      if (maxBytes === null || exchange.requestFraming === 'none') return 'goOn';
      new BufferedRequest({ exchange, goOn, next, serve }, maxBytes);
      return 'waits';
    }
    case 'localRateLimit':
      return runLocalRateLimit(exchange, said?.kind === 'localRateLimit' ? said : config);
    case 'rateLimit':
      return runRateLimit({ exchange, goOn, next, serve }, config, said?.kind === 'rateLimit' ? said : null);
    case 'extAuthz':
      return runExtAuthz({ exchange, goOn, next, serve }, statPrefix, config, said?.kind === 'extAuthz' ? said : null);
    case 'jwt':
      return runJwt({ exchange, goOn, next, serve }, statPrefix, config, said?.kind === 'jwt' ? said : null);
    case 'healthCheck':
      return runHealthCheck(exchange, config);
  }
}
