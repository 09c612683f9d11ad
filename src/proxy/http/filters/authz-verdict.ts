/** What an authorization service said, whichever protocol it speaks. */
import type { ActiveExchange } from '../active-exchange.ts';
import type { RequestFacts } from '../facts.ts';

export type HeaderAction =
  | 'append'
  | 'addIfAbsent'
  | 'overwrite'
  | 'overwriteIfExists'
  | 'appendIfExists'
  | 'joinIfExists';

export interface HeaderChange {
  /** In lower case. */
  readonly name: string;
  /** Of Latin-1. */
  readonly value: string;
  readonly action: HeaderAction;
}

export type Verdict =
  | {
      readonly kind: 'allowed';
      readonly request: readonly HeaderChange[];
      readonly remove: readonly string[];
      readonly response: readonly HeaderChange[];
      readonly setQuery: ReadonlyArray<readonly [name: string, value: string]>;
      readonly removeQuery: readonly string[];
      readonly metadata: Readonly<Record<string, unknown>> | null;
    }
  | {
      readonly kind: 'denied';
      readonly status: number;
      readonly body: string | Buffer;
      readonly response: readonly HeaderChange[];
      readonly metadata: Readonly<Record<string, unknown>> | null;
    }
  | { readonly kind: 'error' };

export const failed: Verdict = { kind: 'error' };

/** What the service is told besides the connection's facts. */
export interface Question {
  readonly exchange: ActiveExchange & RequestFacts;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  /** What was kept of it; null when it is not told. */
  readonly body: Buffer | null;
  /** Bytes of the body that had come, when it is told. */
  readonly size: number;
  readonly partial: boolean;
  readonly context: Readonly<Record<string, string>>;
}

/** Whether all names and values can stand in a head (RFC 9110 §5.1, §5.5). */
export function sound(changes: readonly HeaderChange[]): boolean {
  return changes.every(({ name, value }) => /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && !/[\r\n\0]/.test(value));
}

/** Changes the request itself, so that all that follows sees it. */
export function changeRequest(exchange: ActiveExchange, changes: readonly HeaderChange[]): void {
  for (const { name, value, action } of changes) {
    const present = exchange.header(name);
    if (action === 'append') exchange.addRequestHeader(name, value);
    else if (action === 'overwrite') exchange.setRequestHeader(name, value);
    else if (action === 'appendIfExists') {
      if (present !== null) exchange.addRequestHeader(name, value);
    } else if (action === 'joinIfExists') {
      if (present !== null) exchange.setRequestHeader(name, `${present},${value}`);
    } else if ((present !== null) === (action === 'overwriteIfExists')) exchange.setRequestHeader(name, value);
  }
}
