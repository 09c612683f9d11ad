/**
 * Regular expressions of users, matched in linear time: the common shapes compile to string comparisons, everything else runs
 * on RE2's algorithm (package re2js), which is loaded when the first such pattern arrives.
 */
import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';

/** Longer patterns are refused. */
const maxPatternLength = 4096;

const load = createRequire(import.meta.url);
let engine: typeof RE2JS | null = null;

function compileRe2(pattern: string): RE2JS {
  engine ??= (load('re2js') as { RE2JS: typeof RE2JS }).RE2JS;
  return engine.compile(pattern);
}

function checkLength(pattern: string): void {
  if (pattern.length > maxPatternLength)
    throw new Error(`the pattern has ${pattern.length} characters; at most ${maxPatternLength} are allowed`);
}

/** A literal with its escapes undone, or null when the text has an operator in it. */
function literal(text: string): string | null {
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '\\') {
      i++;
      if (i === text.length || /[\w]/.test(text[i])) return null;
      out += text[i];
    } else if (/[.^$*+?()[\]{}|]/.test(c)) return null;
    else out += c;
  }
  return out;
}

function alternatives(text: string): string[] | null {
  const inner = /^\((?:\?:)?([^()]*)\)$/.exec(text)?.[1] ?? text;
  const parts = inner.split('|').map(literal);
  return parts.length > 1 && parts.every((p) => p !== null) ? (parts as string[]) : null;
}

function commonShape(pattern: string): ((text: string) => boolean) | null {
  const text = pattern.replace(/^\^/, '').replace(/(?<!\\)\$$/, '');
  if (text === '.*') return () => true;
  if (text === '.+') return (value) => value.length > 0;
  const exact = literal(text);
  if (exact !== null) return (value) => value === exact;
  const set = alternatives(text);
  if (set) {
    const members = new Set(set);
    return (value) => members.has(value);
  }
  const head = text.startsWith('.*');
  const tail = /(?:^|[^\\])\.([*+])$/.exec(text);
  const middle = literal(text.slice(head ? 2 : 0, tail ? -2 : undefined));
  if (middle === null || text.length < (head ? 2 : 0) + (tail ? 2 : 0)) return null;
  const least = tail?.[1] === '+' ? middle.length + 1 : 0;
  if (head && tail) return least ? null : (value) => value.includes(middle);
  if (tail) return (value) => value.length >= least && value.startsWith(middle);
  return head ? (value) => value.endsWith(middle) : null;
}

/**
 * Compiles a pattern in RE2's syntax to a test of whole strings (Envoy: a safe_regex must match all of the value).
 * Throws an Error that says what is wrong with the pattern.
 */
export function compileRegex(pattern: string): (text: string) => boolean {
  checkLength(pattern);
  const shape = commonShape(pattern);
  if (shape) return shape;
  const compiled = compileRe2(pattern);
  return (text) => compiled.matches(text);
}

/**
 * Compiles a pattern and a substitution in RE2's notation (`\1` is the first group, `\\` a backslash) to a function that replaces
 * every match (Envoy: regex_rewrite). Throws an Error for a bad pattern or a group that it does not have.
 */
export function compileReplace(pattern: string, substitution: string): (text: string) => string {
  checkLength(pattern);
  const compiled = compileRe2(pattern);
  const groups = compiled.groupCount();
  const parts: Array<string | number> = [];
  for (const [part, escaped] of substitution.matchAll(/\\([\s\S]?)|[^\\]+/g)) {
    if (escaped === undefined) parts.push(part);
    else if (escaped === '\\') parts.push('\\');
    else if (!/^\d$/.test(escaped)) throw new Error(`the substitution has an unknown escape "\\${escaped}"`);
    else if (Number(escaped) > groups)
      throw new Error(`the substitution names group ${escaped}, the pattern has ${groups}`);
    else parts.push(Number(escaped));
  }
  return (text) => {
    const matcher = compiled.matcher(text);
    let out = '';
    let end = 0;
    while (matcher.find()) {
      out += text.slice(end, matcher.start());
      for (const part of parts) out += typeof part === 'string' ? part : (matcher.group(part) ?? '');
      end = matcher.end();
    }
    return out + text.slice(end);
  };
}
