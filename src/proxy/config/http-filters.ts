/** The filters of an HTTP filter chain, and what routes say about them (Envoy: http_filters, typed_per_filter_config). */
import type { Any } from '@bufbuild/protobuf/wkt';
import { FilterConfigSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { BufferPerRouteSchema, BufferSchema } from '../../xds/gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.js';
import { CorsPolicySchema, CorsSchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { FilterConfigSchema as GrpcStatsSchema } from '../../xds/gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
import {
  HeaderMutationPerRouteSchema,
  HeaderMutationSchema,
} from '../../xds/gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js';
import { HealthCheckSchema } from '../../xds/gen/envoy/extensions/filters/http/health_check/v3/health_check_pb.js';
import {
  JwtAuthenticationSchema,
  PerRouteConfigSchema as PerRouteJwtSchema,
} from '../../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import {
  RateLimitPerRouteSchema,
  RateLimitSchema,
} from '../../xds/gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js';
import { RBACPerRouteSchema, RBACSchema } from '../../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RouterSchema } from '../../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { ConfigSchema as SetFilterStateSchema } from '../../xds/gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.js';
import type { HttpFilter as HttpFilterMessage } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { compileBuffer, compileHealthCheck } from './body-filters.ts';
import { compileCors } from './cors.ts';
import { compileExtAuthz, compileRouteExtAuthz } from './ext-authz.ts';
import { compileFault } from './fault.ts';
import { dispatch, type Extensions, type Field, messageName, unpack } from './field.ts';
import { compileMutations } from './header-mutation.ts';
import { compileJwt, compileRouteJwt } from './jwt.ts';
import { compileLocalRateLimit, compileRateLimit, compileRouteRateLimit } from './rate-limit.ts';
import { compileRbac } from './rbac.ts';
import type { FilterConfig, HttpFilter, RouteFilter, RouteFilters } from './table.ts';

const nothing = (): null => null;

/** A type's compiler out of its message's. */
const reading =
  <M extends import('@bufbuild/protobuf').Message, T>(
    schema: Parameters<typeof unpack<M>>[2],
    compile: (field: Field, message: M) => T,
  ) =>
  (field: Field, any: Any): T | null => {
    const message = unpack(field, any, schema);
    return message && compile(field, message);
  };

const inChain: Extensions<FilterConfig | null> = {
  // Of Istio's build of Envoy: this proxy does their work by itself.
  'istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig': nothing,
  'io.istio.http.peer_metadata.Config': nothing,
  'stats.PluginConfig': nothing,
  [GrpcStatsSchema.typeName]: nothing,
  [SetFilterStateSchema.typeName]: nothing,
  [RouterSchema.typeName]: nothing,
  [CorsSchema.typeName]: () => ({ kind: 'cors' }),
  [RBACSchema.typeName]: reading(RBACSchema, (field, message) => ({
    kind: 'rbac',
    rules: compileRbac(field, message),
  })),
  [HTTPFaultSchema.typeName]: reading(HTTPFaultSchema, (field, message) => ({
    kind: 'fault',
    fault: compileFault(field, message),
  })),
  [HeaderMutationSchema.typeName]: reading(HeaderMutationSchema, (field, message) => ({
    kind: 'headerMutation',
    mutations: compileMutations(field.at('mutations'), message.mutations),
    specificWins: message.mostSpecificHeaderMutationsWins,
  })),
  [BufferSchema.typeName]: reading(BufferSchema, compileBuffer),
  [JwtAuthenticationSchema.typeName]: reading(JwtAuthenticationSchema, compileJwt),
  [LocalRateLimitSchema.typeName]: reading(LocalRateLimitSchema, (field, message) =>
    compileLocalRateLimit(field, message, false),
  ),
  [RateLimitSchema.typeName]: reading(RateLimitSchema, compileRateLimit),
  [ExtAuthzSchema.typeName]: reading(ExtAuthzSchema, compileExtAuthz),
  [HealthCheckSchema.typeName]: reading(HealthCheckSchema, compileHealthCheck),
};

const onRoute: Extensions<RouteFilter | null> = {
  [CorsPolicySchema.typeName]: reading(CorsPolicySchema, (field, message) => ({
    kind: 'cors',
    levels: [compileCors(field, message)],
  })),
  [RBACPerRouteSchema.typeName]: reading(RBACPerRouteSchema, (field, message) => ({
    kind: 'rbac',
    rules: message.rbac ? compileRbac(field.at('rbac'), message.rbac) : [],
  })),
  [HTTPFaultSchema.typeName]: inChain[HTTPFaultSchema.typeName] as (field: Field, any: Any) => RouteFilter | null,
  [HeaderMutationPerRouteSchema.typeName]: reading(HeaderMutationPerRouteSchema, (field, message) => ({
    kind: 'headerMutation',
    levels: [compileMutations(field.at('mutations'), message.mutations)],
  })),
  [PerRouteJwtSchema.typeName]: reading(PerRouteJwtSchema, compileRouteJwt),
  [LocalRateLimitSchema.typeName]: reading(LocalRateLimitSchema, (field, message) =>
    compileLocalRateLimit(field, message, true),
  ),
  [RateLimitPerRouteSchema.typeName]: reading(RateLimitPerRouteSchema, compileRouteRateLimit),
  [ExtAuthzPerRouteSchema.typeName]: reading(ExtAuthzPerRouteSchema, compileRouteExtAuthz),
  [BufferPerRouteSchema.typeName]: reading(BufferPerRouteSchema, (field, { override }): RouteFilter => {
    if (override.case === 'buffer') return compileBuffer(field.at('buffer'), override.value);
    if (override.case === undefined) field.fail('has neither disabled nor buffer');
    return { kind: 'buffer', maxBytes: null };
  }),
};

const statNames: Readonly<Record<FilterConfig['kind'], string>> = {
  rbac: 'rbac',
  fault: 'fault',
  cors: 'cors',
  headerMutation: 'header_mutation',
  buffer: 'buffer',
  healthCheck: 'health_check',
  jwt: 'jwt_authn',
  extAuthz: 'ext_authz',
  localRateLimit: 'local_ratelimit',
  rateLimit: 'ratelimit',
};

/** Filters that work here, in their order. The last must be the router. */
export function compileHttpFilters(
  field: Field,
  messages: readonly HttpFilterMessage[],
  statPrefix: string,
): HttpFilter[] {
  const filters: HttpFilter[] = [];
  for (const [i, { name, isOptional, disabled, configType }] of messages.entries()) {
    const at = field.at('http_filters', i);
    if (isOptional && configType.case === 'typedConfig' && !Object.hasOwn(inChain, messageName(configType.value)))
      continue;
    const config = dispatch(at.at('typed_config'), configType, inChain);
    if (config !== null)
      filters.push({ name, disabled, statPrefix: `http.${statPrefix}.${statNames[config.kind]}.`, config });
  }
  const last = messages.at(-1)?.configType;
  if (last?.case !== 'typedConfig' || messageName(last.value) !== RouterSchema.typeName)
    field.at('http_filters').fail(`must end with ${RouterSchema.typeName}`);
  return filters;
}

/** Reads what a level says and lays it over the less specific one. */
export function compileRouteFilters(
  field: Field,
  config: { readonly [name: string]: Any },
  outer: RouteFilters | null,
): RouteFilters | null {
  const entries = Object.entries(config);
  if (entries.length === 0) return outer;
  const filters = new Map(outer);
  for (const [name, any] of entries) {
    const own = compileRouteFilter(field.at(`typed_per_filter_config[${JSON.stringify(name)}]`), any);
    if (own !== null) filters.set(name, laidOver(own, filters.get(name)));
  }
  return filters;
}

function compileRouteFilter(field: Field, any: Any): RouteFilter | null {
  if (messageName(any) !== FilterConfigSchema.typeName) {
    if (Object.hasOwn(onRoute, messageName(any))) return onRoute[messageName(any)](field, any);
    field.fail(`type ${messageName(any)} is not supported`);
    return null;
  }
  const message = unpack(field, any, FilterConfigSchema);
  if (message === null) return null;
  if (message.disabled) return { kind: 'disabled' };
  if (!message.config?.typeUrl) return { kind: 'enabled' };
  if (message.isOptional && !Object.hasOwn(onRoute, messageName(message.config))) return null;
  return compileRouteFilter(field.at('config'), message.config);
}

/** Header changes, CORS and the context of authorization of all levels count; of anything else the most specific one does. */
function laidOver(own: RouteFilter, outer: RouteFilter | undefined): RouteFilter {
  if (own.kind === 'headerMutation' && outer?.kind === 'headerMutation')
    return { kind: 'headerMutation', levels: [...own.levels, ...outer.levels] };
  if (own.kind === 'extAuthz' && !own.disabled && outer?.kind === 'extAuthz')
    return { ...own, context: { ...outer.context, ...own.context } };
  if (own.kind === 'cors' && outer?.kind === 'cors') return { kind: 'cors', levels: [...own.levels, ...outer.levels] };
  return own;
}
