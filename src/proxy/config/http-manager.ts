import { HttpProtocolOptionsSchema } from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import { RouterSchema } from '../../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import type { HttpConnectionManager } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManagerSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { UuidRequestIdConfigSchema } from '../../xds/gen/envoy/extensions/request_id/uuid/v3/uuid_pb.js';
import { compileAccessLogs } from './access-log.ts';
import { compileCidr } from './address.ts';
import { compileConfigSource } from './config-source.ts';
import { durationMs, type Field, messageName, unpack, words } from './field.ts';
import { compileHttpFilters } from './http-filters.ts';
import { checkHttp1Options } from './http1-options.ts';
import { compileHttp2Options } from './http2-options.ts';
import { compileLocalReplies } from './local-reply.ts';
import type { References } from './references.ts';
import { compileRoutes } from './route.ts';
import type { HttpManager, RouteTable } from './table.ts';
import { compileTracing } from './tracing.ts';

const known =
  words(`codec_type stat_prefix rds route_config http_filters tracing common_http_protocol_options http_protocol_options
  http2_protocol_options server_name server_header_transformation max_request_headers_kb stream_idle_timeout request_timeout
  request_headers_timeout drain_timeout delayed_close_timeout access_log skip_xff_append strip_any_host_port strip_matching_host_port strip_trailing_host_dot use_remote_address xff_num_trusted_hops internal_address_config
  generate_request_id preserve_external_request_id forward_client_cert_details set_current_client_cert_details proxy_100_continue
  upgrade_configs normalize_path merge_slashes path_with_escaped_slashes_action request_id_extension access_log_options
  stream_error_on_invalid_http_message via local_reply_config append_x_forwarded_port always_set_request_id_in_response`);
const knownCommon = words(`idle_timeout max_connection_duration max_headers_count max_stream_duration
  headers_with_underscores_action max_requests_per_connection`);
const knownHttp1 = words('allow_absolute_url accept_http_10 default_host_for_http_10 enable_trailers');
const underscores = ['allow', 'reject', 'drop'] as const;
const codecs = ['auto', 'http1', 'http2'] as const;
const serverHeaders = ['overwrite', 'appendIfAbsent', 'passThrough'] as const;
const clientCerts = ['sanitize', 'forwardOnly', 'appendForward', 'sanitizeSet', 'alwaysForwardOnly'] as const;
const slashes = ['keep', 'keep', 'reject', 'unescapeAndRedirect', 'unescapeAndForward'] as const;

