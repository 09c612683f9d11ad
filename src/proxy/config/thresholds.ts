import type { CircuitBreakers } from '../../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import {
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
} from '../../xds/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import { type Field, words } from './field.ts';
import type { Thresholds } from './table.ts';

/** Envoy's, when nothing is said. */
export const defaultThresholds: Thresholds = {
  maxConnections: 1024,
  maxPending: 1024,
  maxRequests: 1024,
  maxRetries: 3,
  retryBudgetPercent: null,
  minRetries: 3,
  tracksRemaining: false,
};
const knownThresholds = words(`priority max_connections max_pending_requests max_requests max_retries retry_budget
  track_remaining`);

/** By priority; the first of each counts, as in Envoy. */
export function compileThresholds(field: Field, message: CircuitBreakers | undefined): Array<Thresholds | undefined> {
  const compiled: Array<Thresholds | undefined> = [];
  if (!message) return compiled;
  field.only(CircuitBreakersSchema, message, words('thresholds'));
  for (const [i, given] of message.thresholds.entries()) {
    field.at('thresholds', i).only(CircuitBreakers_ThresholdsSchema, given, knownThresholds);
    const { retryBudget: budget } = given;
    compiled[given.priority] ??= {
      maxConnections: given.maxConnections ?? defaultThresholds.maxConnections,
      maxPending: given.maxPendingRequests ?? defaultThresholds.maxPending,
      maxRequests: given.maxRequests ?? defaultThresholds.maxRequests,
      maxRetries: given.maxRetries ?? defaultThresholds.maxRetries,
      retryBudgetPercent: budget ? (budget.budgetPercent?.value ?? 20) : null,
      minRetries: budget?.minRetryConcurrency ?? defaultThresholds.minRetries,
      tracksRemaining: given.trackRemaining,
    };
  }
  return compiled;
}
