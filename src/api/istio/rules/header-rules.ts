/** Header names and values that rules match on or change. */
import { below, each, eachEntry, type Report, show } from '../../schema/problem.ts';
import type { HeaderOperations, Headers } from '../virtual-service.ts';

const name = /^[-_A-Za-z0-9.!#$%&'*+^`|~]+$/;
const pseudoHeaders = new Set([':method', ':scheme', ':authority', ':path', ':status']);
const claimForm = /^@request\.auth\.claims(?:\.|\[)/;

/** A header by whose name traffic is routed on a token's claim: `@request.auth.claims.groups`. */
export function isClaim(header: string): boolean {
  return claimForm.test(header.toLowerCase());
}

export function checkMatchedHeader(report: Report, header: string): void {
  if (isClaim(header) || pseudoHeaders.has(header)) return;
  if (!name.test(header)) report.error([], `${show(header)} is not a header name`, 'format');
}

export function checkCorsHeaders(report: Report, field: string, headers: readonly string[] | undefined): void {
  each(report, field, headers, (header, at) => {
    if (header !== '*' && !name.test(header)) at.error([], `${show(header)} is not a header name`, 'format');
  });
}

const isHost = (header: string) => header.toLowerCase() === 'host';
export const isAuthority = (header: string) => header.toLowerCase() === ':authority' || isHost(header);

function checkChanged(report: Report, header: string, mayBeAuthority: boolean): void {
  if (header === '') report.error([], 'a header needs a name', 'format');
  else if (mayBeAuthority && isAuthority(header)) return;
  else if (isHost(header))
    report.error([], 'the Host header cannot be changed here; use rewrite.authority', 'conflict');
  else if (header.startsWith(':')) report.error([], 'headers that begin with ":" cannot be changed', 'conflict');
  else if (!name.test(header)) report.error([], `${show(header)} is not a header name`, 'format');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that a header's value may not have (RFC 9110 §5.5)
const forbiddenInValue = /[\u0000-\u0008\u000A-\u001F\u007F]/;

/** Values may hold Envoy's `%COMMANDS%`; a percent sign of its own is written `%%`. */
function valueProblem(value: string): string | null {
  if (forbiddenInValue.test(value)) return 'must not hold control characters';
  const rest = value.replaceAll('%%', '').replaceAll(/%[^%(]*(?:\((?:\\.|[^)\\])*\)\s*(?::\d+)?)?%/g, '');
  return rest.includes('%')
    ? `has a "%" that begins no %COMMAND%; write "%%" for the sign itself, is ${show(value)}`
    : null;
}

function checkOperations(report: Report, operations: HeaderOperations | undefined, isRequest: boolean): void {
  for (const field of ['add', 'set'] as const)
    eachEntry(report, field, operations?.[field], (header, value, at) => {
      checkChanged(at, header, isRequest);
      const problem = valueProblem(value);
      if (problem) at.error([], problem, 'format');
    });
  each(report, 'remove', operations?.remove, (header, at) => checkChanged(at, header, false));
}

export function checkHeaderChanges(report: Report, headers: Headers | undefined): void {
  checkOperations(below(report, 'headers', 'request'), headers?.request, true);
  checkOperations(below(report, 'headers', 'response'), headers?.response, false);
}
