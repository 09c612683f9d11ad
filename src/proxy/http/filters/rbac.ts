/** Role-based access control at its place in the chain; what it decides is in ../authorize.ts. */
import type { Rbac } from '../../config/table.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { authorizeBy, authorizeShadow } from '../authorize.ts';
import { localReply } from '../local-reply.ts';
import type { Outcome } from './place.ts';

const metadataName = 'envoy.filters.http.rbac';

/** Notes what was decided under Envoy's names, in statistics and in the request's metadata (Envoy: RBAC filter, "Dynamic Metadata"). */
export function runRbac(exchange: ActiveExchange, statPrefix: string, rules: readonly Rbac[]): Outcome {
  for (const rbac of rules) {
    if (rbac.shadow !== null) judgeShadow(exchange, statPrefix, rbac);
    if (rbac.action === 'NONE') continue;
    const { allowed, policy, detail } = authorizeBy(rbac, exchange);
    const counters = exchange.plane.statistics.filter(
      statPrefix + rbac.prefix,
      rbac.action === 'LOG' ? 'rbacLog' : 'rbac',
    );
    if (rbac.action === 'LOG') {
      exchange.addMetadata('envoy.common', { access_log_hint: policy !== '' });
      counters[policy === '' ? 'not_logged' : 'logged']++;
    }
    counters[allowed ? 'allowed' : 'denied']++;
    exchange.addMetadata(metadataName, {
      [`${rbac.prefix}enforced_engine_result`]: allowed ? 'allowed' : 'denied',
      ...(policy !== '' && { [`${rbac.prefix}enforced_effective_policy_id`]: policy }),
    });
    if (allowed) continue;
    localReply(exchange, 403, 'RBAC: access denied', detail);
    return 'ended';
  }
  return 'goOn';
}

function judgeShadow(exchange: ActiveExchange, statPrefix: string, rbac: Rbac): void {
  const { prefix } = rbac.shadow!;
  const { allowed, policy } = authorizeShadow(rbac, exchange);
  exchange.plane.statistics.filter(statPrefix + prefix, 'rbacShadow')[allowed ? 'shadow_allowed' : 'shadow_denied']++;
  exchange.addMetadata(metadataName, {
    ...(policy !== '' && { [`${prefix}shadow_effective_policy_id`]: policy }),
    [`${prefix}shadow_engine_result`]: allowed ? 'allowed' : 'denied',
  });
}
