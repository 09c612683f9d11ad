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

/**
 * Envoy calls a request internal when its one known caller has an address that `internal_address_config` names; by default none
 * is named (HttpConnectionManager.internal_address_config).
 */
export function fromInside({ client, source, manager }: Pick<Exchange, 'client' | 'source' | 'manager'>): boolean {
  if (client === source && !manager.useRemoteAddress) return false;
  return manager.internalRanges.some((range) => cidrContains(range, client.ip));
}
