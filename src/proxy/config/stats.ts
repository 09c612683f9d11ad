import {
  type StatsConfig,
  StatsConfigSchema,
  type StatsMatcher,
  StatsMatcherSchema,
} from '../../xds/gen/envoy/config/metrics/v3/stats_pb.js';
import type { ListStringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { type Field, words } from './field.ts';
import { compileString } from './string-match.ts';

const known = words('stats_matcher use_all_default_tags');

/** Which statistics are told, by name; null tells all. Tags of one's own are refused by name: the default ones stand. */
export function compileStatsConfig(field: Field, message: StatsConfig | undefined): ((name: string) => boolean) | null {
  if (message === undefined) return null;
  field.only(StatsConfigSchema, message, known);
  if (message.useAllDefaultTags === false) field.at('use_all_default_tags').fail('false is not supported');
  return message.statsMatcher ? compileMatcher(field.at('stats_matcher'), message.statsMatcher) : null;
}

function compileMatcher(field: Field, message: StatsMatcher): ((name: string) => boolean) | null {
  field.only(StatsMatcherSchema, message, words('reject_all exclusion_list inclusion_list'));
  const { case: kind, value } = message.statsMatcher;
  if (kind === 'rejectAll') return value ? () => false : null;
  if (kind === undefined) {
    field.fail('is empty');
    return null;
  }
  const included = kind === 'inclusionList';
  const tests = patterns(field.at(included ? 'inclusion_list' : 'exclusion_list'), value);
  return (name) => tests.some((test) => test(name)) === included;
}

function patterns(field: Field, list: ListStringMatcher): Array<(name: string) => boolean> {
  if (list.patterns.length === 0) field.at('patterns').fail('is empty');
  return list.patterns.map((pattern, i) => compileString(field.at('patterns', i), pattern).test);
}
