import type { Buffer as BufferMessage } from '../../xds/gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.js';
import type { HealthCheck } from '../../xds/gen/envoy/extensions/filters/http/health_check/v3/health_check_pb.js';
import { durationMs, type Field } from './field.ts';
import { compileHeader } from './string-match.ts';
import type { BufferFilter, HealthCheckFilter } from './table.ts';

export function compileBuffer(field: Field, message: BufferMessage): BufferFilter {
  if (!message.maxRequestBytes) field.at('max_request_bytes').fail('must be at least 1');
  return { kind: 'buffer', maxBytes: message.maxRequestBytes ?? 1 };
}

export function compileHealthCheck(field: Field, message: HealthCheck): HealthCheckFilter {
  if (message.passThroughMode === undefined) field.at('pass_through_mode').fail('is not given');
  if (durationMs(message.cacheTime, 0) > 0) field.at('cache_time').fail('is not supported');
  return {
    kind: 'healthCheck',
    passThrough: message.passThroughMode ?? false,
    minHealthy: Object.entries(message.clusterMinHealthyPercentages).map(([cluster, { value }]) => [cluster, value]),
    headers: message.headers.map((header, i) => compileHeader(field.at('headers', i), header)),
  };
}
