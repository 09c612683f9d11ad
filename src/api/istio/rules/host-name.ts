/** Host names as Istio takes them: DNS names (RFC 1123), with a wildcard in the first label where it may be. */
import { isIP } from 'node:net';

const label = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const wildcardLabel = /^(?:\*|(?:\*-?)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;
const maxNameLength = 255;
const maxLabelLength = 63;

export function isDnsLabel(text: string): boolean {
  return text.length <= maxLabelLength && label.test(text);
}

/** What is wrong with a fully qualified or short DNS name, or `null`. A trailing dot is fine. */
export function dnsNameProblem(name: string): string | null {
  if (name === '') return 'must not be empty';
  if (name.length > maxNameLength) return `must have at most ${maxNameLength} characters, has ${name.length}`;
  return labelsProblem(name, name);
}

function labelsProblem(domain: string, whole: string): string | null {
  const labels = domain.split('.');
  if (labels.length > 1 && labels.at(-1) === '') labels.pop();
  if (/^\d+$/.test(labels.at(-1)!)) return `is no host name: "${whole}" ends in a number`;
  const wrong = labels.find((part) => !isDnsLabel(part));
  return wrong === undefined ? null : `is no host name: "${wrong}" in "${whole}" is not a DNS label`;
}

/** As `dnsNameProblem`, for names whose first label may be `*` or begin with `*`. */
export function wildcardNameProblem(name: string): string | null {
  if (name === '') return 'must not be empty';
  if (name.length > maxNameLength) return `must have at most ${maxNameLength} characters, has ${name.length}`;
  const dot = name.indexOf('.');
  const first = dot < 0 ? name : name.slice(0, dot);
  if (first.length > maxLabelLength || !wildcardLabel.test(first))
    return `is no host name: "${first}" in "${name}" is neither a DNS label nor a wildcard`;
  return dot < 0 ? null : labelsProblem(name.slice(dot + 1), name);
}

export function isIpAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%');
}

/** An address, or an address with a prefix length: `10.0.0.0/8`. */
export function isIpOrCidr(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash < 0) return isIpAddress(text);
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  return (
    isIpAddress(address) &&
    /^\d{1,3}$/.test(bits) &&
    String(Number(bits)) === bits &&
    Number(bits) <= (isIP(address) === 4 ? 32 : 128)
  );
}

/** Whether every name that `narrow` stands for is one that `wide` stands for. */
export function covers(wide: string, narrow: string): boolean {
  if (wide === narrow || wide === '*') return true;
  return wide.startsWith('*') && narrow.replace(/^\*/, '').endsWith(wide.slice(1));
}

/** Whether some name is one that both stand for. */
export function overlaps(a: string, b: string): boolean {
  if (covers(a, b) || covers(b, a)) return true;
  return a.startsWith('*') && b.startsWith('*') && (a.slice(1).endsWith(b.slice(1)) || b.slice(1).endsWith(a.slice(1)));
}
