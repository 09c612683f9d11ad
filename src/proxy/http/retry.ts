import type { HeaderBlock } from '../codec/header-block.ts';
import type { RetryPolicy } from '../config/table.ts';
import type { ResetReason } from '../upstream/upstream-call.ts';
import type { RequestFacts } from './facts.ts';
import { matchesHeader } from './match.ts';

/** gRPC status codes that a condition of the retry policy names. */
const grpcConditions: Record<string, string> = {
  '1': 'cancelled',
  '4': 'deadline-exceeded',
  '13': 'internal',
  '8': 'resource-exhausted',
  '14': 'unavailable',
};

/** Whether a response asks for another attempt (Envoy: x-envoy-retry-on, x-envoy-retry-grpc-on). */
export function retriesResponse(policy: RetryPolicy, response: HeaderBlock): boolean {
  const { on } = policy;
  const { status } = response;
  if (status >= 500 && on.has('5xx')) return true;
  if ((status === 502 || status === 503 || status === 504) && on.has('gateway-error')) return true;
  if (status === 409 && on.has('retriable-4xx')) return true;
  if (on.has('retriable-status-codes') && policy.statuses.has(status)) return true;
  if (on.has('retriable-headers') && policy.headers.some((header) => matchesHeader(header, factsOf(response))))
    return true;
  const grpc = response.get('grpc-status');
  if (grpc !== null && grpcConditions[grpc] !== undefined && on.has(grpcConditions[grpc])) return true;
  return on.has('envoy-ratelimited') && response.get('x-envoy-ratelimited') !== null;
}

/** A response as header matchers read it. */
function factsOf(response: HeaderBlock): Pick<RequestFacts, 'header' | 'headerValues'> {
  return {
    header: (name) => (name === ':status' ? String(response.status) : response.get(name)),
    headerValues: (name) => response.all(name),
  };
}

/** Whether a broken attempt asks for another. `sent` tells whether any of the request had left. */
export function retriesReset(policy: RetryPolicy, reason: ResetReason, sent: boolean): boolean {
  const { on } = policy;
  const connecting = reason === 'remote connection failure' || reason === 'connection timeout';
  if (reason === 'overflow') return false;
  if (on.has('5xx') || on.has('gateway-error') || on.has('reset')) return true;
  if (reason === 'remote refused stream reset' && on.has('refused-stream')) return true;
  if (connecting) return on.has('connect-failure') || on.has('reset-before-request');
  return !sent && on.has('reset-before-request');
}

/** Envoy's fully jittered exponential back-off: a draw below base × (2ⁿ − 1), at most the maximum. */
export function backoffMs(policy: RetryPolicy, retry: number): number {
  const ceiling = Math.min(policy.backoffBaseMs * (2 ** Math.min(retry, 20) - 1), policy.backoffMaxMs);
  return Math.random() * Math.max(ceiling, 0);
}

/** Before the n-th host is asked, because none has taken the request: soon, or a while later when all have refused it. */
export function undeliveredBackoffMs(times: number, allRefused: boolean): number {
  return allRefused ? 100 + Math.random() * 200 : Math.random() * Math.min(5 * 2 ** (times - 1), 100);
}

/** Methods that may be sent again by a proxy of its own accord (RFC 9110 §9.2.2). */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export function mayRepeat(method: string): boolean {
  return idempotent.has(method);
}
