/** Istio's string matches as Envoy's. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { StringMatch } from '../../api/istio/common.ts';
import type { HeaderMatcherSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { StringMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';

export type StringMatcher = MessageInitShape<typeof StringMatcherSchema>;
export type HeaderMatcher = MessageInitShape<typeof HeaderMatcherSchema>;

export const exact = (value: string, ignoreCase = false): StringMatcher => ({
  matchPattern: { case: 'exact', value },
  ignoreCase,
});
export const prefix = (value: string, ignoreCase = false): StringMatcher => ({
  matchPattern: { case: 'prefix', value },
  ignoreCase,
});
export const suffix = (value: string, ignoreCase = false): StringMatcher => ({
  matchPattern: { case: 'suffix', value },
  ignoreCase,
});
export const regex = (value: string): StringMatcher => ({
  matchPattern: { case: 'safeRegex', value: { regex: value } },
});

/** Null for a match with nothing in it, which Istio reads as "present". */
export function stringMatcher(match: StringMatch | null | undefined): StringMatcher | null {
  if (match?.exact !== undefined) return exact(match.exact);
  if (match?.prefix !== undefined) return prefix(match.prefix);
  if (match?.regex !== undefined) return match.regex === '*' ? null : regex(match.regex);
  return null;
}

export function headerMatcher(name: string, match: StringMatch | null | undefined, invert = false): HeaderMatcher {
  const value = stringMatcher(match);
  return {
    name: name.toLowerCase(),
    invertMatch: invert,
    // Who must not send a value need not send the header at all.
    treatMissingHeaderAsEmpty: invert && value !== null,
    headerMatchSpecifier: value ? { case: 'stringMatch', value } : { case: 'presentMatch', value: true },
  };
}

export function headerEquals(name: string, value: StringMatcher): HeaderMatcher {
  return { name, headerMatchSpecifier: { case: 'stringMatch', value } };
}

export function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
