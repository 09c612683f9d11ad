import type { ActiveExchange } from './active-exchange.ts';
import { localReply } from './local-reply.ts';

export type Overdue = 'no' | 'idle' | 'late';

/**
 * Whether an exchange's time is up: `request_timeout` from its first byte to its last (`late`), `stream_idle_timeout` since
 * anything moved (Envoy: HttpConnectionManager).
 */
export function overdue(exchange: ActiveExchange, now: number, activeTick: number): Overdue {
  const { manager } = exchange;
  if (manager.requestTimeoutMs > 0 && !exchange.requestComplete && now - exchange.startTick > manager.requestTimeoutMs)
    return 'late';
  const idleMs = exchange.route?.forward?.idleTimeoutMs || manager.streamIdleTimeoutMs;
  return idleMs > 0 && now - Math.max(activeTick, exchange.upstreamFirstByteTick) >= idleMs ? 'idle' : 'no';
}

/** Ends it. False when a response had begun, so that the stream must be broken off. */
export function endOverdue(exchange: ActiveExchange, why: 'idle' | 'late'): boolean {
  const { taker } = exchange;
  if (exchange.responded || taker === null) {
    exchange.addFlag('SI');
    exchange.details = 'stream_idle_timeout';
    taker?.onDownstreamGone();
    return false;
  }
  exchange.taker = null;
  taker.cancel();
  if (why === 'idle') exchange.addFlag('SI');
  localReply(
    exchange,
    why === 'late' || !exchange.requestComplete ? 408 : 504,
    why === 'late' ? 'request timeout' : 'stream timeout',
    why === 'late' ? 'request_overall_timeout' : 'stream_idle_timeout',
  );
  return true;
}
