import type { RetryPolicy as RetryPolicyMessage } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  RetryPolicy_RateLimitedRetryBackOffSchema,
  RetryPolicy_ResetHeaderFormat,
  RetryPolicySchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '../../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { durationMs, type Field, messageName, unpack, words } from './field.ts';
import { compileHeader } from './string-match.ts';
import type { RetryPolicy } from './table.ts';

const known = words(`retry_on num_retries per_try_timeout per_try_idle_timeout retry_host_predicate
  host_selection_retry_max_attempts retriable_status_codes retriable_headers retriable_request_headers retry_back_off
  rate_limited_retry_back_off retry_priority`);
const knownRateLimited = words('reset_headers max_interval');

/** The conditions of a `retry_on`, without spaces. */
export const retryConditions = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean);

export function compileRetry(field: Field, retry: RetryPolicyMessage): RetryPolicy {
  field.only(RetryPolicySchema, retry, known);
  const base = durationMs(retry.retryBackOff?.baseInterval, 25);
  const limited = retry.rateLimitedRetryBackOff;
  if (limited)
    field.at('rate_limited_retry_back_off').only(RetryPolicy_RateLimitedRetryBackOffSchema, limited, knownRateLimited);
  return {
    on: new Set(retryConditions(retry.retryOn)),
    statuses: new Set(retry.retriableStatusCodes),
    headers: retry.retriableHeaders.map((h, i) => compileHeader(field.at('retriable_headers', i), h)),
    requestHeaders: retry.retriableRequestHeaders.map((h, i) =>
      compileHeader(field.at('retriable_request_headers', i), h),
    ),
    retries: retry.numRetries ?? 1,
    perTryTimeoutMs: durationMs(retry.perTryTimeout, 0),
    perTryIdleTimeoutMs: durationMs(retry.perTryIdleTimeout, 0),
    backoffBaseMs: base,
    backoffMaxMs: durationMs(retry.retryBackOff?.maxInterval, base * 10),
    resetHeaders: (limited?.resetHeaders ?? []).map(({ name, format }) => ({
      name: name.toLowerCase(),
      inUnixTime: format === RetryPolicy_ResetHeaderFormat.UNIX_TIMESTAMP,
    })),
    resetMaxMs: durationMs(limited?.maxInterval, 300_000),
    avoidPreviousHosts: compilePredicates(field, retry),
    hostSelectionAttempts: Number(retry.hostSelectionRetryMaxAttempts) || 1,
    previousPrioritiesEvery: compilePriority(field.at('retry_priority'), retry),
  };
}

function compilePredicates(field: Field, { retryHostPredicate }: RetryPolicyMessage): boolean {
  let avoids = false;
  for (const [i, { configType }] of retryHostPredicate.entries()) {
    const at = field.at('retry_host_predicate', i);
    const name = configType.case === 'typedConfig' ? messageName(configType.value) : '';
    if (name !== PreviousHostsPredicateSchema.typeName)
      at.fail(name === '' ? 'has no typed_config' : `type ${name} is not supported`);
    avoids = true;
  }
  return avoids;
}

/** After how many attempts the priorities that these had are avoided; 0 for never. */
function compilePriority(field: Field, { retryPriority }: RetryPolicyMessage): number {
  if (!retryPriority) return 0;
  const { configType } = retryPriority;
  const name = configType.case === 'typedConfig' ? messageName(configType.value) : '';
  if (configType.case === 'typedConfig' && name === PreviousPrioritiesConfigSchema.typeName)
    return unpack(field, configType.value, PreviousPrioritiesConfigSchema)?.updateFrequency ?? 0;
  field.fail(name === '' ? 'has no typed_config' : `type ${name} is not supported`);
  return 0;
}
