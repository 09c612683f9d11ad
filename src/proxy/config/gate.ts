import type { LocalRateLimit as AcceptLimit } from '../../xds/gen/envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit_pb.js';
import { LocalRateLimitSchema as AcceptLimitSchema } from '../../xds/gen/envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit_pb.js';
import type { ConnectionLimit } from '../../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import { ConnectionLimitSchema } from '../../xds/gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js';
import type { LocalRateLimit } from '../../xds/gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.js';
import type { TokenBucket } from '../../xds/gen/envoy/type/v3/token_bucket_pb.js';
import { durationMs, type Field, words } from './field.ts';
import type { Gate } from './table.ts';

const knownRate = words('stat_prefix token_bucket');
const knownConnections = words('stat_prefix max_connections delay');
/** Envoy refuses a shorter interval. */
const minFillMs = 50;

/** A token for each connection that a filter chain takes. */
export function compileRateGate(field: Field, message: LocalRateLimit): Gate {
  field.only(LocalRateLimitSchema, message, knownRate);
  return bucket(field.at('token_bucket'), message.tokenBucket);
}

/** A token for each connection that a listener accepts. */
export function compileAcceptGate(field: Field, message: AcceptLimit): Gate {
  field.only(AcceptLimitSchema, message, knownRate);
  return bucket(field.at('token_bucket'), message.tokenBucket);
}

export function compileConnectionGate(field: Field, message: ConnectionLimit): Gate {
  field.only(ConnectionLimitSchema, message, knownConnections);
  const max = Number(message.maxConnections ?? 0n);
  if (max < 1) field.at('max_connections').fail('must be at least 1');
  return { kind: 'connections', max, delayMs: durationMs(message.delay, 0) };
}

function bucket(field: Field, given: TokenBucket | undefined): Gate {
  const maxTokens = given?.maxTokens ?? 0;
  const fillMs = durationMs(given?.fillInterval, 0);
  if (maxTokens < 1) field.at('max_tokens').fail('must be at least 1');
  if (fillMs < minFillMs) field.at('fill_interval').fail(`must be at least ${minFillMs} ms`);
  return { kind: 'rate', maxTokens, tokensPerFill: given?.tokensPerFill ?? 1, fillMs };
}
