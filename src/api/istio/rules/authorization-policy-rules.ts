/** Rules across an AuthorizationPolicy's fields. */
import { below, each, type Report, show } from '../../schema/problem.ts';
import type { AuthorizationPolicy, AuthorizationPolicySpec, AuthorizationRule } from '../authorization-policy.ts';
import { checkCondition, checkValues, needsToken } from './authorization-values.ts';
import { warnOfEmptySelector } from './label-rules.ts';
import { checkTargetRef } from './target-ref.ts';

const dryRun = 'istio.io/dry-run';

export function checkAuthorizationPolicy(
  { metadata, spec }: Pick<AuthorizationPolicy, 'metadata' | 'spec'>,
  report: Report,
): void {
  const at = below(report, 'spec');
  const action = spec.action ?? 'ALLOW';
  warnOfEmptySelector(at, spec.selector);
  if (spec.targetRef) checkTargetRef(below(at, 'targetRef'), spec.targetRef);
  each(at, 'targetRefs', spec.targetRefs, (target, there) => checkTargetRef(there, target));
  checkAction(at, spec, action);
  checkDryRun(report, metadata.annotations?.[dryRun], action);
  each(at, 'rules', spec.rules, (rule, there) => {
    if (action === 'CUSTOM') refuseForCustom(there, rule);
    if (action === 'DENY' && isHttpOnly(rule))
      there.warning(
        [],
        'asks for HTTP alone, so every connection to a port that is not HTTP is denied; name the ports in to.operation.ports',
      );
  });
}

function checkAction(report: Report, spec: AuthorizationPolicySpec, action: string): void {
  if (spec.provider && action !== 'CUSTOM')
    report.error(['provider'], `can be set for action CUSTOM alone, is ${action}`, 'conflict');
  if (action === 'CUSTOM' && !spec.provider?.name)
    report.error(['provider', 'name'], 'is required for action CUSTOM', 'required');
  if (!spec.rules && (action === 'DENY' || action === 'CUSTOM'))
    report.error(
      ['rules'],
      `is required for action ${action}: without rules it never applies; an empty rule {} applies to every request`,
      'required',
    );
}

function checkDryRun(report: Report, value: string | undefined, action: string): void {
  if (value === undefined) return;
  const at = below(report, 'metadata', 'annotations', dryRun);
  if (action !== 'ALLOW' && action !== 'DENY')
    at.error([], `can be used with ALLOW and DENY alone, the action is ${action}`, 'conflict');
  else if (!['1', 't', 'T', 'TRUE', 'true', 'True', '0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value))
    at.error([], `must be true or false, is ${show(value)}`, 'format');
}

export function checkRule(rule: AuthorizationRule, report: Report): void {
  if (rule.from?.length === 0)
    report.error(['from'], 'must not be empty; leave it out to match every source', 'required');
  each(report, 'from', rule.from, ({ source }, at) => checkPart(at, 'source', source));
  if (rule.to?.length === 0)
    report.error(['to'], 'must not be empty; leave it out to match every operation', 'required');
  each(report, 'to', rule.to, ({ operation }, at) => checkPart(at, 'operation', operation));
  each(report, 'when', rule.when, (condition, at) => checkCondition(at, condition));
}

function checkPart(
  report: Report,
  field: 'source' | 'operation',
  part: Readonly<Record<string, string[] | undefined>> | undefined,
): void {
  if (!part) {
    report.error([field], 'is required', 'required');
    return;
  }
  const lists = Object.entries(part).filter(([, values]) => values !== undefined);
  if (lists.every(([, values]) => values!.length === 0))
    report.error([field], 'must not be empty: it would match nothing in particular', 'required');
  const at = below(report, field);
  for (const [name, values] of lists) checkValues(at, name, values!);
}

/** What an external authorizer is asked about must not depend on identities: it is asked before they are known. */
const notForCustom = [
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
  'trustDomains',
  'notTrustDomains',
  'principals',
  'notPrincipals',
  'requestPrincipals',
  'notRequestPrincipals',
] as const;

function refuseForCustom(report: Report, rule: AuthorizationRule): void {
  each(report, 'from', rule.from, ({ source }, at) => {
    for (const field of notForCustom)
      if (source?.[field]?.length) at.error(['source', field], 'cannot be used with action CUSTOM', 'conflict');
  });
  each(report, 'when', rule.when, ({ key }, at) => {
    if (
      needsToken(key) ||
      ['source.namespace', 'source.serviceAccount', 'source.trustDomain', 'source.principal'].includes(key)
    )
      at.error(['key'], `${show(key)} cannot be used with action CUSTOM`, 'conflict');
  });
}

const tcpSource = [
  'principals',
  'notPrincipals',
  'ipBlocks',
  'notIpBlocks',
  'namespaces',
  'notNamespaces',
  'remoteIpBlocks',
  'notRemoteIpBlocks',
  'serviceAccounts',
  'notServiceAccounts',
] as const;

/** Whether the rule names sources or operations, but none that a plain TCP connection has. */
function isHttpOnly({ from = [], to = [] }: AuthorizationRule): boolean {
  const sources = from.flatMap(({ source }) => source ?? []);
  const operations = to.flatMap(({ operation }) => operation ?? []);
  const hasTcpSource = sources.some((source) => tcpSource.some((field) => source[field] !== undefined));
  const hasTcpOperation = operations.some(({ ports, notPorts }) => ports !== undefined || notPorts !== undefined);
  return operations.length > 0 ? !hasTcpOperation : sources.length > 0 && !hasTcpSource;
}
