import type { HeaderMatcher } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { StringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { type Field, regexTest } from './field.ts';
import type { StringMatch } from './match.ts';
import type { HeaderMatch } from './table.ts';

const never: StringMatch = { test: () => false, text: 'nothing' };

/** A StringMatcher; `ignore_case` does not touch regular expressions (Envoy's documented rule). */
export function compileString(field: Field, matcher: StringMatcher | undefined): StringMatch {
  const pattern = matcher?.matchPattern;
  if (!matcher || !pattern?.case) {
    field.fail('has no pattern');
    return never;
  }
  if (pattern.case === 'safeRegex') return regexMatch(field.at('safe_regex').at('regex'), pattern.value.regex);
  if (pattern.case === 'custom') {
    field.at('custom').fail('is not supported');
    return never;
  }
  const { ignoreCase } = matcher;
  const wanted = ignoreCase ? pattern.value.toLowerCase() : pattern.value;
  const test = literalTest(pattern.case, wanted);
  return {
    test: ignoreCase ? (value) => test(value.toLowerCase()) : test,
    text: `${pattern.case} ${JSON.stringify(pattern.value)}${ignoreCase ? ' in any case' : ''}`,
  };
}

export function exactly(value: string): StringMatch {
  return { test: literalTest('exact', value), text: `exact ${JSON.stringify(value)}` };
}

export function regexMatch(field: Field, pattern: string): StringMatch {
  return { test: regexTest(field, pattern), text: `regex ${JSON.stringify(pattern)}` };
}

function literalTest(kind: 'exact' | 'prefix' | 'suffix' | 'contains', wanted: string): (value: string) => boolean {
  if (kind === 'exact') return (value) => value === wanted;
  if (kind === 'prefix') return (value) => value.startsWith(wanted);
  if (kind === 'suffix') return (value) => value.endsWith(wanted);
  return (value) => value.includes(wanted);
}

export function compileHeader(field: Field, matcher: HeaderMatcher): HeaderMatch {
  const { case: kind, value } = matcher.headerMatchSpecifier;
  if (!matcher.name) field.at('name').fail('is empty');
  const base = {
    name: matcher.name.toLowerCase(),
    invert: matcher.invertMatch,
    treatMissingAsEmpty: matcher.treatMissingHeaderAsEmpty,
  };
  const string = (match: StringMatch): HeaderMatch => ({ ...base, kind: 'string', match, range: null });
  switch (kind) {
    case undefined:
      return { ...base, kind: 'present', match: null, range: null };
    case 'presentMatch':
      return { ...base, kind: 'present', match: null, range: null, invert: base.invert !== !value };
    case 'exactMatch':
      return string(exactly(value));
    case 'prefixMatch':
    case 'suffixMatch':
    case 'containsMatch': {
      const plain = kind.slice(0, -'Match'.length) as 'prefix' | 'suffix' | 'contains';
      return string({ test: literalTest(plain, value), text: `${plain} ${JSON.stringify(value)}` });
    }
    case 'safeRegexMatch':
      return string(regexMatch(field.at('safe_regex_match').at('regex'), value.regex));
    case 'stringMatch':
      return string(compileString(field.at('string_match'), value));
    case 'rangeMatch':
      return { ...base, kind: 'range', match: null, range: { start: Number(value.start), end: Number(value.end) } };
  }
}
