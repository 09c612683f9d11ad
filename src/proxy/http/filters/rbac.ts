/** Role-based access control at its place in the chain; what it decides is in ../authorize.ts. */
import type { Rbac } from '../../config/table.ts';
import type { FilterCounters } from '../../telemetry/counters.ts';
import type { Statistics } from '../../telemetry/statistics.ts';
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
    const { counters, metadata } = notesOf(rbac, exchange.plane.statistics, statPrefix);
    if (rbac.action === 'LOG') {
      exchange.addMetadata('envoy.common', { access_log_hint: policy !== '' });
      counters[policy === '' ? 'not_logged' : 'logged']++;
    }
    counters[allowed ? 'allowed' : 'denied']++;
    exchange.addMetadata(metadataName, metadata(allowed, policy));
    if (allowed) continue;
    localReply(exchange, 403, 'RBAC: access denied', detail);
    return 'ended';
  }
  return 'goOn';
}

interface Notes {
  readonly statistics: Statistics;
  readonly statPrefix: string;
  readonly counters: FilterCounters;
  /** One object for each outcome that there can be. */
  readonly metadata: (allowed: boolean, policy: string) => Readonly<Record<string, unknown>>;
}

const notes = new WeakMap<Rbac, Notes>();

function notesOf(rbac: Rbac, statistics: Statistics, statPrefix: string): Notes {
  const known = notes.get(rbac);
  if (known?.statistics === statistics && known.statPrefix === statPrefix) return known;
  const outcomes = new Map<string, Record<string, unknown>>();
  const made: Notes = {
    statistics,
    statPrefix,
    counters: statistics.filter(statPrefix + rbac.prefix, rbac.action === 'LOG' ? 'rbacLog' : 'rbac'),
    metadata: (allowed, policy) => {
      let outcome = outcomes.get(policy);
      if (outcome === undefined) {
        outcome = {
          [`${rbac.prefix}enforced_engine_result`]: allowed ? 'allowed' : 'denied',
          ...(policy !== '' && { [`${rbac.prefix}enforced_effective_policy_id`]: policy }),
        };
        outcomes.set(policy, outcome);
      }
      return outcome;
    },
  };
  notes.set(rbac, made);
  return made;
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
