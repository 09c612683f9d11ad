import type { HeaderBlock } from '../codec/header-block.ts';
import type { Outcome } from './outlier.ts';

export function outcomeOf(status: number): Outcome {
  if (status < 500) return 'success';
  return status === 502 || status === 503 || status === 504 ? 'gatewayFailure' : 'error5xx';
}

/** Statuses of gRPC that stand for 5xx: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const failures: Readonly<Record<string, Outcome>> = {
  2: 'error5xx',
  4: 'gatewayFailure',
  12: 'error5xx',
  13: 'error5xx',
  14: 'gatewayFailure',
  15: 'error5xx',
};

/** Of a response's last headers; one without a status is judged by HTTP's. */
export function outcomeOfGrpc(block: HeaderBlock): Outcome {
  const status = block.get('grpc-status');
  if (status === null) return outcomeOf(block.status);
  return failures[status.trim()] ?? 'success';
}
