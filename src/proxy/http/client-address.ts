import { isIP } from 'node:net';
import type { Address } from '../net/connection.ts';
import { cidrContains } from './cidr.ts';
import type { Exchange } from './exchange.ts';

/**
 * The caller that x-forwarded-for tells of, trusting as many hops as configured (Envoy: xff_num_trusted_hops). Without
 * `useRemoteAddress` the last entry is trusted; with it, the socket's address stands unless hops are configured.
 */
export function clientAddress(
  remote: Address,
  forwardedFor: string | null,
  useRemoteAddress: boolean,
  trustedHops: number,
): Address {
  if (forwardedFor === null || (useRemoteAddress && trustedHops === 0)) return remote;
  const entries = forwardedFor.split(',');
  const entry = entries[entries.length - (useRemoteAddress ? trustedHops : trustedHops + 1)]?.trim() ?? '';
  return isIP(entry) === 0 ? remote : { ip: entry, port: 0 };
}

const internalRanges = [
  { address: '10.0.0.0', bits: 8 },
  { address: '172.16.0.0', bits: 12 },
  { address: '192.168.0.0', bits: 16 },
  { address: '127.0.0.0', bits: 8 },
  { address: 'fd00::', bits: 8 },
  { address: '::1', bits: 128 },
];

/** RFC 1918, RFC 4193 and loopback: Envoy's default for internal addresses. */
export function isInternal(ip: string): boolean {
  return internalRanges.some((range) => cidrContains(range, ip));
}

/** Envoy calls a request internal when its one known caller has an address of a private network. */
export function fromInside({ client, source, manager }: Pick<Exchange, 'client' | 'source' | 'manager'>): boolean {
  if (client === source) return manager.useRemoteAddress && isInternal(client.ip);
  return isInternal(client.ip);
}
