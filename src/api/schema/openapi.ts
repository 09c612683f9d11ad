/** Schema → the structural OpenAPI v3 schema of a CustomResourceDefinition. */
import type { Node } from './schema.ts';

export type OpenApi = { [key: string]: unknown };

export function openApiOf(node: Node): OpenApi {
  const schema: OpenApi = { ...shapeOf(node) };
  if (node.description) schema.description = node.description;
  if (node.nullable) schema.nullable = true;
  if (node.cel && node.cel.length > 0)
    schema['x-kubernetes-validations'] = node.cel.map(({ rule, message }) => ({ message, rule }));
  return schema;
}

function shapeOf(node: Node): OpenApi {
  switch (node.type) {
    case 'string': {
      const { format, minLength, maxLength, pattern } = node;
      return given({ type: 'string', format, minLength, maxLength, pattern });
    }
    case 'enum':
      return { type: 'string', enum: node.values };
    case 'boolean':
      return { type: 'boolean' };
    case 'integer':
    case 'number':
      return given({ type: node.type, format: node.format, minimum: node.minimum, maximum: node.maximum });
    case 'intOrString':
      return { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true };
    case 'anything':
      return { 'x-kubernetes-preserve-unknown-fields': true };
    case 'array':
      return given({
        type: 'array',
        items: openApiOf(node.items),
        minItems: node.minItems,
        maxItems: node.maxItems,
        'x-kubernetes-list-map-keys': node.listMapKeys,
        'x-kubernetes-list-type': node.listMapKeys && 'map',
      });
    case 'map':
      return given({
        type: 'object',
        additionalProperties: openApiOf(node.values),
        minProperties: node.minProperties,
        maxProperties: node.maxProperties,
      });
    case 'object': {
      const fields = Object.entries(node.fields);
      const needed = fields.flatMap(([name, field]) => (field.isRequired ? [name] : []));
      return given({
        type: 'object',
        properties:
          fields.length > 0 ? Object.fromEntries(fields.map(([name, field]) => [name, openApiOf(field)])) : undefined,
        required: needed.length > 0 ? needed : undefined,
        ...oneOfGroups(node.oneOf ?? []),
        'x-kubernetes-preserve-unknown-fields': node.unlisted && true,
      });
    }
  }
}

function given(schema: OpenApi): OpenApi {
  return Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined));
}

/** "At most one of these": none of them, or just one. */
function oneOfGroups(groups: ReadonlyArray<readonly string[]>): OpenApi {
  const alternatives = groups.map((group) => {
    const each = group.map((name) => ({ required: [name] }));
    return { oneOf: [{ not: { anyOf: each } }, ...each] };
  });
  return alternatives.length > 1 ? { allOf: alternatives } : (alternatives[0] ?? {});
}
