import type { ConfigSource } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { durationMs, type Field } from './field.ts';
import type { References } from './references.ts';

/** As Envoy: ConfigSource.initial_fetch_timeout. */
export const defaultFetchTimeoutMs = 15_000;

/**
 * Where a resource that is referred to comes from: the one exchange with the control plane. Istio's proxies get secrets of their
 * agent by an exchange of its own (`api_config_source`), which is the same here. Notes how long it may take.
 */
export function compileConfigSource(
  field: Field,
  source: ConfigSource | undefined,
  references: References,
  type: 'secret' | 'other' = 'other',
): void {
  if (source === undefined) return;
  const { case: kind } = source.configSourceSpecifier;
  const known = kind === 'ads' || kind === 'self' || (kind === 'apiConfigSource' && type === 'secret');
  if (kind !== undefined && !known) field.fail(`${kind} is not supported; give ads or self`);
  const timeoutMs = durationMs(source.initialFetchTimeout, defaultFetchTimeoutMs);
  references.fetchTimeoutMs = Math.max(
    references.fetchTimeoutMs ?? 0,
    timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs,
  );
}
