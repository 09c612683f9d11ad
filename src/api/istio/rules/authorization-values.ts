/** The values that an AuthorizationPolicy's fields and conditions may have. */
import { nearestWord } from '../../../lib/nearest-word.ts';
import { each, type Report, show } from '../../schema/problem.ts';
import type { AuthorizationCondition } from '../authorization-policy.ts';
import { isIpOrCidr } from './host-name.ts';

type ValueRule = (value: string) => string | null;

const isBlock: ValueRule = (value) =>
  isIpOrCidr(value) ? null : `must be an address or a block such as 10.0.0.0/8, is ${show(value)}`;

const isPort: ValueRule = (value) =>
  /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? null : `must be a port, 0–65535, is ${show(value)}`;

const isServiceAccount: ValueRule = (value) => {
  const parts = value.split('/');
  if (value.includes('*')) return `must not have a wildcard, is ${show(value)}`;
  return parts.length <= 2 && parts.every((part) => part !== '')
    ? null
    : `must be NAME or NAMESPACE/NAME, is ${show(value)}`;
};

const isWildcard: ValueRule = (value) => {
  const inner = value.slice(1, -1);
  if (value.split('*').length > 2 || inner.includes('*'))
    return `may have one "*", at its begin or end, is ${show(value)}`;
  return null;
};

const isTrustDomain: ValueRule = (value) =>
  isWildcard(value) ?? (value.includes('/') ? `must not have a "/", is ${show(value)}` : null);

/** RFC 3986's pchar, and `*` between templates has no meaning. */
const literalSegment = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

/** Paths with `{*}` for one segment and `{**}`, last of all, for any number. */
const isPath: ValueRule = (path) => {
  if (!/[{}]/.test(path)) return null;
  const segments = path.replace(/^\/+|\/+$/g, '').split('/');
  const rest = segments.indexOf('{**}');
  if (rest >= 0 && segments.slice(rest + 1).some((segment) => segment === '{*}' || segment === '{**}'))
    return `has a template after {**}, is ${show(path)}`;
  const wrong = segments.find((segment) => segment !== '{*}' && segment !== '{**}' && !literalSegment.test(segment));
  return wrong === undefined
    ? null
    : `may have {*} and {**} as whole segments, and ${show(wrong)} is neither such nor plain text`;
};

const fieldRules: Readonly<Record<string, ValueRule>> = {
  ipBlocks: isBlock,
  remoteIpBlocks: isBlock,
  ports: isPort,
  serviceAccounts: isServiceAccount,
  trustDomains: isTrustDomain,
  paths: isPath,
};

/** Every value of a field, or of its negation (`notPorts`). */
export function checkValues(report: Report, field: string, values: readonly string[]): void {
  const positive = field.replace(/^not(.)/, (_, first: string) => first.toLowerCase());
  checkEach(report, field, values, fieldRules[positive]);
}

function checkEach(
  report: Report,
  field: string,
  values: readonly string[] | undefined,
  rule: ValueRule | undefined,
): void {
  each(report, field, values, (value, at) => {
    const problem = value === '' ? 'must not be empty' : rule?.(value);
    if (problem) at.error([], problem, 'format');
  });
}

const anyValue: ValueRule = () => null;

/** https://istio.io/latest/docs/reference/config/security/conditions/ */
const attributes: Readonly<Record<string, ValueRule>> = {
  'source.ip': isBlock,
  'remote.ip': isBlock,
  'source.namespace': anyValue,
  'source.serviceAccount': isServiceAccount,
  'source.principal': anyValue,
  'source.trustDomain': isWildcard,
  'request.auth.principal': anyValue,
  'request.auth.audiences': anyValue,
  'request.auth.presenter': anyValue,
  'destination.ip': isBlock,
  'destination.port': isPort,
  'connection.sni': anyValue,
};

const keyed = ['request.headers', 'request.auth.claims', 'experimental.envoy.filters.'];

/** Whether the attribute comes from a request's token. */
export const needsToken = (key: string): boolean => key.startsWith('request.auth.');

export function checkCondition(report: Report, condition: AuthorizationCondition): void {
  const { key, values, notValues } = condition;
  const rule = attributeRule(report, key);
  if (!values?.length && !notValues?.length) report.error([], 'needs values or notValues', 'required');
  checkEach(report, 'values', values, rule);
  checkEach(report, 'notValues', notValues, rule);
}

function attributeRule(report: Report, key: string): ValueRule {
  if (Object.hasOwn(attributes, key)) return attributes[key];
  if (key === '') report.error(['key'], 'must not be empty', 'required');
  else if (keyed.some((prefix) => key.startsWith(prefix))) {
    if (!/^[^[]+\[.+\]$/.test(key))
      report.error(['key'], `needs a name in brackets, such as request.headers[x-user], is ${show(key)}`, 'format');
  } else if (key.startsWith('destination.labels')) report.error(['key'], "is not supported; use the policy's selector");
  else if (key === 'destination.namespace') report.error(['key'], "is not supported; use the policy's own namespace");
  else {
    const near = nearestWord(key, [...Object.keys(attributes), 'request.headers', 'request.auth.claims']);
    report.error(['key'], `${show(key)} is not an attribute${near ? `; did you mean "${near}"?` : ''}`, 'enum');
  }
  return anyValue;
}
