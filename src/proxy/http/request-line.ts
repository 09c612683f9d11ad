import type { HeaderBlock } from '../codec/header-block.ts';
import { knownId } from '../codec/header-names.ts';
import type { FieldSection } from '../codec/hpack-decoder.ts';
import { targetByte } from '../codec/syntax.ts';
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
  if (target.charCodeAt(0) === 47 || (!exchange.manager.acceptsAbsoluteUrl && exchange.method !== 'CONNECT'))
    exchange.path = target;
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
  if (block.host < 0 && block.minorVersion === 0) exchange.authority ||= exchange.manager.defaultHost;
  if (block.host < 0 && block.minorVersion === 1) return 'missing_host_header';
  return badAuthority(exchange.authority) ? 'http.invalid_authority' : null;
}

const upgradeName = Buffer.from('upgrade');
const upgradeId = knownId('upgrade');

function badPath(path: string): boolean {
  for (let i = 0; i < path.length; i++) if (targetByte[path.charCodeAt(i)] !== 1) return true;
  return false;
}

/**
 * Takes scheme, authority and path of an HTTP/2 request (RFC 9113 §8.3.1). An extended CONNECT becomes what it is in HTTP/1, a
 * GET that asks for an upgrade (RFC 8441 §5). Returns what is wrong, in Envoy's words, or null.
 */
export function readPseudoFields(exchange: ActiveExchange, section: FieldSection): string | null {
  const { authority, path, protocol } = section;
  exchange.authority = authority;
  exchange.path = path;
  exchange.originalPath = path;
  if (protocol !== '') {
    exchange.method = 'GET';
    section.block.upgrade = true;
    section.block.insert(upgradeId, upgradeName, Buffer.from(protocol, 'latin1'));
    exchange.requestFraming = 'none';
  }
  const scheme = section.scheme.toLowerCase();
  if (scheme === 'https' || scheme === 'http') exchange.scheme = scheme;
  else if (scheme !== '') return 'http2.invalid_scheme';
  if (authority === '') return 'missing_host_header';
  if (badAuthority(authority)) return 'http.invalid_authority';
  if (exchange.method === 'CONNECT') return null;
  if (path.charCodeAt(0) !== 47 && !(path === '*' && exchange.method === 'OPTIONS')) return 'missing_path_rejected';
  return badPath(path) ? 'http.invalid_path' : null;
}
