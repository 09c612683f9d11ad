/** How long a request and each of its attempts may take, and how often it is tried: what the route says, and callers inside the mesh. */
import type { Forward, RetryPolicy } from '../config/table.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { fromInside } from './client-address.ts';
import { matchesHeader } from './match.ts';

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout`, rounded up; null without one that can be read (gRPC over HTTP/2, Requests). */
export function grpcTimeoutMs(text: string | null): number | null {
  const found = text === null ? null : /^(\d{1,8})([HMSmun])$/.exec(text);
  return found === null ? null : Math.ceil(Number(found[1]) * unitMs[found[2]]);
}

/** In the finest unit in which it has no more than eight digits. */
export function writeGrpcTimeout(ms: number): string {
  let left = ms;
  for (const [unit, next] of [
    ['m', 1000],
    ['S', 60],
    ['M', 60],
  ] as const) {
    if (left <= 99_999_999) return `${left}${unit}`;
    left = Math.floor(left / next);
  }
  return `${Math.min(left, 99_999_999)}H`;
}

const number = (text: string | null): number | null => (text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null);

/** Of a caller whose address is the mesh's own: others have no say (Envoy: internal_address_config). */
const mayAsk = (exchange: ActiveExchange) => exchange.manager.internalRanges.length > 0 && fromInside(exchange);

/** A timeout of the call's own where the route takes that, less the offset; 0 without bound. */
function callTimeoutMs(exchange: ActiveExchange, maxMs: number, offsetMs: number): number {
  let ms = grpcTimeoutMs(exchange.header('grpc-timeout')) ?? 0;
  if (offsetMs < ms) ms -= offsetMs;
  return maxMs > 0 && (ms === 0 || ms > maxMs) ? maxMs : ms;
}

/** Sets `timeoutMs` and `perTryTimeoutMs` of the exchange (Envoy documentation, "Router", HTTP headers consumed). */
export function allowTime(exchange: ActiveExchange, forward: Forward, retry: RetryPolicy | null): void {
  const { grpcMaxTimeoutMs } = forward;
  let totalMs =
    grpcMaxTimeoutMs !== null && exchange.grpc
      ? callTimeoutMs(exchange, grpcMaxTimeoutMs, forward.grpcTimeoutOffsetMs)
      : forward.timeoutMs;
  let perTryMs = retry?.perTryTimeoutMs ?? 0;
  if (mayAsk(exchange)) {
    totalMs = number(exchange.header('x-envoy-upstream-rq-timeout-ms')) ?? totalMs;
    perTryMs = number(exchange.header('x-envoy-upstream-rq-per-try-timeout-ms')) ?? perTryMs;
  }
  exchange.timeoutMs = totalMs;
  exchange.perTryTimeoutMs = perTryMs >= totalMs && totalMs > 0 ? 0 : perTryMs;
}

/** How long the whole stream may last, from its beginning; 0 for ever (Envoy: RouteAction.MaxStreamDuration). */
export function streamDurationMs(exchange: ActiveExchange, forward: Forward): number {
  const { grpcMaxStreamDurationMs: maxMs } = forward;
  const asked = maxMs === null ? null : grpcTimeoutMs(exchange.header('grpc-timeout'));
  if (maxMs === null || asked === null) return forward.maxStreamDurationMs ?? exchange.manager.maxStreamDurationMs;
  const most = maxMs > 0 && (asked === 0 || asked > maxMs) ? maxMs : asked;
  const ms = forward.grpcStreamDurationOffsetMs < most ? most - forward.grpcStreamDurationOffsetMs : most;
  if (exchange.grpc) exchange.setRequestHeader('grpc-timeout', writeGrpcTimeout(ms));
  return ms;
}

const noPolicy: RetryPolicy = {
  on: new Set(),
  statuses: new Set(),
  headers: [],
  requestHeaders: [],
  retries: 1,
  perTryTimeoutMs: 0,
  perTryIdleTimeoutMs: 0,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  resetHeaders: [],
  resetMaxMs: 300_000,
  avoidPreviousHosts: false,
  hostSelectionAttempts: 1,
  previousPrioritiesEvery: 0,
};

const listed = (text: string | null): string[] =>
  text === null
    ? []
    : text
        .split(',')
        .map((word) => word.trim())
        .filter(Boolean);

/** The policy that holds for a request; null when it is tried once. */
export function retryPolicyOf(exchange: ActiveExchange, { retry }: Forward): RetryPolicy | null {
  const policy = mayAsk(exchange) ? withAsked(exchange, retry) : retry;
  if (policy === null || policy.requestHeaders.length === 0) return policy;
  return policy.requestHeaders.some((header) => matchesHeader(header, exchange)) ? policy : null;
}

function withAsked(exchange: ActiveExchange, retry: RetryPolicy | null): RetryPolicy | null {
  const conditions = [
    ...listed(exchange.header('x-envoy-retry-on')),
    ...listed(exchange.header('x-envoy-retry-grpc-on')),
  ];
  if (retry === null && conditions.length === 0) return null;
  const policy = retry ?? noPolicy;
  return {
    ...policy,
    on: new Set([...policy.on, ...conditions]),
    retries: number(exchange.header('x-envoy-max-retries')) ?? policy.retries,
    statuses: new Set([
      ...policy.statuses,
      ...listed(exchange.header('x-envoy-retriable-status-codes')).flatMap((text) => number(text) ?? []),
    ]),
    headers: [
      ...policy.headers,
      ...listed(exchange.header('x-envoy-retriable-header-names')).map((name) => ({
        name: name.toLowerCase(),
        kind: 'present' as const,
        match: null,
        range: null,
        invert: false,
        treatMissingAsEmpty: false,
      })),
    ],
  };
}
