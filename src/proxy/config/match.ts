/** A compiled StringMatcher: `test` decides, `text` says it in words for traces (`exact "reviews"`). */
export interface StringMatch {
  readonly test: (value: string) => boolean;
  readonly text: string;
}

/** A compiled ValueMatcher on a value of JSON; undefined stands for what is not there. */
export interface ValueMatch {
  readonly test: (value: unknown) => boolean;
  readonly text: string;
}
