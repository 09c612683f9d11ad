import { compileReplace } from '../../lib/regex.ts';
import type { Metadata as MetadataMessage } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type {
  InternalRedirectPolicy,
  RetryPolicy as RetryPolicyMessage,
  RouteAction,
  RouteAction_HashPolicy,
  RouteAction_RequestMirrorPolicy,
  WeightedCluster as WeightedClusterMessage,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import {
  InternalRedirectPolicySchema,
  RouteAction_MaxStreamDurationSchema,
  RouteAction_UpgradeConfig_ConnectConfigSchema,
  RouteActionSchema,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { AllowListedRoutesConfigSchema } from '../../xds/gen/envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config_pb.js';
import { PreviousRoutesConfigSchema } from '../../xds/gen/envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config_pb.js';
import { SafeCrossSchemeConfigSchema } from '../../xds/gen/envoy/extensions/internal_redirect/safe_cross_scheme/v3/safe_cross_scheme_config_pb.js';
import type { RegexMatchAndSubstitute } from '../../xds/gen/envoy/type/matcher/v3/regex_pb.js';
import { millionths } from './fault.ts';
import { durationMs, type Field, messageName, unpack, words } from './field.ts';
import { compileMutation } from './header-mutation.ts';
import { compileRouteFilters } from './http-filters.ts';
import { compileRateLimits } from './rate-limit.ts';
import { compileRetry } from './retry.ts';
import type { Forward, HashPolicy, InternalRedirect, RouteFilters, WeightedCluster } from './table.ts';

const known =
  words(`cluster cluster_header weighted_clusters cluster_not_found_response_code prefix_rewrite regex_rewrite
  host_rewrite_literal host_rewrite_header host_rewrite_path_regex auto_host_rewrite append_x_forwarded_host timeout idle_timeout retry_policy request_mirror_policies
  metadata_match hash_policy upgrade_configs internal_redirect_policy max_grpc_timeout grpc_timeout_offset max_stream_duration rate_limits include_vh_rate_limits priority`);
const knownDuration = words('max_stream_duration grpc_timeout_header_max grpc_timeout_header_offset');
const notFoundStatus = [503, 404, 500] as const;

/** What a route inherits from its virtual host. */
export interface Inherited {
  retry: RetryPolicyMessage | undefined;
  mirrors: readonly RouteAction_RequestMirrorPolicy[];
  filters: RouteFilters | null;
}

export function compileForward(field: Field, action: RouteAction, inherited: Inherited): Forward {
  field.only(RouteActionSchema, action, known);
  const clusters = compileClusters(field, action, inherited.filters);
  const host = action.hostRewriteSpecifier;
  const retry = action.retryPolicy ?? inherited.retry;
  const duration = action.maxStreamDuration;
  if (duration) field.at('max_stream_duration').only(RouteAction_MaxStreamDurationSchema, duration, knownDuration);
  const mirrors = action.requestMirrorPolicies.length > 0 ? action.requestMirrorPolicies : inherited.mirrors;
  return {
    clusters,
    totalWeight: clusters.reduce((sum, c) => sum + c.weight, 0),
    clusterHeader:
      action.clusterSpecifier.case === 'clusterHeader' ? action.clusterSpecifier.value.toLowerCase() : null,
    prefixRewrite: action.prefixRewrite || null,
    regexRewrite: action.regexRewrite ? compileRegexRewrite(field.at('regex_rewrite'), action.regexRewrite) : null,
    hostRewrite: host.case === 'hostRewriteLiteral' ? host.value : null,
    hostRewriteHeader: host.case === 'hostRewriteHeader' ? host.value.toLowerCase() : null,
    hostRewritePath:
      host.case === 'hostRewritePathRegex'
        ? compileRegexRewrite(field.at('host_rewrite_path_regex'), host.value)
        : null,
    autoHostRewrite: host.case === 'autoHostRewrite' && host.value.value,
    appendXForwardedHost: action.appendXForwardedHost,
    timeoutMs: durationMs(action.timeout, 15_000),
    idleTimeoutMs: durationMs(action.idleTimeout, 0),
    maxStreamDurationMs: duration?.maxStreamDuration ? durationMs(duration.maxStreamDuration, 0) : null,
    grpcMaxStreamDurationMs: duration?.grpcTimeoutHeaderMax ? durationMs(duration.grpcTimeoutHeaderMax, 0) : null,
    grpcStreamDurationOffsetMs: durationMs(duration?.grpcTimeoutHeaderOffset, 0),
    grpcMaxTimeoutMs: action.maxGrpcTimeout ? durationMs(action.maxGrpcTimeout, 0) : null,
    grpcTimeoutOffsetMs: durationMs(action.grpcTimeoutOffset, 0),
    retry: retry ? compileRetry(field.at('retry_policy'), retry) : null,
    subset: subsetOf(action.metadataMatch),
    hash: action.hashPolicy.flatMap((policy, i) => compileHash(field.at('hash_policy', i), policy) ?? []),
    mirrors: mirrors.map((mirror, i) => {
      if (!mirror.cluster) field.at('request_mirror_policies', i).fail('has no cluster');
      return {
        cluster: mirror.cluster,
        fractionMillionths: millionths(mirror.runtimeFraction?.defaultValue, 1_000_000),
      };
    }),
    upgrades:
      action.upgradeConfigs.length > 0
        ? new Set(action.upgradeConfigs.filter((u) => u.enabled !== false).map((u) => u.upgradeType.toLowerCase()))
        : null,
    terminatesConnect: compileConnect(field, action),
    internalRedirect: action.internalRedirectPolicy
      ? compileInternalRedirect(field.at('internal_redirect_policy'), action.internalRedirectPolicy)
      : null,
    rateLimits: compileRateLimits(field, action.rateLimits),
    includesHostRateLimits: action.includeVhRateLimits ?? false,
    clustersHaveFilters: clusters.some((cluster) => cluster.filters !== null),
    highPriority: action.priority === 1,
    clusterNotFoundStatus: notFoundStatus[action.clusterNotFoundResponseCode] ?? 503,
  };
}

function compileConnect(field: Field, { upgradeConfigs }: RouteAction): boolean {
  let terminates = false;
  for (const [i, { upgradeType, connectConfig }] of upgradeConfigs.entries()) {
    if (!connectConfig) continue;
    const at = field.at('upgrade_configs', i);
    if (upgradeType.toUpperCase() !== 'CONNECT') at.at('connect_config').fail('is for CONNECT only');
    at.at('connect_config').only(RouteAction_UpgradeConfig_ConnectConfigSchema, connectConfig, new Set());
    terminates = true;
  }
  return terminates;
}

const knownInternal = words(
  'max_internal_redirects redirect_response_codes predicates allow_cross_scheme_redirect response_headers_to_copy',
);

function compileInternalRedirect(field: Field, message: InternalRedirectPolicy): InternalRedirect {
  field.only(InternalRedirectPolicySchema, message, knownInternal);
  let avoidsPreviousRoutes = false;
  let allowedRoutes: Set<string> | null = null;
  let onlySafely = false;
  for (const [i, predicate] of message.predicates.entries()) {
    const at = field.at('predicates', i).at('typed_config');
    const { typedConfig: any } = predicate;
    const name = any ? messageName(any) : '';
    if (name === PreviousRoutesConfigSchema.typeName) avoidsPreviousRoutes = true;
    else if (name === AllowListedRoutesConfigSchema.typeName)
      allowedRoutes = new Set(unpack(at, any!, AllowListedRoutesConfigSchema)?.allowedRouteNames);
    else if (name === SafeCrossSchemeConfigSchema.typeName) onlySafely = true;
    else at.fail(`type ${name} is not supported`);
  }
  const statuses = message.redirectResponseCodes.filter((status) => [301, 302, 303, 307, 308].includes(status));
  return {
    max: message.maxInternalRedirects ?? 1,
    statuses: new Set(message.redirectResponseCodes.length > 0 ? statuses : [302]),
    crossesScheme: message.allowCrossSchemeRedirect,
    onlySafely,
    copies: message.responseHeadersToCopy.map((name) => name.toLowerCase()),
    avoidsPreviousRoutes,
    allowedRoutes,
  };
}

export const subsetOf = (metadata: MetadataMessage | undefined): Readonly<Record<string, unknown>> | null =>
  metadata?.filterMetadata['envoy.lb'] ?? null;

function compileClusters(field: Field, action: RouteAction, filters: RouteFilters | null): WeightedCluster[] {
  const { clusterSpecifier: specifier } = action;
  const plain = {
    weight: 1,
    requestHeaders: null,
    responseHeaders: null,
    hostRewrite: null,
    subset: null,
    filters: null,
  };
  switch (specifier.case) {
    case 'cluster':
      if (!specifier.value) field.at('cluster').fail('is empty');
      return [{ cluster: specifier.value, ...plain }];
    case 'clusterHeader':
      return [];
    case 'weightedClusters':
      return compileWeights(field.at('weighted_clusters'), specifier.value, action, filters);
    default:
      field.fail(specifier.case ? `${specifier.case} is not supported` : 'names no cluster');
      return [];
  }
}

function compileWeights(
  field: Field,
  weighted: WeightedClusterMessage,
  route: RouteAction,
  filters: RouteFilters | null,
): WeightedCluster[] {
  const clusters = weighted.clusters.map((c, i): WeightedCluster => {
    const at = field.at('clusters', i);
    if (!c.name) at.at('name').fail('is empty');
    return {
      cluster: c.name,
      weight: c.weight ?? 0,
      requestHeaders: compileMutation(at, 'request_headers', c.requestHeadersToAdd, c.requestHeadersToRemove),
      responseHeaders: compileMutation(at, 'response_headers', c.responseHeadersToAdd, c.responseHeadersToRemove),
      hostRewrite: c.hostRewriteSpecifier.case === 'hostRewriteLiteral' ? c.hostRewriteSpecifier.value : null,
      subset: c.metadataMatch ? { ...subsetOf(route.metadataMatch), ...subsetOf(c.metadataMatch) } : null,
      filters:
        Object.keys(c.typedPerFilterConfig).length === 0
          ? null
          : compileRouteFilters(at, c.typedPerFilterConfig, filters),
    };
  });
  if (clusters.every((c) => c.weight === 0)) field.fail('the weights add up to 0');
  return clusters;
}

export function compileRegexRewrite(field: Field, rewrite: RegexMatchAndSubstitute): Forward['regexRewrite'] {
  try {
    return { replace: compileReplace(rewrite.pattern?.regex ?? '', rewrite.substitution) };
  } catch (error) {
    field.fail((error as Error).message);
    return null;
  }
}

function compileHash(field: Field, policy: RouteAction_HashPolicy): HashPolicy | null {
  const { policySpecifier: specifier, terminal } = policy;
  switch (specifier.case) {
    case 'header':
      return { kind: 'header', name: specifier.value.headerName.toLowerCase(), terminal };
    case 'cookie': {
      const { name, path, ttl } = specifier.value;
      return { kind: 'cookie', name, path, ttlSeconds: ttl ? durationMs(ttl, 0) / 1000 : null, terminal };
    }
    case 'connectionProperties':
      return specifier.value.sourceIp ? { kind: 'sourceIp', terminal } : null;
    case 'queryParameter':
      return { kind: 'query', name: specifier.value.name, terminal };
    default:
      field.fail(specifier.case ? `${specifier.case} is not supported` : 'is empty');
      return null;
  }
}
