import type { ActiveExchange } from '../active-exchange.ts';

/** A filter at its place in a request's chain: what a wait needs to go on behind it. */
export interface Place {
  readonly exchange: ActiveExchange;
  /** Runs the filters behind this one. */
  readonly goOn: (place: Place) => void;
  /** Of the filter that comes next. */
  readonly next: number;
  readonly serve: (exchange: ActiveExchange) => void;
}

/** `ended`: the filter has answered. `waits`: it is the exchange's taker, and goes on from its `Place` when it is done. */
export type Outcome = 'goOn' | 'ended' | 'waits';
