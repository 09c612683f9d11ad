import type { MetadataMatcher } from '../../xds/gen/envoy/type/matcher/v3/metadata_pb.js';
import type { ValueMatcher } from '../../xds/gen/envoy/type/matcher/v3/value_pb.js';
import type { Field } from './field.ts';
import type { ValueMatch } from './match.ts';
import { compileString } from './string-match.ts';

const never: ValueMatch = { test: () => false, text: 'nothing' };

/** Envoy documentation, type.matcher.v3.ValueMatcher: a value of another type than the matcher's never matches. */
export function compileValue(field: Field, matcher: ValueMatcher | undefined): ValueMatch {
  const pattern = matcher?.matchPattern;
  switch (pattern?.case) {
    case 'nullMatch':
      return { test: (value) => value === null, text: 'null' };
    case 'stringMatch': {
      const { test, text } = compileString(field.at('string_match'), pattern.value);
      return { test: (value) => typeof value === 'string' && test(value), text };
    }
    case 'boolMatch': {
      const wanted = pattern.value;
      return { test: (value) => value === wanted, text: String(wanted) };
    }
    case 'presentMatch': {
      const wanted = pattern.value;
      return { test: (value) => (value !== undefined) === wanted, text: wanted ? 'present' : 'absent' };
    }
    case 'doubleMatch': {
      const number = pattern.value.matchPattern;
      if (number.case === 'exact') {
        const wanted = number.value;
        return { test: (value) => value === wanted, text: String(wanted) };
      }
      const { start = 0, end = 0 } = number.value ?? {};
      return {
        test: (value) => typeof value === 'number' && value >= start && value < end,
        text: `from ${start} to ${end}`,
      };
    }
    case 'listMatch': {
      const { test, text } = compileValue(field.at('list_match').at('one_of'), pattern.value.matchPattern.value);
      return { test: (value) => Array.isArray(value) && value.some(test), text: `one of the list ${text}` };
    }
    case 'orMatch': {
      const parts = pattern.value.valueMatchers.map((part, i) =>
        compileValue(field.at('or_match').at('value_matchers', i), part),
      );
      return {
        test: (value) => parts.some((part) => part.test(value)),
        text: parts.map(({ text }) => text).join(' or '),
      };
    }
    default:
      field.fail('has no pattern');
      return never;
  }
}

/** A MetadataMatcher; `invert` is for whoever asks to apply. */
export function compileMetadata(field: Field, matcher: MetadataMatcher) {
  return {
    filter: matcher.filter,
    path: matcher.path.map(({ segment }) => segment.value ?? ''),
    match: compileValue(field.at('value'), matcher.value),
    invert: matcher.invert,
  };
}
