import type { HeaderBlock } from '../codec/header-block.ts';
import type { ActiveExchange } from './active-exchange.ts';

const methods = new Map<number, readonly string[]>([
  [3, ['GET', 'PUT']],
  [4, ['POST', 'HEAD']],
  [5, ['PATCH', 'TRACE']],
  [6, ['DELETE']],
  [7, ['OPTIONS', 'CONNECT']],
]);

/** The usual methods are constants; only others become text. */
export function methodOf(block: HeaderBlock): string {
  const length = block.methodEnd;
  for (const known of methods.get(length) ?? []) {
    let i = 0;
    while (i < length && block.bytes[i] === known.charCodeAt(i)) i++;
    if (i === length) return known;
  }
  return block.bytes.toString('latin1', 0, length);
}

let lastGood = '';

/** Requests mostly name the authority that the last one named: it is looked at once. */
function badAuthority(authority: string): boolean {
  if (authority === lastGood) return false;
  if (/[\s/?#@\\]/.test(authority)) return true;
  lastGood = authority;
  return false;
}

/**
 * Splits the target of an HTTP/1 request (RFC 9112 §3.2) into scheme, authority and path; `exchange.hostText` is at hand.
 * Returns what is wrong with it, in Envoy's words, or null.
 */
export function readTarget(exchange: ActiveExchange, block: HeaderBlock): string | null {
  exchange.authority = exchange.hostText;
  const target = block.bytes.toString('latin1', block.targetStart, block.targetEnd);
  if (target.charCodeAt(0) === 47) exchange.path = target;
  else if (exchange.method === 'CONNECT') exchange.authority = target;
  else if (target === '*' && exchange.method === 'OPTIONS') exchange.path = target;
  else {
    const absolute = /^(https?):\/\/([^/?]+)(.*)$/i.exec(target);
    if (absolute === null) return 'http1.invalid_url';
    exchange.scheme = absolute[1].toLowerCase() === 'https' ? 'https' : 'http';
    exchange.authority = absolute[2];
    exchange.path = absolute[3].startsWith('/') ? absolute[3] : `/${absolute[3]}`;
  }
  exchange.originalPath = exchange.path;
  if (block.host < 0 && block.minorVersion === 1) return 'missing_host_header';
  return badAuthority(exchange.authority) ? 'http.invalid_authority' : null;
}
