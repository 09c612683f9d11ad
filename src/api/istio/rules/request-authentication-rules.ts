/** Rules across a RequestAuthentication's fields. */
import { each, type Report, show } from '../../schema/problem.ts';
import type { JwtRule, RequestAuthentication } from '../request-authentication.ts';
import { checkSelected } from './small-rules.ts';

export function checkRequestAuthentication({ spec }: Pick<RequestAuthentication, 'spec'>, report: Report): void {
  checkSelected({ spec }, report);
}

export function checkJwtRule(rule: JwtRule, report: Report): void {
  if (!rule.issuer) report.error(['issuer'], 'is required', 'required');
  if (rule.jwks !== undefined && rule.jwks !== '' && !isKeySet(rule.jwks))
    report.error(['jwks'], 'must be a JSON Web Key Set: {"keys": […]}', 'format');
  each(report, 'fromHeaders', rule.fromHeaders, ({ name }, at) => {
    if (!/^[-_A-Za-z0-9]+$/.test(name)) at.error(['name'], `must be the name of a header, is ${show(name)}`, 'format');
  });
  const written = [rule.outputPayloadToHeader ?? '', ...(rule.outputClaimToHeaders ?? []).map(({ header }) => header)];
  for (const name of ['authorization', 'host'])
    if (written.some((header) => header.toLowerCase() === name))
      report.warning([], `writes over the header ${show(name)} that the request came with`);
}

function isKeySet(text: string): boolean {
  try {
    return Array.isArray((JSON.parse(text) as { keys?: unknown } | null)?.keys);
  } catch {
    return false;
  }
}
