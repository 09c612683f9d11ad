/**
 * A JSON object of formats, compiled to the pieces of its line: constants, and operators whose values are written between
 * them. Names are in order, as Envoy writes them; a value that is one operator keeps its type, any other is text.
 */
import type { LogSubject } from './access-log.ts';
import { asUtf8, metadataText, parseFormat, textFormat } from './format.ts';
import type { Operator, Value } from './operator.ts';

/** What JSON may not hold as it is (RFC 8259 §7). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that must be escaped.
const escaped = /["\\\u0000-\u001f\u007f-\uffff]/;

const quoted = (text: string): string => (escaped.test(text) ? JSON.stringify(text) : `"${text}"`);

export function jsonValue(value: Value): string {
  if (typeof value === 'string') return escaped.test(value) ? JSON.stringify(asUtf8(value)) : `"${value}"`;
  if (typeof value === 'number') return String(value);
  if (value === null) return 'null';
  return typeof value === 'object' ? metadataText(value) : String(value);
}

type Piece = (subject: LogSubject) => string;
type Node = { readonly constant: string } | { readonly operator: Operator } | { readonly text: Piece } | Structure;
interface Structure {
  readonly open: '{' | '[';
  readonly items: ReadonlyArray<{ readonly name: string; readonly node: Node }>;
}

function nodeOf(value: unknown, omitEmpty: boolean): Node {
  if (typeof value === 'string') {
    const parts = parseFormat(value);
    if (parts.length === 0) return { constant: '""' };
    if (parts.length === 1)
      return typeof parts[0] === 'string' ? { constant: JSON.stringify(parts[0]) } : { operator: parts[0] };
    const text = textFormat(value, omitEmpty ? '' : '-', true);
    return { text: (subject) => quoted(text(subject)) };
  }
  if (Array.isArray(value))
    return { open: '[', items: value.map((item) => ({ name: '', node: nodeOf(item, omitEmpty) })) };
  if (typeof value === 'object' && value !== null)
    return {
      open: '{',
      items: Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, item]) => ({ name: `${JSON.stringify(name)}:`, node: nodeOf(item, omitEmpty) })),
    };
  return { constant: jsonValue(value as Value) };
}

/** The line without anything left out: constants run together, so that only what varies is made anew. */
function flat(root: Node): Piece {
  const pieces: Array<string | Operator | Piece> = [];
  const kinds: boolean[] = [];
  let constant = '';
  const put = (piece: Operator | Piece, isOperator: boolean) => {
    pieces.push(constant, piece);
    kinds.push(false, isOperator);
    constant = '';
  };
  const walk = (node: Node) => {
    if ('constant' in node) constant += node.constant;
    else if ('operator' in node) put(node.operator, true);
    else if ('text' in node) put(node.text, false);
    else {
      constant += node.open;
      for (const [i, { name, node: item }] of node.items.entries()) {
        constant += i === 0 ? name : `,${name}`;
        walk(item);
      }
      constant += node.open === '{' ? '}' : ']';
    }
  };
  walk(root);
  pieces.push(`${constant}\n`);
  kinds.push(false);
  // Most values are those of the line before: comparing them is cheaper than quoting them again.
  const lastValues: Value[] = pieces.map(() => null);
  const lastTexts: string[] = pieces.map(() => 'null');
  return (subject) => {
    let line = '';
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i];
      if (typeof piece === 'string') line += piece;
      else if (kinds[i]) {
        const value = (piece as Operator)(subject);
        if (value !== lastValues[i] || typeof value === 'object') {
          lastValues[i] = value;
          lastTexts[i] = jsonValue(value);
        }
        line += lastTexts[i];
      } else line += (piece as Piece)(subject);
    }
    return line;
  };
}

/** '' for what is left out: no value, and an object in which nothing is left. */
function omitting(node: Node): Piece {
  if ('constant' in node) return node.constant === 'null' ? () => '' : () => node.constant;
  if ('text' in node) return node.text;
  if ('operator' in node) {
    const { operator } = node;
    return (subject) => {
      const value = operator(subject);
      return value === null ? '' : jsonValue(value);
    };
  }
  const items = node.items.map((item) => ({ name: item.name, piece: omitting(item.node) }));
  const array = node.open === '[';
  return (subject) => {
    let inside = '';
    for (const { name, piece } of items) {
      const value = piece(subject);
      if (value === '') continue;
      inside += inside === '' ? name + value : `,${name}${value}`;
    }
    if (array) return `[${inside}]`;
    return inside === '' ? '' : `{${inside}}`;
  };
}

/** The whole line with its line end. Throws an Error that names what is no operator. */
export function jsonFormat(fields: Record<string, unknown>, omitEmpty: boolean): (subject: LogSubject) => string {
  const root = nodeOf(fields, omitEmpty);
  if (!omitEmpty) return flat(root);
  const piece = omitting(root);
  return (subject) => `${piece(subject) || '{}'}\n`;
}
