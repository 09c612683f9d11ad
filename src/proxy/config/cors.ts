import type { CorsPolicy } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { CorsPolicySchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { millionths } from './fault.ts';
import { type Field, words } from './field.ts';
import { compileString } from './string-match.ts';
import type { Cors } from './table.ts';

const known =
  words(`allow_origin_string_match allow_methods allow_headers expose_headers max_age allow_credentials filter_enabled
  shadow_enabled allow_private_network_access forward_not_matching_preflights`);

export function compileCors(field: Field, policy: CorsPolicy): Cors {
  field.only(CorsPolicySchema, policy, known);
  return {
    // A runtime share without a default value is none (Envoy: RuntimeFractionalPercent).
    enabledMillionths: policy.filterEnabled ? millionths(policy.filterEnabled.defaultValue, 0) : 1_000_000,
    shadowMillionths: millionths(policy.shadowEnabled?.defaultValue, 0),
    origins: policy.allowOriginStringMatch.map((m, i) => compileString(field.at('allow_origin_string_match', i), m)),
    methods: policy.allowMethods,
    headers: policy.allowHeaders,
    expose: policy.exposeHeaders,
    maxAge: policy.maxAge,
    allowCredentials: policy.allowCredentials ?? null,
    allowPrivateNetwork: policy.allowPrivateNetworkAccess ?? null,
    forwardsOthers: policy.forwardNotMatchingPreflights ?? null,
  };
}
