/** What routes say about rate limits, for the local filter and for that which asks a service. */
import type {
  RateLimit_Action as ActionMessage,
  RateLimit as RuleMessage,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RateLimitSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { VhRateLimitsOptions } from '../../xds/gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js';
import type { LocalRateLimit } from '../../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import type {
  RateLimit,
  RateLimitPerRoute,
} from '../../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import {
  RateLimitSchema as RateLimitFilterSchema,
  RateLimitPerRouteSchema,
} from '../../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import type { MetadataKey } from '../../xds/gen/envoy/type/metadata/v3/metadata_pb.js';
import type { TokenBucket as BucketMessage } from '../../xds/gen/envoy/type/v3/token_bucket_pb.js';
import { millionths } from './fault.ts';
import { durationMs, type Field, words } from './field.ts';
import { compileGrpcService } from './grpc-service.ts';
import { compileMutation } from './header-mutation.ts';
import { compileQuery } from './route.ts';
import { compileHeader } from './string-match.ts';
import type {
  HostRateLimits,
  LocalRateLimitFilter,
  MetadataPath,
  RateLimitAction,
  RateLimitFilter,
  RateLimitRule,
  RouteRateLimit,
  TokenBucket,
} from './table.ts';

const knownLocal =
  words(`stat_prefix status token_bucket filter_enabled filter_enforced request_headers_to_add_when_not_enforced
  response_headers_to_add descriptors stage local_rate_limit_per_downstream_connection enable_x_ratelimit_headers
  vh_rate_limits always_consume_default_token_bucket rate_limited_as_resource_exhausted`);
const knownFilter =
  words(`domain stage request_type timeout failure_mode_deny rate_limited_as_resource_exhausted rate_limit_service
  enable_x_ratelimit_headers disable_x_envoy_ratelimited_header rate_limited_status response_headers_to_add
  status_on_error`);
const knownRoute = words('vh_rate_limits override_option domain');
const knownRule = words('stage actions limit');

const resourceExhausted = 8;
const hostLimits: readonly HostRateLimits[] = ['override', 'include', 'ignore'];

export function compileRateLimits(field: Field, rules: readonly RuleMessage[]): RateLimitRule[] {
  return rules.map((rule, i) => {
    const at = field.at('rate_limits', i);
    at.only(RateLimitSchema, rule, knownRule);
    if (rule.actions.length === 0) at.at('actions').fail('is empty');
    const { overrideSpecifier: limit } = rule.limit ?? { overrideSpecifier: { case: undefined } };
    return {
      stage: rule.stage ?? 0,
      actions: rule.actions.flatMap((action, a) => compileAction(at.at('actions', a), action) ?? []),
      limit: limit.case === 'dynamicMetadata' ? metadataPath(limit.value.metadataKey) : null,
    };
  });
}

function metadataPath(key: MetadataKey | undefined): MetadataPath {
  return { filter: key?.key ?? '', path: key?.path.map(({ segment }) => segment.value ?? '') ?? [] };
}

function compileAction(field: Field, { actionSpecifier: action }: ActionMessage): RateLimitAction | null {
  switch (action.case) {
    case 'sourceCluster':
    case 'destinationCluster':
    case 'remoteAddress':
      return { kind: action.case };
    case 'maskedRemoteAddress':
      return {
        kind: 'maskedRemoteAddress',
        v4Bits: action.value.v4PrefixMaskLen ?? 32,
        v6Bits: action.value.v6PrefixMaskLen ?? 128,
      };
    case 'requestHeaders':
      return {
        kind: 'header',
        name: action.value.headerName.toLowerCase(),
        key: action.value.descriptorKey,
        optional: action.value.skipIfAbsent,
      };
    case 'genericKey':
      return {
        kind: 'genericKey',
        key: action.value.descriptorKey || 'generic_key',
        value: action.value.descriptorValue,
      };
    case 'headerValueMatch':
      return {
        kind: 'headerMatch',
        key: action.value.descriptorKey || 'header_match',
        value: action.value.descriptorValue,
        expected: action.value.expectMatch ?? true,
        headers: action.value.headers.map((header, i) =>
          compileHeader(field.at('header_value_match').at('headers', i), header),
        ),
      };
    case 'queryParameterValueMatch':
      return {
        kind: 'queryMatch',
        key: action.value.descriptorKey || 'query_match',
        value: action.value.descriptorValue,
        expected: action.value.expectMatch ?? true,
        query: compileQuery(field.at('query_parameter_value_match'), action.value.queryParameters),
      };
    case 'dynamicMetadata':
    case 'metadata':
      return {
        kind: 'metadata',
        key: action.value.descriptorKey,
        at: metadataPath(action.value.metadataKey),
        ofRoute: action.case === 'metadata' && action.value.source === 1,
        otherwise: action.value.defaultValue,
        optional: action.case === 'metadata' && action.value.skipIfAbsent,
      };
    default:
      field.fail(action.case ? `${action.case} is not supported` : 'is empty');
      return null;
  }
}

