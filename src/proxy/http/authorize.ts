/** The authorization decision: a pure function of the RBAC filters and the request's facts. */
import type { Rbac, RbacPolicy, RbacRule } from '../config/table.ts';
import { cidrContains } from './cidr.ts';
import type { RequestFacts } from './facts.ts';
import { matchesHeader, pathOnly } from './match.ts';

/** Takes down what each filter and policy said; null in production. */
export interface AuthorizationTrace {
  policy(rbac: Rbac, policy: RbacPolicy, matched: boolean, shadow: boolean): void;
}

export type Authorization =
  | { readonly allowed: true }
  /** `detail` is %RESPONSE_CODE_DETAILS%. */
  | { readonly allowed: false; readonly detail: string };

const allowed: Authorization = { allowed: true };
const refused = (detail: string): Authorization => ({ allowed: false, detail });

/** How many policies a refusal names. */
const maxNamed = 8;

/**
 * Asks the filters in their order: a DENY filter refuses when one of its policies matches, an ALLOW filter when none does, LOG never.
 *
 * A refusal's detail is `rbac_access_denied_matched_policy[NAME]` as Envoy words it, where an ALLOW filter's has `none` for the
 * name; `;evaluated=` then tells the policies that did not match.
 */
export function authorize(
  filters: readonly Rbac[],
  facts: RequestFacts,
  trace: AuthorizationTrace | null = null,
): Authorization {
  for (const rbac of filters) {
    if (trace && rbac.shadow) firstMatch(rbac, rbac.shadow.policies, facts, trace, true);
    if (rbac.action === 'LOG') continue;
    const matched = firstMatch(rbac, rbac.policies, facts, trace, false);
    if (rbac.action === 'DENY' && matched) return refused(`rbac_access_denied_matched_policy[${matched.name}]`);
    if (rbac.action === 'ALLOW' && !matched)
      return refused(`rbac_access_denied_matched_policy[none]${evaluated(rbac)}`);
  }
  return allowed;
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
      // No filter of this proxy makes dynamic metadata: a condition on it does not hold.
      return false;
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
