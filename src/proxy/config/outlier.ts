import type { OutlierDetection } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import { OutlierDetectionSchema } from '../../xds/gen/envoy/config/cluster/v3/outlier_detection_pb.js';
import { durationMs, type Field, words } from './field.ts';
import type { Outlier } from './table.ts';

const known = words(`consecutive_5xx interval base_ejection_time max_ejection_percent enforcing_consecutive_5xx
  enforcing_success_rate success_rate_minimum_hosts success_rate_request_volume success_rate_stdev_factor
  consecutive_gateway_failure enforcing_consecutive_gateway_failure split_external_local_origin_errors
  consecutive_local_origin_failure enforcing_consecutive_local_origin_failure enforcing_local_origin_success_rate
  failure_percentage_threshold enforcing_failure_percentage enforcing_failure_percentage_local_origin
  failure_percentage_minimum_hosts failure_percentage_request_volume max_ejection_time max_ejection_time_jitter
  successful_active_health_check_uneject_host always_eject_one_host`);

/** Defaults as Envoy documents them for OutlierDetection. */
export function compileOutlier(field: Field, message: OutlierDetection): Outlier {
  field.only(OutlierDetectionSchema, message, known);
  const baseEjectionMs = durationMs(message.baseEjectionTime, 30_000);
  const intervalMs = durationMs(message.interval, 10_000);
  if (intervalMs <= 0) field.at('interval').fail('must be more than 0');
  if (baseEjectionMs <= 0) field.at('base_ejection_time').fail('must be more than 0');
  return {
    consecutive5xx: message.consecutive5xx ?? 5,
    consecutiveGatewayFailure: message.consecutiveGatewayFailure ?? 5,
    consecutiveLocalOrigin: message.consecutiveLocalOriginFailure ?? 5,
    enforcingPercent: {
      Consecutive5xx: message.enforcingConsecutive5xx ?? 100,
      ConsecutiveGatewayFailure: message.enforcingConsecutiveGatewayFailure ?? 0,
      ConsecutiveLocalOriginFailure: message.enforcingConsecutiveLocalOriginFailure ?? 100,
      SuccessRate: message.enforcingSuccessRate ?? 100,
      LocalOriginSuccessRate: message.enforcingLocalOriginSuccessRate ?? 100,
      FailurePercentage: message.enforcingFailurePercentage ?? 0,
      LocalOriginFailurePercentage: message.enforcingFailurePercentageLocalOrigin ?? 0,
    },
    successRate: {
      minimumHosts: message.successRateMinimumHosts ?? 5,
      requestVolume: message.successRateRequestVolume ?? 100,
      stdevFactor: (message.successRateStdevFactor ?? 1900) / 1000,
    },
    failurePercentage: {
      minimumHosts: message.failurePercentageMinimumHosts ?? 5,
      requestVolume: message.failurePercentageRequestVolume ?? 50,
      thresholdPercent: message.failurePercentageThreshold ?? 85,
    },
    intervalMs: Math.max(1, intervalMs),
    baseEjectionMs,
    maxEjectionMs: Math.max(baseEjectionMs, durationMs(message.maxEjectionTime, 300_000)),
    maxEjectionJitterMs: durationMs(message.maxEjectionTimeJitter, 0),
    maxEjectionPercent: message.maxEjectionPercent ?? 10,
    alwaysEjectsOne: message.alwaysEjectOneHost ?? false,
    splitExternalLocal: message.splitExternalLocalOriginErrors,
    checksLetBack: message.successfulActiveHealthCheckUnejectHost ?? true,
  };
}
