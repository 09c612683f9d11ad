import type { RuntimeFractionalPercent } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { CorsPolicy } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { CorsPolicySchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { millionths } from './fault.ts';
import { type Field, words } from './field.ts';
import { compileString } from './string-match.ts';
import type { Cors } from './table.ts';

const known = words(
  'allow_origin_string_match allow_methods allow_headers expose_headers max_age allow_credentials filter_enabled allow_private_network_access',
);

/** Null when the policy is switched off. A share between none and all is refused: half-enforced CORS helps nobody. */
export function compileCors(field: Field, policy: CorsPolicy): Cors | null {
  field.only(CorsPolicySchema, policy, known);
  if (!fullyEnabled(field.at('filter_enabled'), policy.filterEnabled)) return null;
  return {
    origins: policy.allowOriginStringMatch.map((m, i) => compileString(field.at('allow_origin_string_match', i), m)),
    methods: policy.allowMethods,
    headers: policy.allowHeaders,
    expose: policy.exposeHeaders,
    maxAge: policy.maxAge,
    allowCredentials: policy.allowCredentials ?? false,
    allowPrivateNetwork: policy.allowPrivateNetworkAccess ?? false,
  };
}

function fullyEnabled(field: Field, fraction: RuntimeFractionalPercent | undefined): boolean {
  const share = millionths(fraction?.defaultValue, 1_000_000);
  if (share !== 0 && share !== 1_000_000) field.fail('only 0 % and 100 % are supported');
  return share !== 0;
}
