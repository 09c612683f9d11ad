/** Schema → values of its shape, for properties. Rules and CEL are not looked at. */
import fc from 'fast-check';
import type { Node } from '../schema/schema.ts';

export function arbitraryOf(node: Node): fc.Arbitrary<unknown> {
  const shape = shapeOf(node);
  return node.nullable ? fc.option(shape, { nil: null, freq: 10 }) : shape;
}

function shapeOf(node: Node): fc.Arbitrary<unknown> {
  switch (node.type) {
    case 'string':
      if (node.format === 'date-time')
        return fc
          .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
          .map((date) => date.toISOString());
      if (node.format === 'byte') return fc.base64String({ minLength: 4 });
      if (node.pattern) return fc.stringMatching(/^[a-z]{1,20}$/);
      if (node.cel) return fc.integer({ min: 1, max: 1e6 }).map((ms) => `${ms}ms`);
      return fc.string({ minLength: node.minLength, maxLength: Math.min(node.maxLength ?? 12, 12) });
    case 'enum':
      return fc.constantFrom(...node.values);
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number': {
      const min = Math.max(node.minimum ?? 0, -(2 ** 31));
      const max = Math.min(node.maximum ?? 65_535, 65_535);
      return fc.integer({ min, max });
    }
    case 'intOrString':
      return fc.oneof(fc.nat(), fc.string());
    case 'anything':
      return fc.jsonValue({ maxDepth: 1 });
    case 'array': {
      const { listMapKeys, minItems, maxItems = 3 } = node;
      const options = { minLength: minItems, maxLength: Math.min(maxItems, 3) };
      if (!listMapKeys) return fc.array(arbitraryOf(node.items), options);
      const id = (item: unknown) => JSON.stringify(listMapKeys.map((key) => (item as Record<string, unknown>)[key]));
      return fc.uniqueArray(arbitraryOf(node.items), { ...options, selector: id });
    }
    case 'map':
      return fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), arbitraryOf(node.values), {
        minKeys: node.minProperties,
        maxKeys: 2,
        noNullPrototype: true,
      });
    case 'object': {
      const fields = Object.entries(node.fields);
      const needed = fields.flatMap(([name, field]) => (field.isRequired ? [name] : []));
      return fc
        .record(Object.fromEntries(fields.map(([name, field]) => [name, arbitraryOf(field)])), {
          requiredKeys: needed,
          noNullPrototype: true,
        })
        .map((value) => oneOfEach(value as Record<string, unknown>, node.oneOf ?? []));
    }
  }
}

function oneOfEach(value: Record<string, unknown>, groups: ReadonlyArray<readonly string[]>): Record<string, unknown> {
  for (const group of groups)
    for (const name of group.filter((field) => value[field] !== undefined).slice(1)) delete value[name];
  return value;
}
