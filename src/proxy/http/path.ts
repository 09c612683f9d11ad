/**
 * What is done to a path before anything looks at it, so that a policy and the application see the same one
 * (Envoy: path_with_escaped_slashes_action, then normalize_path, then merge_slashes; RFC 3986 §6.2.2).
 */
import type { HttpManager } from '../config/table.ts';

export interface NormalizedPath {
  /** Path with the query as it came. */
  readonly path: string;
  /** The caller is to be sent there by a 307. */
  readonly redirect: boolean;
}

export type PathRules = Pick<HttpManager, 'normalizePath' | 'mergeSlashes' | 'escapedSlashes'>;

/** Rounds after which a path that still changes is refused: only crafted ones do. */
const maxRounds = 4;

/** Null for a path that must be refused with status 400. */
export function normalizePath(path: string, rules: PathRules): NormalizedPath | null {
  if (!mayChange(path)) return { path, redirect: false };
  const cut = /[?#]/.exec(path)?.index ?? path.length;
  const rest = path.slice(cut);
  let current = path.slice(0, cut);
  let redirect = false;
  for (let round = 0; round < maxRounds; round++) {
    let next = current;
    if (rules.escapedSlashes !== 'keep' && /%(2f|5c)/i.test(next)) {
      if (rules.escapedSlashes === 'reject') return null;
      next = next.replace(/%2f/gi, '/').replace(/%5c/gi, '\\');
      redirect ||= rules.escapedSlashes === 'unescapeAndRedirect';
    }
    if (rules.normalizePath) {
      const canonical = canonicalPath(next);
      if (canonical === null) return null;
      next = canonical;
    }
    if (rules.mergeSlashes) next = next.replace(/\/{2,}/g, '/');
    if (next === current) return { path: current + rest, redirect };
    current = next;
  }
  return null;
}

/** One scan for what most paths do not have: an escape, a backslash, a dot after a slash, two slashes. */
function mayChange(path: string): boolean {
  let previous = 0;
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    if (c === 0x3f || c === 0x23) return false;
    if (c === 0x25 || c === 0x5c) return true;
    if (previous === 0x2f && (c === 0x2e || c === 0x2f)) return true;
    previous = c;
  }
  return false;
}

/** Unreserved characters unescaped, backslashes turned, dot segments removed; null when it is no absolute path or holds %00. */
function canonicalPath(path: string): string | null {
  if (!path.startsWith('/')) return path === '*' ? path : null;
  if (path.includes('%00')) return null;
  const unescaped = path
    .replace(/%([0-9a-f]{2})/gi, (encoded, hex) => {
      const c = String.fromCharCode(Number.parseInt(hex, 16));
      return /[A-Za-z0-9._~-]/.test(c) ? c : encoded;
    })
    .replaceAll('\\', '/');
  if (!/\/\.\.?(;[^/]*)?(\/|$)/.test(unescaped)) return unescaped;
  const kept: string[] = [];
  const segments = unescaped.split('/').slice(1);
  for (const [i, given] of segments.entries()) {
    const isLast = i === segments.length - 1;
    // Servers that know parameters of segments take `..;x` for `..`.
    const segment = /^\.\.?;/.test(given) ? given.slice(0, given.indexOf(';')) : given;
    if (segment === '..') kept.pop();
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (isLast) kept.push('');
  }
  return `/${kept.join('/')}`;
}
