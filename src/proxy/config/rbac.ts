import type { CidrRange as CidrRangeMessage } from '../../xds/gen/envoy/config/core/v3/address_pb.js';
import type { Permission, Policy, Principal, RBAC } from '../../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import type { FilterStateMatcher } from '../../xds/gen/envoy/type/matcher/v3/filter_state_pb.js';
import { compileCidr } from './address.ts';
import type { Field } from './field.ts';
import { compileHeader, compileString } from './string-match.ts';
import type { Rbac, RbacAction, RbacPolicy, RbacRule } from './table.ts';
import { compileMetadata } from './value-match.ts';

const actions = ['ALLOW', 'DENY', 'LOG'] as const;
const any: RbacRule = { kind: 'any' };
const none: RbacRule = { kind: 'not', rule: any };

/** What the RBAC filters for HTTP and for connections have in common. */
export interface RbacRules {
  rules?: RBAC;
  rulesStatPrefix?: string;
  matcher?: unknown;
  shadowRules?: RBAC;
  shadowRulesStatPrefix?: string;
  shadowMatcher?: unknown;
}

/** None when the filter has no rules at all: Envoy's filter then does nothing. */
export function compileRbac(field: Field, filter: RbacRules): Rbac[] {
  if (filter.matcher) field.at('matcher').fail('is not supported; give rules');
  if (filter.shadowMatcher) field.at('shadow_matcher').fail('is not supported; give shadow_rules');
  const { rules, shadowRules } = filter;
  if (!rules && !shadowRules) return [];
  return [
    {
      ...(rules ? compileEngine(field.at('rules'), rules) : { action: 'NONE', policies: [] }),
      prefix: filter.rulesStatPrefix ?? '',
      shadow: shadowRules
        ? { ...compileEngine(field.at('shadow_rules'), shadowRules), prefix: filter.shadowRulesStatPrefix ?? '' }
        : null,
    },
  ];
}

function compileEngine(field: Field, rules: RBAC): Pick<Rbac, 'policies'> & { action: RbacAction } {
  if (rules.auditLoggingOptions?.loggerConfigs.some(({ isOptional }) => !isOptional))
    field.at('audit_logging_options').at('logger_configs').fail('audit loggers are not supported');
  return { action: actions[rules.action] ?? 'DENY', policies: compilePolicies(field, rules) };
}

function compilePolicies(field: Field, rules: RBAC): RbacPolicy[] {
  return Object.keys(rules.policies)
    .sort()
    .map((name) => compilePolicy(field.at(`policies[${JSON.stringify(name)}]`), name, rules.policies[name]));
}

function compilePolicy(field: Field, name: string, policy: Policy): RbacPolicy {
  if (policy.condition || policy.checkedCondition) field.at('condition').fail('is not supported');
  if (policy.permissions.length === 0) field.at('permissions').fail('is empty');
  if (policy.principals.length === 0) field.at('principals').fail('is empty');
  return {
    name,
    permissions: policy.permissions.map((p, i) => compilePermission(field.at('permissions', i), p)),
    principals: policy.principals.map((p, i) => compilePrincipal(field.at('principals', i), p)),
  };
}

function compilePermission(field: Field, { rule }: Permission): RbacRule {
  switch (rule.case) {
    case 'any':
      return any;
    case 'andRules':
      return { kind: 'and', rules: rule.value.rules.map((r, i) => compilePermission(field.at('and_rules', i), r)) };
    case 'orRules':
      return { kind: 'or', rules: rule.value.rules.map((r, i) => compilePermission(field.at('or_rules', i), r)) };
    case 'notRule':
      return { kind: 'not', rule: compilePermission(field.at('not_rule'), rule.value) };
    case 'header':
      return { kind: 'header', header: compileHeader(field.at('header'), rule.value) };
    case 'urlPath':
      return { kind: 'path', match: compileString(field.at('url_path').at('path'), rule.value.rule.value) };
    case 'destinationIp':
      return ipRule('destinationIp', field.at('destination_ip'), rule.value);
    case 'destinationPort':
      return { kind: 'destinationPort', port: rule.value };
    case 'destinationPortRange':
      return { kind: 'destinationPortRange', range: { from: rule.value.start, to: rule.value.end } };
    case 'requestedServerName':
      return { kind: 'serverName', match: compileString(field.at('requested_server_name'), rule.value) };
    case 'metadata':
      return metadataRule(field.at('metadata'), rule.value);
    default:
      field.fail(rule.case ? `${rule.case} is not supported` : 'has no rule');
      return none;
  }
}

function compilePrincipal(field: Field, { identifier: id }: Principal): RbacRule {
  switch (id.case) {
    case 'any':
      return any;
    case 'andIds':
      return { kind: 'and', rules: id.value.ids.map((r, i) => compilePrincipal(field.at('and_ids', i), r)) };
    case 'orIds':
      return { kind: 'or', rules: id.value.ids.map((r, i) => compilePrincipal(field.at('or_ids', i), r)) };
    case 'notId':
      return { kind: 'not', rule: compilePrincipal(field.at('not_id'), id.value) };
    case 'authenticated': {
      const name = id.value.principalName;
      const match = name ? compileString(field.at('authenticated').at('principal_name'), name) : null;
      return { kind: 'authenticated', match };
    }
    case 'sourceIp':
    case 'directRemoteIp':
      return ipRule('directRemoteIp', field.at('direct_remote_ip'), id.value);
    case 'remoteIp':
      return ipRule('remoteIp', field.at('remote_ip'), id.value);
    case 'header':
      return { kind: 'header', header: compileHeader(field.at('header'), id.value) };
    case 'urlPath':
      return { kind: 'path', match: compileString(field.at('url_path').at('path'), id.value.rule.value) };
    case 'metadata':
      return metadataRule(field.at('metadata'), id.value);
    case 'filterState':
      return peerPrincipal(field.at('filter_state'), id.value);
    default:
      field.fail('has no identifier');
      return none;
  }
}

function ipRule(
  kind: 'destinationIp' | 'directRemoteIp' | 'remoteIp',
  field: Field,
  range: CidrRangeMessage,
): RbacRule {
  return { kind, range: compileCidr(field, range) };
}

function metadataRule(field: Field, matcher: Parameters<typeof compileMetadata>[1]): RbacRule {
  const { invert, ...wanted } = compileMetadata(field, matcher);
  const rule: RbacRule = { kind: 'metadata', ...wanted };
  return invert ? { kind: 'not', rule } : rule;
}

/** Istio writes the certificate's identity as this filter state; here it is read from the connection. */
function peerPrincipal(field: Field, matcher: FilterStateMatcher): RbacRule {
  if (matcher.key === 'io.istio.peer_principal' && matcher.matcher.case === 'stringMatch')
    return { kind: 'authenticated', match: compileString(field.at('string_match'), matcher.matcher.value) };
  field.fail(`key ${JSON.stringify(matcher.key)} is not supported`);
  return none;
}
