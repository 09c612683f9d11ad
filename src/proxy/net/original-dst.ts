import type { Address } from './connection.ts';
import { libc, libcFailure } from './libc.ts';
import { ipv6Text } from './proxy-protocol.ts';

/**
 * The destination that a redirected connection was meant for, from the kernel's connection tracking:
 * getsockopt(SO_ORIGINAL_DST) of netfilter, for IPv4 and IPv6.
 */
const solIp = 0;
const solIpv6 = 41;
const soOriginalDst = 80;

/** Why original destinations cannot be read on this machine, or null when they can. */
export function originalDstFailure(): string | null {
  const failure = libcFailure();
  return failure && `redirected traffic keeps its local address: ${failure}`;
}

const value = Buffer.alloc(32);
const length = new Uint32Array(1);

function text4(at: number): string {
  return `${value[at]}.${value[at + 1]}.${value[at + 2]}.${value[at + 3]}`;
}

/** Original destination of an accepted socket's descriptor; null when it was not redirected or cannot be asked. */
export function originalDestination(fd: number): Address | null {
  const call = libc()?.getsockopt;
  if (call === undefined || fd < 0) return null;
  length[0] = 16;
  if (call(fd, solIp, soOriginalDst, value, length) === 0) return { ip: text4(4), port: value.readUInt16BE(2) };
  length[0] = 28;
  if (call(fd, solIpv6, soOriginalDst, value, length) === 0)
    return { ip: ipv6Text(value, 8), port: value.readUInt16BE(2) };
  return null;
}
