/** A compiled StringMatcher: `test` decides, `text` says it in words for traces (`exact "reviews"`). */
export interface StringMatch {
  readonly test: (value: string) => boolean;
  readonly text: string;
}
