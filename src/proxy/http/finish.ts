import { HeaderBlock, returnBlock } from '../codec/header-block.ts';
import type { ActiveExchange } from './active-exchange.ts';

const gone = new HeaderBlock();

/** Ends an exchange: exactly once, after the last byte or when it was broken off. Its header bytes are gone afterwards. */
export function finish(exchange: ActiveExchange): void {
  if (exchange.finished) return;
  exchange.finished = true;
  exchange.endTick = performance.now();
  exchange.plane.statistics.finish(exchange);
  exchange.plane.telemetry.finish(exchange);
  const { request, response } = exchange;
  exchange.request = gone;
  exchange.response = gone;
  exchange.trailers = null;
  if (exchange.requestTrailers !== null) returnBlock(exchange.requestTrailers);
  exchange.requestTrailers = null;
  exchange.taker = null;
  returnBlock(request);
  if (response.length > 0) returnBlock(response);
}
