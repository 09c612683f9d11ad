/** Istio's retries: two by default, for failures in which the server did nothing. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HttpRetry } from '../../api/istio/virtual-service.ts';
import type { ResolvedMeshConfig } from '../../api/mesh-config.ts';
import type { RetryPolicySchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '../../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { any, duration } from './message.ts';

/** Localities are priorities where one fails over to the next: every second retry leaves out those that were tried (Istio's setting). */
const otherLocalities = {
  name: 'envoy.retry_priorities.previous_priorities',
  configType: { case: 'typedConfig', value: any(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) },
} as const;

/** Words of `retryOn` that are numbers are statuses (Istio, HTTPRetry). */
export function retryPolicy(
  own: HttpRetry | undefined,
  mesh: ResolvedMeshConfig,
): MessageInitShape<typeof RetryPolicySchema> | undefined {
  const settings = { ...mesh.defaultHttpRetryPolicy, ...own };
  if (settings.attempts === 0) return undefined;
  const words = (settings.retryOn || mesh.defaultHttpRetryPolicy.retryOn || '').split(',').map((word) => word.trim());
  const statuses = words.filter((word) => /^\d{3}$/.test(word)).map(Number);
  const conditions = words.filter((word) => word !== '' && !/^\d+$/.test(word));
  if (statuses.length > 0 && !conditions.includes('retriable-status-codes')) conditions.push('retriable-status-codes');
  const ignorePrevious = settings.retryIgnorePreviousHosts !== false;
  return {
    retryOn: conditions.join(','),
    retriableStatusCodes: statuses,
    numRetries: settings.attempts ?? 2,
    perTryTimeout: duration(settings.perTryTimeout),
    retryBackOff: settings.backoff ? { baseInterval: duration(settings.backoff) } : undefined,
    retryHostPredicate: ignorePrevious
      ? [
          {
            name: 'envoy.retry_host_predicates.previous_hosts',
            configType: { case: 'typedConfig', value: any(PreviousHostsPredicateSchema, {}) },
          },
        ]
      : [],
    retryPriority: settings.retryRemoteLocalities ? otherLocalities : undefined,
    hostSelectionRetryMaxAttempts: ignorePrevious ? 5n : 0n,
  };
}
