import type { HashPolicy } from '../config/table.ts';
import { xxHash64 } from '../upstream/balance/xxhash.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { queryParameters } from './match.ts';

const all = (1n << 64n) - 1n;

function cookieValue(header: string | null, name: string): string | null {
  if (header === null) return null;
  for (const part of header.split(/[;,]/)) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === name)
      return part
        .slice(at + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1');
  }
  return null;
}

/** A session cookie that the proxy makes when the caller has none. */
export interface MadeCookie {
  readonly value: string;
  readonly header: string;
}

/**
 * The hash that keyed load balancing uses, from the first policies that find something up to a terminal one; null when
 * none does. `make` is called for a cookie that must be made.
 */
export function requestHash(
  policies: readonly HashPolicy[],
  exchange: ActiveExchange,
  make: (cookie: MadeCookie) => void,
): bigint | null {
  let hash: bigint | null = null;
  for (const policy of policies) {
    let value: string | null = null;
    if (policy.kind === 'header') value = exchange.header(policy.name);
    else if (policy.kind === 'sourceIp') value = exchange.client.ip;
    else if (policy.kind === 'query') value = queryParameters(exchange.path).get(policy.name) ?? null;
    else {
      value = cookieValue(exchange.header('cookie'), policy.name);
      if (value === null && policy.ttlSeconds !== null) {
        value = xxHash64(`${exchange.client.ip}:${exchange.client.port}:${exchange.random}:${exchange.startTick}`)
          .toString(16)
          .padStart(16, '0');
        const path = policy.path === '' ? '' : `; Path=${policy.path}`;
        const age = policy.ttlSeconds > 0 ? `; Max-Age=${policy.ttlSeconds}` : '';
        make({ value, header: `${policy.name}="${value}"${age}${path}; HttpOnly` });
      }
    }
    if (value !== null) {
      const own: bigint = xxHash64(Buffer.from(value, 'latin1'));
      // Order counts (Envoy: the hash before is rotated by one bit).
      hash = hash === null ? own : (((hash << 1n) | (hash >> 63n)) & all) ^ own;
    }
    if (policy.terminal && hash !== null) break;
  }
  return hash;
}
