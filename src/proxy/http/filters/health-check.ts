/** Answers a balancer's health checks, or lets them through to the application (Envoy's health check filter). */
import type { HeaderMutation, HealthCheckFilter } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { localReply } from '../local-reply.ts';
import { headersMatch } from '../match.ts';
import type { Outcome } from './place.ts';

export function runHealthCheck(exchange: ActiveExchange, config: HealthCheckFilter): Outcome {
  const { plane } = exchange;
  if (!headersMatch(config.headers, exchange)) {
    if (plane.unhealthy) exchange.changeResponse(setting('x-envoy-immediate-health-check-fail', 'true'));
    return 'goOn';
  }
  exchange.healthCheck = true;
  exchange.changeResponse(setting('x-envoy-upstream-healthchecked-cluster', plane.node.cluster));
  if (config.passThrough && !plane.unhealthy) return 'goOn';
  const status = plane.unhealthy || !clustersAreHealthy(exchange, config) ? 503 : 200;
  if (status !== 200) exchange.addFlag('LH');
  localReply(exchange, status, '', plane.unhealthy ? 'health_check_failed' : 'health_check_ok');
  return 'ended';
}

const setting = (name: string, value: string): HeaderMutation => ({
  add: [{ name, value, keepEmpty: true, action: 'overwrite' }],
  remove: [],
});

function clustersAreHealthy({ plane }: ActiveExchange, { minHealthy }: HealthCheckFilter): boolean {
  for (const [name, percent] of minHealthy) {
    const pool = plane.pool(name);
    if (pool === null) return false;
    let total = 0;
    let healthy = 0;
    for (const host of pool.members()) {
      total++;
      if (host.usable() && host.ejectedUntilTick <= output.tick) healthy++;
    }
    if (total === 0 ? percent !== 0 : healthy < (total * percent) / 100) return false;
  }
  return true;
}