/** `scope` makes the name of inline routes unique: listener and chain. Inline routes are put into `routeTables`. */
export function compileHttpManager(
  field: Field,
  message: HttpConnectionManager,
  scope: string,
  refs: References,
  routeTables: Map<string, RouteTable>,
): HttpManager {
  field.only(HttpConnectionManagerSchema, message, known);
  if (message.codecType === HttpConnectionManager_CodecType.HTTP3)
    field.at('codec_type').fail('HTTP3 is not supported');
  const common = message.commonHttpProtocolOptions;
  if (common) field.at('common_http_protocol_options').only(HttpProtocolOptionsSchema, common, knownCommon);
  refuseWhatCannotBe(field, message);
  const details = message.setCurrentClientCertDetails;
  return {
    statPrefix: message.statPrefix,
    codec: codecs[message.codecType as 0 | 1 | 2] ?? 'auto',
    http2: compileHttp2Options(field.at('http2_protocol_options'), message.http2ProtocolOptions, {
      maxFieldBytes: Math.min(message.maxRequestHeadersKb ?? 60, 96) * 1024,
      maxFields: common?.maxHeadersCount ?? 100,
    }),
    routeName: compileRouteName(field, message, scope, refs, routeTables),
    filters: compileHttpFilters(field, message.httpFilters, message.statPrefix),
    accessLogs: compileAccessLogs(field, message.accessLog),
    logOptions: {
      everyMs: durationMs(message.accessLogOptions?.accessLogFlushInterval, 0),
      onRequest: message.accessLogOptions?.flushAccessLogOnNewRequest ?? false,
      onConnected: message.accessLogOptions?.flushLogOnTunnelSuccessfullyEstablished ?? false,
    },
    tracing: compileTracing(field.at('tracing'), message.tracing),
    serverName: message.serverName || 'envoy',
    serverHeader: serverHeaders[message.serverHeaderTransformation] ?? 'overwrite',
    useRemoteAddress: message.useRemoteAddress ?? false,
    xffNumTrustedHops: message.xffNumTrustedHops,
    skipXffAppend: message.skipXffAppend,
    appendForwardedPort: message.appendXForwardedPort,
    internalRanges:
      message.internalAddressConfig?.cidrRanges.map((range, i) =>
        compileCidr(field.at('internal_address_config').at('cidr_ranges', i), range),
      ) ?? [],
    via: message.via,
    requestIdInResponse: message.alwaysSetRequestIdInResponse,
    underscores: underscores[common?.headersWithUnderscoresAction ?? 0] ?? 'allow',
    acceptsHttp10: message.httpProtocolOptions?.acceptHttp10 ?? false,
    defaultHost: message.httpProtocolOptions?.defaultHostForHttp10 ?? '',
    acceptsAbsoluteUrl: message.httpProtocolOptions?.allowAbsoluteUrl ?? true,
    maxStreamDurationMs: durationMs(common?.maxStreamDuration, 0),
    maxConnectionMs: durationMs(common?.maxConnectionDuration, 0),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    stripPort:
      message.stripPortMode.case === 'stripAnyHostPort' && message.stripPortMode.value
        ? 'any'
        : message.stripMatchingHostPort
          ? 'matching'
          : 'none',
    stripTrailingDot: message.stripTrailingHostDot,
    clientCertDetails: {
      subject: details?.subject ?? false,
      cert: details?.cert ?? false,
      chain: details?.chain ?? false,
      dns: details?.dns ?? false,
      uri: details?.uri ?? false,
    },
    forwardClientCert: clientCerts[message.forwardClientCertDetails] ?? 'sanitize',
    normalizePath: message.normalizePath ?? false,
    mergeSlashes: message.mergeSlashes,
    escapedSlashes: slashes[message.pathWithEscapedSlashesAction] ?? 'keep',
    upgrades: new Set(
      message.upgradeConfigs.filter((u) => u.enabled !== false).map((u) => u.upgradeType.toLowerCase()),
    ),
    maxRequestHeadersBytes: (message.maxRequestHeadersKb ?? 60) * 1024,
    maxRequestHeaders: common?.maxHeadersCount ?? 100,
    requestHeadersTimeoutMs: durationMs(message.requestHeadersTimeout, 0),
    requestTimeoutMs: durationMs(message.requestTimeout, 0),
    streamIdleTimeoutMs: durationMs(message.streamIdleTimeout, 300_000),
    idleTimeoutMs: durationMs(common?.idleTimeout, 3_600_000),
    drainTimeoutMs: durationMs(message.drainTimeout, 5000),
    generateRequestId: message.generateRequestId ?? true,
    preserveExternalRequestId: message.preserveExternalRequestId,
    localReplies: compileLocalReplies(field.at('local_reply_config'), message.localReplyConfig),
    suppressEnvoyHeaders: suppressesEnvoyHeaders(field, message),
  };
}

/** Fields whose one value is what this proxy does, and the other what it does not. */
function refuseWhatCannotBe(field: Field, message: HttpConnectionManager): void {
  if (message.proxy100Continue)
    field.at('proxy_100_continue').fail('true is not supported: 100 Continue is answered here');
  if (message.streamErrorOnInvalidHttpMessage)
    field.at('stream_error_on_invalid_http_message').fail('true is not supported: such a connection is closed');
  const http1 = message.httpProtocolOptions;
  if (http1) checkHttp1Options(field.at('http_protocol_options'), http1, knownHttp1);
  const id = message.requestIdExtension?.typedConfig;
  if (!id) return;
  const at = field.at('request_id_extension').at('typed_config');
  if (messageName(id) !== UuidRequestIdConfigSchema.typeName) at.fail(`type ${messageName(id)} is not supported`);
  else if (unpack(at, id, UuidRequestIdConfigSchema)?.packTraceReason === true)
    at.at('pack_trace_reason').fail('true is not supported: identifiers say nothing of traces');
}

function compileRouteName(
  field: Field,
  message: HttpConnectionManager,
  scope: string,
  refs: References,
  routeTables: Map<string, RouteTable>,
): string {
  const specifier = message.routeSpecifier;
  if (specifier.case === 'rds') {
    const name = specifier.value.routeConfigName;
    if (!name) field.at('rds').at('route_config_name').fail('is empty');
    refs.routes.add(name);
    compileConfigSource(field.at('rds').at('config_source'), specifier.value.configSource, refs);
    return name;
  }
  if (specifier.case !== 'routeConfig') {
    field.fail(specifier.case ? `${specifier.case} is not supported` : 'has neither rds nor route_config');
    return '';
  }
  const name = `inline:${scope}:${specifier.value.name}`;
  routeTables.set(name, compileRoutes(field.at('route_config'), specifier.value, name));
  return name;
}

function suppressesEnvoyHeaders(field: Field, { httpFilters }: HttpConnectionManager): boolean {
  const last = httpFilters.at(-1)?.configType;
  if (last?.case !== 'typedConfig' || messageName(last.value) !== RouterSchema.typeName) return false;
  const message = unpack(field.at('http_filters', httpFilters.length - 1).at('typed_config'), last.value, RouterSchema);
  return message?.suppressEnvoyHeaders ?? false;
}
