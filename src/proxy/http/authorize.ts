/** The authorization decision: a pure function of the RBAC filters and the request's facts. */
import type { Rbac, RbacPolicy, RbacRule } from '../config/table.ts';
import { cidrContains } from './cidr.ts';
import type { RequestFacts } from './facts.ts';
import { matchesHeader, metadataAt, pathOnly } from './match.ts';

/** Takes down what each filter and policy said; null in production. */
export interface AuthorizationTrace {
  policy(rbac: Rbac, policy: RbacPolicy, matched: boolean, shadow: boolean): void;
}

export interface Authorization {
  readonly allowed: boolean;
  /** The policy that decided; '' when none matched. */
  readonly policy: string;
  /** %RESPONSE_CODE_DETAILS% of a refusal; ''. */
  readonly detail: string;
}

const allowed: Authorization = { allowed: true, policy: '', detail: '' };
const allowedBy = (policy: string): Authorization => ({ allowed: true, policy, detail: '' });

/** How many policies a refusal names. */
const maxNamed = 8;

/** Asks the filters in their order; the first refusal counts. */
export function authorize(
  filters: readonly Rbac[],
  facts: RequestFacts,
  trace: AuthorizationTrace | null = null,
): Authorization {
  for (const rbac of filters) {
    if (trace !== null && rbac.shadow !== null) authorizeShadow(rbac, facts, trace);
    const decision = authorizeBy(rbac, facts, trace);
    if (!decision.allowed) return decision;
  }
  return allowed;
}

/**
 * A DENY filter refuses when one of its policies matches, an ALLOW filter when none does, LOG never.
 *
 * A refusal's detail is `rbac_access_denied_matched_policy[NAME]` as Envoy words it, where an ALLOW filter's has `none` for the
 * name; `;evaluated=` then tells the policies that did not match.
 */
export function authorizeBy(rbac: Rbac, facts: RequestFacts, trace: AuthorizationTrace | null = null): Authorization {
  if (rbac.action === 'NONE') return allowed;
  const policy = firstMatch(rbac, rbac.policies, facts, trace, false)?.name ?? '';
  if (rbac.action === 'DENY' ? policy === '' : rbac.action === 'LOG' || policy !== '')
    return policy === '' ? allowed : allowedBy(policy);
  return {
    allowed: false,
    policy,
    detail: `rbac_access_denied_matched_policy[${policy || 'none'}]${policy === '' ? evaluated(rbac) : ''}`,
  };
}

/** What the shadow rules would do. */
export function authorizeShadow(
  rbac: Rbac,
  facts: RequestFacts,
  trace: AuthorizationTrace | null = null,
): Authorization {
  const shadow = rbac.shadow!;
  const policy = firstMatch(rbac, shadow.policies, facts, trace, true)?.name ?? '';
  const refused = shadow.action === 'DENY' ? policy !== '' : shadow.action === 'ALLOW' && policy === '';
  return { allowed: !refused, policy, detail: '' };
}

function evaluated({ policies }: Rbac): string {
  if (policies.length === 0) return '';
  const names = new Set(policies.map(({ name }) => name.replace(/-rule\[\d+\]$/, '')));
  const shown = [...names].slice(0, maxNamed);
  return `;evaluated=${shown.join(',')}${names.size > maxNamed ? `,+${names.size - maxNamed}` : ''}`;
}

function firstMatch(
  rbac: Rbac,
  policies: readonly RbacPolicy[],
  facts: RequestFacts,
  trace: AuthorizationTrace | null,
  shadow: boolean,
): RbacPolicy | null {
  for (const policy of policies) {
    const matched = any(policy.permissions, facts) && any(policy.principals, facts);
    trace?.policy(rbac, policy, matched, shadow);
    if (matched) return policy;
  }
  return null;
}

function any(rules: readonly RbacRule[], facts: RequestFacts): boolean {
  for (const rule of rules) if (matches(rule, facts)) return true;
  return false;
}

function matches(rule: RbacRule, facts: RequestFacts): boolean {
  switch (rule.kind) {
    case 'any':
      return true;
    case 'and':
      for (const part of rule.rules) if (!matches(part, facts)) return false;
      return true;
    case 'or':
      return any(rule.rules, facts);
    case 'not':
      return !matches(rule.rule, facts);
    case 'header':
      return matchesHeader(rule.header, facts);
    case 'path':
      return facts.path !== '' && rule.match.test(pathOnly(facts.path));
    case 'authenticated':
      return authenticated(rule.match?.test ?? null, facts);
    case 'destinationPort':
      return facts.destination.port === rule.port;
    case 'destinationPortRange':
      return facts.destination.port >= rule.range.from && facts.destination.port < rule.range.to;
    case 'destinationIp':
      return cidrContains(rule.range, facts.destination.ip);
    case 'directRemoteIp':
      return cidrContains(rule.range, facts.source.ip);
    case 'remoteIp':
      return cidrContains(rule.range, facts.client.ip);
    case 'serverName':
      return rule.match.test(facts.sni);
    case 'metadata':
      return rule.match.test(metadataAt(facts.dynamicMetadata, rule.filter, rule.path));
  }
}

/** URI names of the certificate, then DNS names, then its subject (Envoy: Principal.Authenticated). */
function authenticated(test: ((value: string) => boolean) | null, { mtls, peer }: RequestFacts): boolean {
  if (!mtls || !peer) return false;
  if (!test) return true;
  for (const san of peer.uriSans) if (test(san)) return true;
  for (const san of peer.dnsSans) if (test(san)) return true;
  return test(peer.subject);
}
