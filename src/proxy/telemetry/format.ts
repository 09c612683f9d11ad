/** Format strings with Envoy's command operators, compiled to a flat list once and run for each request. */
import type { LogSubject } from './access-log.ts';
import type { Operator, Value } from './operator.ts';
import { operatorOf } from './operators.ts';

const operatorPattern = /%(?:%|([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%)/g;

/** Cuts a format into literals and operators. Throws an Error that names what is no operator. */
export function parseFormat(format: string): Array<string | Operator> {
  const parts: Array<string | Operator> = [];
  let end = 0;
  let literal = '';
  const keep = (piece: string) => {
    if (piece.includes('%')) throw new Error(`${JSON.stringify(piece)} has a % that begins no command operator`);
    literal += piece;
  };
  for (const match of format.matchAll(operatorPattern)) {
    keep(format.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[0] === '%%') {
      literal += '%';
      continue;
    }
    if (literal !== '') parts.push(literal);
    literal = '';
    const [, name, argument, length] = match;
    parts.push(operatorOf(name, argument ?? null, length === undefined ? null : Number(length)));
  }
  keep(format.slice(end));
  if (literal !== '') parts.push(literal);
  return parts;
}

/** JSON of metadata, in which Envoy orders the names. */
export function metadataText(value: object): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, sorted(item)]),
  );
}

export function valueText(value: Value, absent: string): string {
  if (typeof value === 'string') return value;
  if (value === null) return absent;
  return typeof value === 'object' ? metadataText(value) : String(value);
}

const highByte = /[\u0080-\u00ff]/;

/** Header values are bytes that were read as ISO 8859-1: UTF-8 in them becomes what its sender meant. */
export function asUtf8(text: string): string {
  return highByte.test(text) ? Buffer.from(text, 'latin1').toString() : text;
}

/**
 * One function for the whole text; a missing value is written as `absent`. `utf8` is for logs; the values of headers stay bytes
 * read as ISO 8859-1.
 */
export function textFormat(format: string, absent: string, utf8 = false): (subject: LogSubject) => string {
  const parts = parseFormat(format);
  return (subject) => {
    let line = '';
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i];
      if (typeof part === 'string') line += part;
      else {
        const value = valueText(part(subject), absent);
        line += utf8 ? asUtf8(value) : value;
      }
    }
    return line;
  };
}
