/** Schema → a function that checks a value and collects every problem. */
import { nearestWord } from '../../lib/nearest-word.ts';
import type { Findings } from './findings.ts';
import { show } from './problem.ts';
import type { CelRule, Node, Rule } from './schema.ts';

/**
 * Puts what is wrong with `value` into `findings`. Returns whether the value has the shape that the schema's TypeScript
 * type promises; rules are run only on values that have it.
 */
export type Check = (value: unknown, findings: Findings) => boolean;

const compiled = new WeakMap<Node, Check>();

export function validatorOf(node: Node): Check {
  let check = compiled.get(node);
  if (!check) {
    check = withRules(node, shapeOf(node));
    compiled.set(node, check);
  }
  return check;
}

function withRules(node: Node, shape: Check): Check {
  const cel = (node.cel ?? []) as ReadonlyArray<CelRule<unknown>>;
  const rules = (node.rules ?? []) as ReadonlyArray<Rule<unknown>>;
  const isScalar = node.type !== 'object' && node.type !== 'map' && node.type !== 'array';
  return (value, findings) => {
    if (value === null && node.nullable) return true;
    if (!shape(value, findings)) return false;
    for (const { holds, message } of cel)
      if (!holds(value)) findings.error([], isScalar ? `${message}, is ${show(value)}` : message);
    for (const rule of rules) rule(value, findings);
    return true;
  };
}

function shapeOf(node: Node): Check {
  switch (node.type) {
    case 'string':
      return stringShape(node);
    case 'enum':
      return enumShape(node.values);
    case 'boolean':
      return (value, findings) => typeof value === 'boolean' || wrongType(value, 'true or false', findings);
    case 'integer':
    case 'number':
      return numberShape(node);
    case 'intOrString':
      return (value, findings) =>
        typeof value === 'string' || Number.isInteger(value) || wrongType(value, 'an integer or a string', findings);
    case 'anything':
      return () => true;
    case 'array':
      return arrayShape(node);
    case 'map':
      return mapShape(node);
    case 'object':
      return objectShape(node);
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `the ${typeof value} ${show(value)}`;
}

function wrongType(value: unknown, wanted: string, findings: Findings): false {
  findings.error([], `must be ${wanted}, is ${typeName(value)}`, 'type');
  return false;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const formats: Record<string, { is(text: string): boolean; called: string }> = {
  'date-time': {
    is: (text) =>
      /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
    called: 'a time such as 2026-01-31T12:00:00Z',
  },
  byte: {
    is: (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text),
    called: 'base64 text that is not empty',
  },
};

function stringShape(node: Node & { type: 'string' }): Check {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = node;
  const pattern = node.pattern === undefined ? null : new RegExp(node.pattern);
  const format = node.format === undefined ? null : formats[node.format];
  return (value, findings) => {
    if (typeof value !== 'string') return wrongType(value, 'a string', findings);
    if (value.length < minLength)
      findings.error([], value === '' ? 'must not be empty' : `is shorter than ${minLength}`, 'range');
    else if (value.length > maxLength)
      findings.error([], `must have at most ${maxLength} characters, has ${value.length}`, 'range');
    else if (pattern && !pattern.test(value))
      findings.error([], `must match ${node.pattern}, is ${show(value)}`, 'format');
    if (format && !format.is(value)) findings.error([], `must be ${format.called}, is ${show(value)}`, 'format');
    return true;
  };
}

function enumShape(values: readonly string[]): Check {
  const known = new Set<unknown>(values);
  return (value, findings) => {
    if (typeof value !== 'string') return wrongType(value, `one of ${values.join(', ')}`, findings);
    if (known.has(value)) return true;
    const near = nearestWord(value, values);
    findings.error(
      [],
      `must be one of ${values.join(', ')}, is ${show(value)}${near ? `; did you mean "${near}"?` : ''}`,
      'enum',
    );
    return false;
  };
}

const int32Limit = 2 ** 31;

function numberShape(node: Node & { type: 'integer' | 'number' }): Check {
  const isInt32 = node.format === 'int32';
  const minimum = node.minimum ?? (isInt32 ? -int32Limit : Number.NEGATIVE_INFINITY);
  const maximum = node.maximum ?? (isInt32 ? int32Limit - 1 : Number.POSITIVE_INFINITY);
  const wanted = node.type === 'integer' ? 'an integer' : 'a number';
  return (value, findings) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return wrongType(value, wanted, findings);
    if (node.type === 'integer' && !Number.isInteger(value)) return wrongType(value, wanted, findings);
    if (value < minimum) findings.error([], `must be at least ${minimum}, is ${value}`, 'range');
    if (value > maximum) findings.error([], `must be at most ${maximum}, is ${value}`, 'range');
    return true;
  };
}

function arrayShape(node: Node & { type: 'array' }): Check {
  const item = validatorOf(node.items);
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, listMapKeys } = node;
  return (value, findings) => {
    if (!Array.isArray(value)) return wrongType(value, 'a list', findings);
    if (value.length < minItems)
      findings.error([], minItems === 1 ? 'must not be empty' : `must have at least ${minItems} entries`, 'range');
    if (value.length > maxItems) {
      findings.error([], `must have at most ${maxItems} entries, has ${value.length}`, 'range');
      return false;
    }
    let sound = true;
    for (let i = 0; i < value.length; i++) {
      findings.enter(i);
      if (!item(value[i], findings)) sound = false;
      findings.leave();
    }
    if (sound && listMapKeys) findDuplicates(value as Array<Record<string, unknown>>, listMapKeys, findings);
    return sound;
  };
}

