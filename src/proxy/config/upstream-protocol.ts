import type { Cluster as ClusterMessage } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type {
  HttpProtocolOptions as CommonOptions,
  Http1ProtocolOptions,
} from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  UpstreamHttpProtocolOptionsSchema,
} from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import type { HttpProtocolOptions } from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import {
  HttpProtocolOptions_AutoHttpConfigSchema,
  HttpProtocolOptions_UseDownstreamHttpConfigSchema,
  HttpProtocolOptionsSchema,
} from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { durationMs, type Field, messageName, unpack, words } from './field.ts';
import { checkHttp1Options } from './http1-options.ts';
import { compileHttp2Options } from './http2-options.ts';
import type { Cluster } from './table.ts';

const known = words(`common_http_protocol_options upstream_http_protocol_options explicit_http_config
  use_downstream_protocol_config auto_config`);
const knownCommon = words('idle_timeout max_connection_duration max_headers_count max_requests_per_connection');
/** An answer's trailers are passed on anyway. */
const knownHttp1 = words('enable_trailers');
const knownProtocols = words('http_protocol_options http2_protocol_options');
const defaultIdleMs = 3_600_000;

interface UpstreamProtocol
  extends Pick<Cluster, 'http' | 'http2' | 'maxRequestsPerConnection' | 'idleTimeoutMs' | 'maxConnectionMs'> {
  readonly autoSni: boolean;
  readonly autoSan: boolean;
}

/** What is spoken to a cluster's hosts: by its own fields, or by the extension that took their place. */
export function compileUpstreamProtocol(field: Field, message: ClusterMessage): UpstreamProtocol {
  const options = compileExtension(field, message);
  const upstream = options?.upstreamHttpProtocolOptions;
  const common = options?.commonHttpProtocolOptions ?? message.commonHttpProtocolOptions;
  if (common) checkCommon(field.at('common_http_protocol_options'), common);
  const { http, http2 } = compileProtocol(field, message, options);
  return {
    http,
    http2: compileHttp2Options(field.at('http2_protocol_options'), http2, {
      maxFieldBytes: 65_536,
      maxFields: common?.maxHeadersCount ?? 200,
    }),
    autoSni: upstream?.autoSni ?? false,
    autoSan: upstream?.autoSanValidation ?? false,
    idleTimeoutMs: durationMs(common?.idleTimeout, defaultIdleMs),
    maxConnectionMs: durationMs(common?.maxConnectionDuration, 0),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? message.maxRequestsPerConnection ?? 0,
  };
}

function compileExtension(field: Field, message: ClusterMessage): HttpProtocolOptions | null {
  let options: HttpProtocolOptions | null = null;
  for (const [name, any] of Object.entries(message.typedExtensionProtocolOptions)) {
    const at = field.at(`typed_extension_protocol_options[${JSON.stringify(name)}]`);
    if (messageName(any) !== HttpProtocolOptionsSchema.typeName) {
      at.fail(`type ${messageName(any)} is not supported`);
      continue;
    }
    options = unpack(at, any, HttpProtocolOptionsSchema);
    if (options === null) continue;
    at.only(HttpProtocolOptionsSchema, options, known);
    const { upstreamHttpProtocolOptions: upstream } = options;
    if (upstream)
      at.at('upstream_http_protocol_options').only(
        UpstreamHttpProtocolOptionsSchema,
        upstream,
        words('auto_sni auto_san_validation'),
      );
  }
  return options;
}

function checkCommon(field: Field, common: CommonOptions): void {
  field.only(CommonOptionsSchema, common, knownCommon);
}

function checkHttp1(field: Field, options: Http1ProtocolOptions | undefined): void {
  if (options) checkHttp1Options(field.at('http_protocol_options'), options, knownHttp1);
}

function compileProtocol(
  field: Field,
  message: ClusterMessage,
  options: HttpProtocolOptions | null,
): { http: Cluster['http']; http2: ClusterMessage['http2ProtocolOptions'] } {
  const upstream = options?.upstreamProtocolOptions;
  switch (upstream?.case) {
    case 'useDownstreamProtocolConfig':
      field
        .at('use_downstream_protocol_config')
        .only(HttpProtocolOptions_UseDownstreamHttpConfigSchema, upstream.value, knownProtocols);
      checkHttp1(field.at('use_downstream_protocol_config'), upstream.value.httpProtocolOptions);
      return { http: 'useDownstream', http2: upstream.value.http2ProtocolOptions };
    case 'autoConfig':
      field.at('auto_config').only(HttpProtocolOptions_AutoHttpConfigSchema, upstream.value, knownProtocols);
      checkHttp1(field.at('auto_config'), upstream.value.httpProtocolOptions);
      return { http: 'alpn', http2: upstream.value.http2ProtocolOptions };
    case 'explicitHttpConfig': {
      const { protocolConfig: given } = upstream.value;
      if (given.case === 'http2ProtocolOptions') return { http: 'http2', http2: given.value };
      if (given.case === 'httpProtocolOptions') checkHttp1(field.at('explicit_http_config'), given.value);
      if (given.case === 'http3ProtocolOptions')
        field.at('explicit_http_config').at('http3_protocol_options').fail('is not supported');
      return { http: 'http1', http2: undefined };
    }
    default: {
      checkHttp1(field, message.httpProtocolOptions);
      const http = message.protocolSelection === 1 ? 'useDownstream' : message.http2ProtocolOptions ? 'http2' : 'http1';
      return { http, http2: message.http2ProtocolOptions };
    }
  }
}
