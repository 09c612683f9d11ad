import { compileRegex } from '../../lib/regex.ts';

/** A filter parameter of the admin pages: an expression that is searched for anywhere in a name. Null lets everything through. */
export function compileRegexSearch(
  pattern: string | null,
): { test: ((name: string) => boolean) | null } | { fault: string } {
  if (pattern === null || pattern === '') return { test: null };
  try {
    return { test: compileRegex(`.*(?:${pattern}).*`) };
  } catch (error) {
    return { fault: `Invalid re2 regex: ${(error as Error).message}\n` };
  }
}
