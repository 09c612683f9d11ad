/** Refuses requests beyond what this proxy's own buckets hold (Envoy: local_ratelimit). */
import type { HeaderMutation, LocalRateLimitFilter } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { localReply } from '../local-reply.ts';
import { mutateRequest } from '../mutation.ts';
import { type Descriptor, descriptorsOf } from './descriptors.ts';
import type { Outcome } from './place.ts';
import { type Bucket, bucketOf } from './token-bucket.ts';

const drawn = (millionths: number): boolean =>
  millionths > 0 && (millionths >= 1_000_000 || Math.random() * 1_000_000 < millionths);

export function runLocalRateLimit(exchange: ActiveExchange, limit: LocalRateLimitFilter): Outcome {
  if (!drawn(limit.enabledMillionths)) return 'goOn';
  const counters = exchange.plane.statistics.filter(limit.statPrefix, 'localRateLimit');
  counters.enabled++;
  const { allowed, bucket } = take(exchange, limit);
  if (limit.tellsLimits && bucket !== null) exchange.changeResponse(limitHeaders(bucket));
  if (allowed) {
    counters.ok++;
    return 'goOn';
  }
  counters.rate_limited++;
  if (!drawn(limit.enforcedMillionths)) {
    if (limit.unenforcedRequestHeaders !== null) mutateRequest(limit.unenforcedRequestHeaders, exchange);
    return 'goOn';
  }
  counters.enforced++;
  if (limit.responseHeaders !== null) exchange.changeResponse(limit.responseHeaders);
  exchange.addFlag('RL');
  localReply(exchange, limit.status, 'local_rate_limited', 'local_rate_limited', null, limit.grpcStatus);
  return 'ended';
}

/** `bucket`: the one whose state the response tells. The strictest of several is asked first. */
function take(exchange: ActiveExchange, limit: LocalRateLimitFilter): { allowed: boolean; bucket: Bucket | null } {
  const now = output.tick;
  const connection = limit.perConnection ? exchange.connection : null;
  const matched: Bucket[] = [];
  if (limit.descriptors.length > 0)
    for (const descriptor of descriptorsOf(exchange, limit.stage, limit.hostLimits)) {
      const found = limit.descriptors.find(({ entries }) => fits(entries, descriptor));
      if (found !== undefined) matched.push(bucketOf(found.bucket, connection, now));
    }
  matched.sort((a, b) => a.tokensPerSecond - b.tokensPerSecond);
  for (const bucket of matched) if (!bucket.take(now)) return { allowed: false, bucket };
  const strictest = matched[0] ?? null;
  if (limit.bucket === null || (strictest !== null && !limit.alwaysCounts)) return { allowed: true, bucket: strictest };
  const common = bucketOf(limit.bucket, connection, now);
  if (!common.take(now)) return { allowed: false, bucket: common };
  return { allowed: true, bucket: strictest ?? common };
}

function fits(
  entries: LocalRateLimitFilter['descriptors'][number]['entries'],
  { entries: given }: Descriptor,
): boolean {
  return (
    entries.length === given.length &&
    entries.every(({ key, value }, i) => key === given[i].key && (value === '' || value === given[i].value))
  );
}

function limitHeaders(bucket: Bucket): HeaderMutation {
  const add = (name: string, value: number) => ({
    name,
    value: String(value),
    keepEmpty: false,
    action: 'append' as const,
  });
  return {
    add: [
      add('x-ratelimit-limit', bucket.config.maxTokens),
      add('x-ratelimit-remaining', bucket.left),
      add('x-ratelimit-reset', bucket.secondsToNext),
    ],
    remove: [],
  };
}
