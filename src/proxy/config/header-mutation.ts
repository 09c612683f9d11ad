import type { HeaderMutation as MutationMessage } from '../../xds/gen/envoy/config/common/mutation_rules/v3/mutation_rules_pb.js';
import type { HeaderValueOption } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Mutations } from '../../xds/gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js';
import { textFormat } from '../telemetry/format.ts';
import type { Field } from './field.ts';
import type { HeaderMutation, HeaderMutations, HeaderValue } from './table.ts';

const actions = ['append', 'addIfAbsent', 'overwrite', 'overwriteIfExists'] as const;

/** Null when nothing is changed. `prefix` is `request_headers` or `response_headers`. */
export function compileMutation(
  field: Field,
  prefix: 'request_headers' | 'response_headers',
  add: readonly HeaderValueOption[],
  remove: readonly string[],
): HeaderMutation | null {
  if (add.length === 0 && remove.length === 0) return null;
  const added: Array<HeaderMutation['add'][number]> = [];
  for (const [i, option] of add.entries()) {
    const at = field.at(`${prefix}_to_add`, i);
    const name = option.header?.key.toLowerCase() ?? '';
    if (!/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))
      at.at('header')
        .at('key')
        .fail(`${JSON.stringify(name)} is no header name`);
    const text = option.header?.rawValue.length
      ? Buffer.from(option.header.rawValue).toString('latin1')
      : (option.header?.value ?? '');
    if (/[\r\n\0]/.test(text)) at.at('header').at('value').fail('has a line break');
    if (text === '' && !option.keepEmptyValue) continue;
    const action = option.append === false ? 'overwrite' : (actions[option.appendAction] ?? 'append');
    added.push({
      name,
      value: compileHeaderValue(at.at('header').at('value'), text),
      action,
      keepEmpty: option.keepEmptyValue,
    });
  }
  for (const [i, name] of remove.entries())
    if (/^(:|host$)/i.test(name)) field.at(`${prefix}_to_remove`, i).fail(`${name} may not be removed`);
  return { add: added, remove: remove.map((name) => name.toLowerCase()) };
}

function compileHeaderValue(field: Field, text: string): HeaderValue {
  if (!text.includes('%')) return text;
  try {
    return textFormat(text, '') as HeaderValue;
  } catch (error) {
    field.fail((error as Error).message);
    return '';
  }
}

/** Of a header mutation filter. Its changes are made in the order given (Envoy: HeaderMutations). */
export function compileMutations(field: Field, message: Mutations | undefined): HeaderMutations {
  return {
    request: compileSteps(field.at('request_mutations'), 'request_headers', message?.requestMutations ?? []),
    response: compileSteps(field.at('response_mutations'), 'response_headers', message?.responseMutations ?? []),
  };
}

/** In as few steps as keep their order: within one, removals come before additions. */
function compileSteps(
  field: Field,
  prefix: 'request_headers' | 'response_headers',
  messages: readonly MutationMessage[],
): HeaderMutation[] {
  const steps: HeaderMutation[] = [];
  let last: { add: HeaderMutation['add'][number][]; remove: string[] } | null = null;
  for (const [i, { action }] of messages.entries()) {
    const at = field.at(`[${i}]`);
    if (action.case === undefined) at.fail('has neither append nor remove');
    const compiled =
      action.case === 'append'
        ? compileMutation(at, prefix, [action.value], [])
        : compileMutation(at, prefix, [], [action.value ?? '']);
    if (compiled === null) continue;
    if (last === null || (last.add.length > 0 && compiled.remove.length > 0)) {
      last = { add: [], remove: [] };
      steps.push(last);
    }
    last.add.push(...compiled.add);
    last.remove.push(...compiled.remove);
  }
  return steps;
}

/** First what `first` does, then `second`: Envoy goes from the most specific level to the least. */
export function joined(first: HeaderMutation | null, second: HeaderMutation | null): HeaderMutation | null {
  if (!first || !second) return first ?? second;
  return { add: [...first.add, ...second.add], remove: [...first.remove, ...second.remove] };
}
