import type { LogSubject } from './access-log.ts';

/** An operator's result: JSON keeps its type; an object is written as JSON in text too. */
export type Value = string | number | boolean | null | object;

export type Operator = (subject: LogSubject) => Value;

/**
 * A command operator of Envoy's formats. `make` gets what stands between the parentheses, null without them, and throws an
 * Error that says what is wrong with it.
 */
export interface Command {
  readonly argument: 'none' | 'optional' | 'required';
  /** Whether `:LENGTH` may follow. */
  readonly length: boolean;
  make(argument: string | null): Operator;
}

/** An operator that takes nothing. */
export const plain = (read: Operator): Command => ({ argument: 'none', length: false, make: () => read });

export const command = (
  argument: 'optional' | 'required',
  length: boolean,
  make: (argument: string | null) => Operator,
): Command => ({ argument, length, make });

/** An empty text is no value. */
export const orNull = (value: string | undefined | null): string | null => value || null;

/** One of `known`, or an Error that lists them. */
export function choice<T extends string>(given: string, known: readonly T[]): T {
  if (!(known as readonly string[]).includes(given)) throw new Error(`${given} is none of ${known.join(', ')}`);
  return given as T;
}