function findDuplicates(items: Array<Record<string, unknown>>, keys: readonly string[], findings: Findings): void {
  const seen = new Map<string, number>();
  items.forEach((item, i) => {
    const id = JSON.stringify(keys.map((key) => item[key]));
    const first = seen.get(id);
    if (first === undefined) seen.set(id, i);
    else findings.error([i, keys[0]], `${show(item[keys[0]])} is used before, by entry ${first}`, 'duplicate');
  });
}

function mapShape(node: Node & { type: 'map' }): Check {
  const entry = validatorOf(node.values);
  const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = node;
  return (value, findings) => {
    if (!isRecord(value)) return wrongType(value, 'an object', findings);
    const keys = Object.keys(value);
    if (keys.length < minProperties)
      findings.error(
        [],
        minProperties === 1 ? 'must not be empty' : `must have at least ${minProperties} entries`,
        'range',
      );
    if (keys.length > maxProperties) {
      findings.error([], `must have at most ${maxProperties} entries, has ${keys.length}`, 'range');
      return false;
    }
    let sound = true;
    for (const key of keys) {
      findings.enter(key);
      if (!entry(value[key], findings)) sound = false;
      findings.leave();
    }
    return sound;
  };
}

function objectShape(node: Node & { type: 'object' }): Check {
  const fields = new Map(Object.entries(node.fields).map(([name, field]) => [name, validatorOf(field)]));
  const needed = Object.entries(node.fields).flatMap(([name, field]) => (field.isRequired ? [name] : []));
  return (value, findings) => {
    if (!isRecord(value)) return wrongType(value, 'an object', findings);
    let sound = true;
    for (const name of Object.keys(value)) {
      if (value[name] === undefined) continue;
      const field = fields.get(name);
      if (!field) {
        if (!node.unlisted)
          findings.error([name], `is not a known field${suggestion(name, value, fields.keys())}`, 'unknownField');
        else if (node.unlisted === 'warn')
          findings.warning([name], `is kept but not used${suggestion(name, value, fields.keys())}`, 'unknownField');
        continue;
      }
      findings.enter(name);
      if (!field(value[name], findings)) sound = false;
      findings.leave();
    }
    for (const name of needed) {
      if (value[name] !== undefined) continue;
      findings.error([name], 'is required', 'required');
      sound = false;
    }
    for (const group of node.oneOf ?? []) {
      const set = group.filter((name) => value[name] !== undefined);
      if (set.length > 1)
        findings.error([set[1]], `cannot be set together with ${set[0]}; choose one of ${group.join(', ')}`, 'oneOf');
    }
    return sound;
  };
}

function suggestion(name: string, value: Record<string, unknown>, known: Iterable<string>): string {
  const near = nearestWord(
    name,
    [...known].filter((field) => value[field] === undefined),
  );
  return near ? `; did you mean "${near}"?` : '';
}
