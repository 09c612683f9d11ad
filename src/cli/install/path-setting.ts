/** `--set PATH=VALUE`, as istioctl reads it: `profile=demo`, `meshConfig.accessLogFile=/dev/stdout`, `components.egressGateways[0].enabled=true`. */
import { usageError } from '../exit.ts';

export type Tree = { [key: string]: unknown };

type Segment = { key: string } | { index: number } | { where: [key: string, value: string] };

/** More elements than any list of an installation has; an index typed wrong must not fill the memory. */
const maxIndex = 100;

/** Writes one setting into the tree. Throws a usage error that quotes it. */
export function applySetting(tree: Tree, setting: string): void {
  const equals = setting.indexOf('=');
  if (equals <= 0) throw usageError(`--set ${setting}: write PATH=VALUE, such as --set profile=demo`);
  const segments = segmentsOf(setting.slice(0, equals), setting);
  const value = typedValue(setting.slice(equals + 1));
  let node: unknown = tree;
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    const next = segments[i + 1];
    const fresh = isLast ? value : next && 'key' in next ? {} : [];
    node = step(node, segment, fresh, isLast, setting);
  }
}

/** Enters one segment, making what is absent; the last one is replaced. */
function step(node: unknown, segment: Segment, fresh: unknown, isLast: boolean, setting: string): unknown {
  const wrong = () => usageError(`--set ${setting}: the path does not fit what an earlier setting or file says there`);
  if ('key' in segment) {
    if (typeof node !== 'object' || node === null || Array.isArray(node)) throw wrong();
    const object = node as Tree;
    if (isLast || object[segment.key] === undefined || object[segment.key] === null) object[segment.key] = fresh;
    return object[segment.key];
  }
  if (!Array.isArray(node)) throw wrong();
  let index: number;
  if ('index' in segment) {
    index = segment.index;
    while (node.length < index) node.push({});
  } else {
    const [key, value] = segment.where;
    index = node.findIndex(
      (element) => typeof element === 'object' && element !== null && (element as Tree)[key] === value,
    );
    if (index < 0) index = node.push({ [key]: value }) - 1;
  }
  if (isLast || node[index] === undefined) node[index] = fresh;
  return node[index];
}

function segmentsOf(path: string, setting: string): Segment[] {
  const segments: Segment[] = [];
  // A dot that belongs to a key is written `\.`, as in annotations.
  for (const match of path.matchAll(/\[([^\]]*)\]|((?:\\.|[^.[\\])+)|(\.)/g)) {
    const [, inBrackets, key] = match;
    if (key !== undefined) {
      const name = key.replaceAll(/\\(.)/g, '$1');
      if (['__proto__', 'constructor', 'prototype'].includes(name))
        throw usageError(`--set ${setting}: no such field: ${name}`);
      segments.push({ key: name });
    } else if (inBrackets !== undefined) {
      const colon = inBrackets.indexOf(':');
      const index = Number(inBrackets);
      if (colon > 0) segments.push({ where: [inBrackets.slice(0, colon), inBrackets.slice(colon + 1)] });
      else if (Number.isInteger(index) && index >= 0 && index <= maxIndex && inBrackets !== '')
        segments.push({ index });
      else
        throw usageError(`--set ${setting}: [${inBrackets}] is neither a position below ${maxIndex} nor [name:VALUE]`);
    }
  }
  if (segments.length === 0 || !('key' in segments[0]))
    throw usageError(`--set ${setting}: the path must begin with a field's name`);
  return segments;
}

/** Typed as YAML types scalars; quotes keep text text. */
function typedValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  if (/^-?(0|[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  const quoted = /^(["'])(.*)\1$/.exec(text);
  return quoted ? quoted[2] : text;
}

/** Lays `above` over `base`: objects are merged, lists by position, everything else is replaced. */
export function overlay(base: unknown, above: unknown): unknown {
  if (above === undefined) return base;
  if (Array.isArray(base) && Array.isArray(above)) {
    const length = Math.max(base.length, above.length);
    return Array.from({ length }, (_, i) => overlay(base[i], above[i]));
  }
  if (!isTree(base) || !isTree(above)) return above;
  const merged: Tree = { ...base };
  for (const [key, value] of Object.entries(above)) merged[key] = overlay(base[key], value);
  return merged;
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
