/** External authorization (Envoy: extensions.filters.http.ext_authz.v3). */
import {
  AuthorizationRequestSchema,
  AuthorizationResponseSchema,
  type BufferSettings,
  type ExtAuthz,
  type ExtAuthzPerRoute,
  ExtAuthzSchema,
  type HttpService,
} from '../../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import type { ListStringMatcher } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { millionths } from './fault.ts';
import { type Field, words } from './field.ts';
import { compileGrpcService } from './grpc-service.ts';
import { compileHttpUri } from './http-uri.ts';
import type { StringMatch } from './match.ts';
import { compileString } from './string-match.ts';
import type { AuthzBody, AuthzService, ExtAuthzFilter, RouteExtAuthz } from './table.ts';
import { compileMetadata } from './value-match.ts';

const known =
  words(`grpc_service http_service transport_api_version failure_mode_allow failure_mode_allow_header_add with_request_body
  clear_route_cache status_on_error validate_mutations metadata_context_namespaces route_metadata_context_namespaces
  filter_enabled filter_enabled_metadata deny_at_disable stat_prefix allowed_headers
  disallowed_headers include_tls_session charge_cluster_response_stats encode_raw_headers
  enable_dynamic_metadata_ingestion`);
const knownRequest = words('allowed_headers headers_to_add');
const knownResponse = words(`allowed_upstream_headers allowed_upstream_headers_to_append allowed_client_headers
  allowed_client_headers_on_success dynamic_metadata_from_headers`);

const grpcTimeoutMs = 200;

export function compileExtAuthz(field: Field, message: ExtAuthz): ExtAuthzFilter {
  field.only(ExtAuthzSchema, message, known);
  const enabledBy = message.filterEnabledMetadata;
  return {
    kind: 'extAuthz',
    service: compileService(field, message),
    body: message.withRequestBody ? compileBody(field.at('with_request_body'), message.withRequestBody) : null,
    failureAllows: message.failureModeAllow,
    tellsFailure: message.failureModeAllowHeaderAdd,
    errorStatus: message.statusOnError?.code || 403,
    validates: message.validateMutations,
    clearsRoute: message.clearRouteCache,
    enabledMillionths: message.filterEnabled ? millionths(message.filterEnabled.defaultValue, 0) : 1_000_000,
    enabledBy: enabledBy ? compileMetadata(field.at('filter_enabled_metadata'), enabledBy) : null,
    deniesDisabled: message.denyAtDisable?.defaultValue ?? false,
    metadata: message.metadataContextNamespaces,
    routeMetadata: message.routeMetadataContextNamespaces,
    headers: allowedHeaders(field, message),
    withoutHeaders: matchers(field.at('disallowed_headers'), message.disallowedHeaders) ?? [],
    tellsTls: message.includeTlsSession,
    rawHeaders: message.encodeRawHeaders,
  };
}

function allowedHeaders(field: Field, message: ExtAuthz): readonly StringMatch[] | null {
  const own = matchers(field.at('allowed_headers'), message.allowedHeaders);
  if (own !== null || message.services.case !== 'httpService') return own;
  const request = message.services.value.authorizationRequest;
  return matchers(field.at('http_service').at('authorization_request').at('allowed_headers'), request?.allowedHeaders);
}

/** Null when the list is not given. */
function matchers(field: Field, list: ListStringMatcher | undefined): StringMatch[] | null {
  return list ? list.patterns.map((pattern, i) => compileString(field.at('patterns', i), pattern)) : null;
}

function compileService(field: Field, { services }: ExtAuthz): AuthzService {
  if (services.case === 'httpService') return compileHttp(field.at('http_service'), services.value);
  return {
    kind: 'grpc',
    target: compileGrpcService(
      field.at('grpc_service'),
      services.case === 'grpcService' ? services.value : undefined,
      grpcTimeoutMs,
    ),
  };
}

function compileHttp(field: Field, message: HttpService): AuthzService {
  const { authorizationRequest: request, authorizationResponse: response } = message;
  if (request) field.at('authorization_request').only(AuthorizationRequestSchema, request, knownRequest);
  const at = field.at('authorization_response');
  if (response) at.only(AuthorizationResponseSchema, response, knownResponse);
  const { cluster, timeoutMs } = compileHttpUri(field.at('server_uri'), message.serverUri);
  const list = (name: string, given: ListStringMatcher | undefined) => matchers(at.at(name), given);
  return {
    kind: 'http',
    cluster,
    timeoutMs,
    pathPrefix: message.pathPrefix,
    add: request?.headersToAdd.map(({ key, value }) => [key.toLowerCase(), value] as const) ?? [],
    upstream: list('allowed_upstream_headers', response?.allowedUpstreamHeaders) ?? [],
    upstreamAppended: list('allowed_upstream_headers_to_append', response?.allowedUpstreamHeadersToAppend) ?? [],
    client: list('allowed_client_headers', response?.allowedClientHeaders),
    clientOnSuccess: list('allowed_client_headers_on_success', response?.allowedClientHeadersOnSuccess) ?? [],
    metadataFrom: list('dynamic_metadata_from_headers', response?.dynamicMetadataFromHeaders) ?? [],
  };
}

function compileBody(field: Field, message: BufferSettings): AuthzBody {
  if (message.maxRequestBytes === 0) field.at('max_request_bytes').fail('must be at least 1');
  return {
    maxBytes: message.maxRequestBytes,
    partial: message.allowPartialMessage,
    asBytes: message.packAsBytes,
  };
}

export function compileRouteExtAuthz(field: Field, { override }: ExtAuthzPerRoute): RouteExtAuthz {
  if (override.case === 'checkSettings') {
    const { contextExtensions, disableRequestBodyBuffering, withRequestBody } = override.value;
    return {
      kind: 'extAuthz',
      disabled: false,
      context: contextExtensions,
      body: withRequestBody
        ? compileBody(field.at('check_settings').at('with_request_body'), withRequestBody)
        : disableRequestBodyBuffering
          ? null
          : undefined,
    };
  }
  if (override.case === undefined) field.fail('has neither disabled nor check_settings');
  return { kind: 'extAuthz', disabled: true, context: {}, body: undefined };
}
