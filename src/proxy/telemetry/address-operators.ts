import { isIPv6 } from 'node:net';
import type { Address } from '../net/connection.ts';
import { isExchange, type LogSubject } from './access-log.ts';
import { type Command, command, orNull, plain } from './operator.ts';

/** `10.0.0.1:80`, `[fd00::1]:80`, or the path of a Unix socket. */
export function addressText({ ip, port }: Address): string {
  if (ip.startsWith('/')) return ip;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function groupsOf(ip: string): number[] {
  const [head, tail] = ip.split('::');
  const hex = (part: string | undefined) => (part ? part.split(':').map((group) => Number.parseInt(group, 16)) : []);
  const first = hex(head);
  const last = hex(tail);
  return tail === undefined ? first : [...first, ...Array(8 - first.length - last.length).fill(0), ...last];
}

/** RFC 5952 §4.2.3: the longest run of zeros is cut, of equal ones the first. */
function ipv6Text(groups: readonly number[]): string {
  const text = groups.map((group) => group.toString(16)).join(':');
  const runs = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length);
  if (runs.length === 0) return text;
  const { 0: run, index } = runs[0];
  return `${text.slice(0, index)}::${text.slice(index + run.length).replace(/^:/, '')}`;
}

/** The network of `bits` bits, `10.1.0.0/16`; null when the address has no so many. */
export function maskedText(ip: string, bits: number): string | null {
  if (isIPv6(ip)) {
    if (bits > 128) return null;
    const groups = groupsOf(ip).map((group, i) => {
      const kept = Math.min(16, Math.max(0, bits - i * 16));
      return group & (0xffff << (16 - kept)) & 0xffff;
    });
    return `${ipv6Text(groups)}/${bits}`;
  }
  if (bits > 32) return null;
  const bytes = ip.split('.').map((byte, i) => {
    const kept = Math.min(8, Math.max(0, bits - i * 8));
    return Number(byte) & (0xff << (8 - kept)) & 0xff;
  });
  return `${bytes.join('.')}/${bits}`;
}

type Read = (subject: LogSubject) => Address | null;

const whole = (read: Read): Command =>
  plain((s) => {
    const address = read(s);
    return address?.ip ? addressText(address) : null;
  });

const withoutPort = (read: Read): Command =>
  command('optional', false, (argument) => {
    if (argument === null) return (s) => orNull(read(s)?.ip);
    const bits = Number(argument);
    if (!/^\d{1,3}$/.test(argument) || bits > 128) throw new Error(`${argument} is no length of a network prefix`);
    return (s) => {
      const ip = read(s)?.ip;
      return ip && !ip.startsWith('/') ? maskedText(ip, bits) : orNull(ip);
    };
  });

const port = (read: Read): Command => plain((s) => read(s)?.port || null);

/** `NAME_ADDRESS`, `NAME_ADDRESS_WITHOUT_PORT`, `NAME_PORT`, and the endpoint of an internal listener, which there is not here. */
function family(name: string, read: Read): Record<string, Command> {
  return {
    [`${name}_ADDRESS`]: whole(read),
    [`${name}_ADDRESS_WITHOUT_PORT`]: withoutPort(read),
    [`${name}_PORT`]: port(read),
    [`${name}_ADDRESS_ENDPOINT_ID`]: plain(() => null),
  };
}

const upstreamRemote: Read = (s) => s.upstreamRemote;

/** The endpoint's name, or its address when it has none. */
function hostName(s: LogSubject): string | null {
  if (s.upstreamRemote === null) return null;
  return s.endpoint?.hostname || addressText(s.upstreamRemote);
}

const attempted = (text: (address: Address) => string): Command =>
  plain((s) => {
    if (isExchange(s) && s.attempted !== null) return s.attempted.map(text).join(',');
    return s.upstream === null ? null : text(s.upstream.address);
  });

export const addressOperators: Readonly<Record<string, Command>> = {
  UPSTREAM_HOST: whole(upstreamRemote),
  UPSTREAM_HOST_NAME: plain(hostName),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: plain(
    (s) => s.endpoint?.hostname?.replace(/:\d+$/, '') || orNull(s.upstreamRemote?.ip),
  ),
  UPSTREAM_HOSTS_ATTEMPTED: attempted(addressText),
  UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT: attempted(({ ip }) => ip),
  ...family('UPSTREAM_REMOTE', upstreamRemote),
  ...family('UPSTREAM_LOCAL', (s) => s.upstreamLocal),
  ...family('DOWNSTREAM_LOCAL', (s) => s.connection.local),
  ...family('DOWNSTREAM_DIRECT_LOCAL', (s) => s.connection.socketLocal),
  ...family('DOWNSTREAM_REMOTE', (s) => (isExchange(s) ? s.client : s.connection.remote)),
  ...family('DOWNSTREAM_DIRECT_REMOTE', (s) => s.connection.socketRemote),
};
