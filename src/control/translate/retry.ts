/** Istio's retries: two by default, for failures in which the server did nothing. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HttpRetry } from '../../api/istio/virtual-service.ts';
import type { ResolvedMeshConfig } from '../../api/mesh-config.ts';
import type { RetryPolicySchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '../../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { any, duration } from './message.ts';

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
    hostSelectionRetryMaxAttempts: ignorePrevious ? 5n : 0n,
  };
}
