import { RE2JS } from 're2js';

/** Envoy and Istio refuse longer patterns. */
const maxPatternLength = 1024;

/** What is wrong with a pattern in RE2's syntax (https://github.com/google/re2/wiki/Syntax), or `null`. */
export function re2Problem(pattern: string): string | null {
  if (pattern.length > maxPatternLength)
    return `must have at most ${maxPatternLength} characters, has ${pattern.length}`;
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (error) {
    return `is no RE2 regular expression: ${error instanceof Error ? error.message : String(error)}`;
  }
}