export function compileLocalRateLimit(field: Field, message: LocalRateLimit, ofRoute: boolean): LocalRateLimitFilter {
  field.only(LocalRateLimitSchema, message, knownLocal);
  if (message.statPrefix === '') field.at('stat_prefix').fail('is empty');
  if (ofRoute && !message.tokenBucket) field.at('token_bucket').fail('is not given');
  const bucket = message.tokenBucket ? compileBucket(field.at('token_bucket'), message.tokenBucket) : null;
  return {
    kind: 'localRateLimit',
    statPrefix: `${message.statPrefix}.http_local_rate_limit.`,
    status: refusal(message.status?.code),
    bucket,
    enabledMillionths: millionths(message.filterEnabled?.defaultValue, 0),
    enforcedMillionths: millionths(message.filterEnforced?.defaultValue, 0),
    descriptors: message.descriptors.map((descriptor, i) => ({
      entries: descriptor.entries.map(({ key, value }) => ({ key, value })),
      bucket: compileBucket(field.at('descriptors', i).at('token_bucket'), descriptor.tokenBucket),
    })),
    alwaysCounts: message.alwaysConsumeDefaultTokenBucket ?? true,
    perConnection: message.localRateLimitPerDownstreamConnection,
    stage: message.stage,
    hostLimits: hostLimits[message.vhRateLimits as VhRateLimitsOptions] ?? 'override',
    tellsLimits: message.enableXRatelimitHeaders === 1,
    unenforcedRequestHeaders: compileMutation(field, 'request_headers', message.requestHeadersToAddWhenNotEnforced, []),
    responseHeaders: compileMutation(field, 'response_headers', message.responseHeadersToAdd, []),
    grpcStatus: message.rateLimitedAsResourceExhausted ? resourceExhausted : null,
  };
}

/** Below 400 stands for 429 (Envoy: status of the rate limit filters). */
const refusal = (code: number | undefined): number => (code !== undefined && code >= 400 ? code : 429);

const minFillMs = 50;

function compileBucket(field: Field, message: BucketMessage | undefined): TokenBucket {
  const fillMs = durationMs(message?.fillInterval, 0);
  if (fillMs < minFillMs) field.at('fill_interval').fail(`must be at least ${minFillMs} ms`);
  const tokensPerFill = message?.tokensPerFill ?? 1;
  if (tokensPerFill < 1) field.at('tokens_per_fill').fail('must be at least 1');
  return { maxTokens: message?.maxTokens ?? 0, tokensPerFill, fillMs };
}

export function compileRateLimit(field: Field, message: RateLimit): RateLimitFilter {
  field.only(RateLimitFilterSchema, message, knownFilter);
  if (message.domain === '') field.at('domain').fail('is empty');
  const requests = message.requestType || 'both';
  if (requests !== 'internal' && requests !== 'external' && requests !== 'both')
    field.at('request_type').fail(`${JSON.stringify(requests)} is none of internal, external and both`);
  return {
    kind: 'rateLimit',
    domain: message.domain,
    stage: message.stage,
    requests: requests as RateLimitFilter['requests'],
    service: compileGrpcService(
      field.at('rate_limit_service').at('grpc_service'),
      message.rateLimitService?.grpcService,
      durationMs(message.timeout, 20),
    ),
    failureDenies: message.failureModeDeny,
    failureStatus: message.statusOnError?.code || 500,
    status: refusal(message.rateLimitedStatus?.code),
    grpcStatus: message.rateLimitedAsResourceExhausted ? resourceExhausted : null,
    tellsLimits: message.enableXRatelimitHeaders === 1,
    tellsEnvoyHeader: !message.disableXEnvoyRatelimitedHeader,
    responseHeaders: compileMutation(field, 'response_headers', message.responseHeadersToAdd, []),
  };
}

export function compileRouteRateLimit(field: Field, message: RateLimitPerRoute): RouteRateLimit {
  field.only(RateLimitPerRouteSchema, message, knownRoute);
  const option = message.overrideOption === 0 ? message.vhRateLimits : message.overrideOption - 1;
  return { kind: 'rateLimit', hostLimits: hostLimits[option] ?? 'override', rules: [], domain: message.domain };
}
