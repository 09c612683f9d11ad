import type { RingSettings } from '../../config/table.ts';
import type { Host } from '../host.ts';

/** What places a host on a ring or in a table: what its metadata says (`envoy.lb`, `hash_key`), its name, or its address. */
export function hashKey({ endpoint, address }: Host, { byHostname }: RingSettings): string {
  const given = endpoint.metadata?.['envoy.lb']?.hash_key;
  if (typeof given === 'string' && given !== '') return given;
  if (byHostname && endpoint.hostname !== '') return endpoint.hostname;
  const { ip, port } = address;
  if (ip.startsWith('/')) return ip;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

const words = new BigUint64Array(1);

/** Requests that name no key go anywhere. */
export function keyOrDrawn(hash: bigint | null): bigint {
  return hash ?? crypto.getRandomValues(words)[0];
}
