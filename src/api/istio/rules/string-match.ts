/** `exact`, `prefix` or `regex`. */
import { re2Problem } from '../../../lib/re2.ts';
import type { Report } from '../../schema/problem.ts';
import type { StringMatch } from '../common.ts';

export function checkRegex(report: Report, field: string, pattern: string | undefined): void {
  if (pattern === undefined) return;
  const problem = pattern === '' ? 'must not be empty' : re2Problem(pattern);
  if (problem) report.error([field], problem, 'format');
}

/** An empty prefix matches everything; Envoy takes one for a path only. */
export function checkStringMatch(report: Report, match: StringMatch | undefined, mayBeEmptyPrefix = false): void {
  if (!match) return;
  if (match.prefix === '' && !mayBeEmptyPrefix) report.error(['prefix'], 'must not be empty', 'format');
  checkRegex(report, 'regex', match.regex);
}
