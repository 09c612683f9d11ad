/** What a request is counted under: a pure function of the route's rules and the request. */
import type { HostRateLimits, RateLimitAction, RateLimitEntry, RateLimitRule } from '../../config/table.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { maskedAddress } from '../cidr.ts';
import { headersMatch, matchesQuery, metadataAt } from '../match.ts';

export interface Descriptor {
  readonly entries: readonly RateLimitEntry[];
  /** Of the request's own, instead of what the service knows; null. */
  readonly limit: { readonly requestsPerUnit: number; readonly unit: string } | null;
}

/** Of the route, and of its virtual host as configured (Envoy: RateLimitPerRoute.VhRateLimitsOptions). */
export function descriptorsOf(exchange: ActiveExchange, stage: number, said: HostRateLimits): Descriptor[] {
  const forward = exchange.route?.forward;
  if (!forward || exchange.virtualHost === null) return [];
  const own = describe(exchange, forward.rateLimits, stage);
  const host = forward.includesHostRateLimits ? 'include' : said;
  if (host === 'ignore' || (host === 'override' && forward.rateLimits.length > 0)) return own;
  return [...own, ...describe(exchange, exchange.virtualHost.rateLimits, stage)];
}

/** A rule whose action finds nothing gives no descriptor. */
export function describe(exchange: ActiveExchange, rules: readonly RateLimitRule[], stage: number): Descriptor[] {
  const descriptors: Descriptor[] = [];
  next: for (const rule of rules) {
    if (rule.stage !== stage) continue;
    const entries: RateLimitEntry[] = [];
    for (const action of rule.actions) {
      const entry = entryOf(exchange, action);
      if (entry === 'none') continue next;
      if (entry !== 'skip') entries.push(entry);
    }
    if (entries.length > 0) descriptors.push({ entries, limit: limitOf(exchange, rule) });
  }
  return descriptors;
}

function limitOf(exchange: ActiveExchange, { limit }: RateLimitRule): Descriptor['limit'] {
  if (limit === null) return null;
  const value = metadataAt(exchange.dynamicMetadata, limit.filter, limit.path);
  if (typeof value !== 'object' || value === null) return null;
  const { requests_per_unit: requestsPerUnit, unit } = value as Record<string, unknown>;
  return typeof requestsPerUnit === 'number' && typeof unit === 'string' ? { requestsPerUnit, unit } : null;
}

function entryOf(exchange: ActiveExchange, action: RateLimitAction): RateLimitEntry | 'none' | 'skip' {
  switch (action.kind) {
    case 'sourceCluster':
      return { key: 'source_cluster', value: exchange.plane.node.cluster };
    case 'destinationCluster': {
      const { weighted, route } = exchange;
      return { key: 'destination_cluster', value: weighted?.cluster ?? route?.forward?.clusters[0]?.cluster ?? '' };
    }
    case 'remoteAddress':
      return { key: 'remote_address', value: exchange.client.ip };
    case 'maskedRemoteAddress': {
      const { ip } = exchange.client;
      const bits = ip.includes(':') ? action.v6Bits : action.v4Bits;
      return { key: 'masked_remote_address', value: `${maskedAddress(ip, bits)}/${bits}` };
    }
    case 'header': {
      const [value] = exchange.headerValues(action.name);
      if (value === undefined) return action.optional ? 'skip' : 'none';
      return { key: action.key, value };
    }
    case 'genericKey':
      return { key: action.key, value: action.value };
    case 'headerMatch':
      return headersMatch(action.headers, exchange) === action.expected
        ? { key: action.key, value: action.value }
        : 'none';
    case 'queryMatch':
      return matchesQuery(action.query, exchange.path) === action.expected
        ? { key: action.key, value: action.value }
        : 'none';
    case 'metadata': {
      const source = action.ofRoute ? (exchange.route?.metadata ?? null) : exchange.dynamicMetadata;
      const value = metadataAt(source, action.at.filter, action.at.path);
      const text = typeof value === 'string' ? value : '';
      if (text !== '' || action.otherwise !== '') return { key: action.key, value: text || action.otherwise };
      return action.optional ? 'skip' : 'none';
    }
  }
}
