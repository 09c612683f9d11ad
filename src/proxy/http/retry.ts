import type { HeaderBlock } from '../codec/header-block.ts';
import type { RetryPolicy } from '../config/table.ts';
import { output } from '../net/output.ts';
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
  if (response.get('x-envoy-ratelimited') !== null) return on.has('envoy-ratelimited');
  if (status >= 500 && on.has('5xx')) return true;
  if ((status === 502 || status === 503 || status === 504) && on.has('gateway-error')) return true;
  if (status === 409 && on.has('retriable-4xx')) return true;
  if (on.has('retriable-status-codes') && policy.statuses.has(status)) return true;
  if (on.has('retriable-headers') && policy.headers.some((header) => matchesHeader(header, factsOf(response))))
    return true;
  const grpc = response.get('grpc-status');
  return grpc !== null && grpcConditions[grpc] !== undefined && on.has(grpcConditions[grpc]);
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

/** Whether an attempt that took too long asks for another: it is reset, which is as good as a 504. */
export const retriesTimeout = ({ on }: RetryPolicy): boolean =>
  on.has('5xx') || on.has('gateway-error') || on.has('reset');

/** Envoy's fully jittered exponential back-off: a draw below base × (2ⁿ − 1), at most the maximum. */
export function backoffMs(policy: RetryPolicy, retry: number): number {
  const ceiling = Math.min(policy.backoffBaseMs * (2 ** Math.min(retry, 20) - 1), policy.backoffMaxMs);
  return Math.random() * Math.max(ceiling, 0);
}

/** When the host says to try again: then, or up to half as long again; null when it does not say (Envoy: reset_headers). */
export function resetBackoffMs({ resetHeaders, resetMaxMs }: RetryPolicy, response: HeaderBlock): number | null {
  for (const { name, inUnixTime } of resetHeaders) {
    const text = response.get(name);
    if (text === null || !/^\d{1,12}$/.test(text)) continue;
    const ms = Number(text) * 1000 - (inUnixTime ? Math.floor(output.wallMs / 1000) * 1000 : 0);
    if (ms > 0 && ms <= resetMaxMs) return ms * (1 + Math.random() / 2);
  }
  return null;
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
