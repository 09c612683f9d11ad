import type { Any } from '@bufbuild/protobuf/wkt';
import type {
  Decorator as DecoratorMessage,
  Tracing as RouteTracingMessage,
} from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import type { Tracing_Http } from '../../xds/gen/envoy/config/trace/v3/http_tracer_pb.js';
import {
  type OpenTelemetryConfig,
  OpenTelemetryConfigSchema,
} from '../../xds/gen/envoy/config/trace/v3/opentelemetry_pb.js';
import {
  type ZipkinConfig,
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfigSchema,
} from '../../xds/gen/envoy/config/trace/v3/zipkin_pb.js';
import {
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { CustomTag as CustomTagMessage } from '../../xds/gen/envoy/type/tracing/v3/custom_tag_pb.js';
import type { Exchange } from '../http/exchange.ts';
import { metadataText } from '../telemetry/format.ts';
import { millionths } from './fault.ts';
import { dispatch, durationMs, type Field, unpack, words } from './field.ts';
import type { CustomTag, Decorator, Metadata, RouteTracing, TraceProvider, Tracing } from './table.ts';

const known = words(
  'client_sampling random_sampling overall_sampling verbose max_path_tag_length custom_tags provider',
);

/** Percent of the HCM, in millionths. */
const share = (percent: { value: number } | undefined): number =>
  percent === undefined ? 1_000_000 : Math.round(Math.min(100, Math.max(0, percent.value)) * 10_000);

/** Null without a provider: nothing is traced then, as in Envoy. */
export function compileTracing(field: Field, message: HttpConnectionManager_Tracing | undefined): Tracing | null {
  if (message === undefined) return null;
  field.only(HttpConnectionManager_TracingSchema, message, known);
  const provider = message.provider ? compileProvider(field.at('provider'), message.provider) : null;
  if (provider === null) return null;
  return {
    provider,
    client: share(message.clientSampling),
    random: share(message.randomSampling),
    overall: share(message.overallSampling),
    maxPathTagLength: message.maxPathTagLength ?? 256,
    customTags: customTags(field, message.customTags),
  };
}

export function compileRouteTracing(field: Field, message: RouteTracingMessage | undefined): RouteTracing | null {
  if (message === undefined) return null;
  return {
    client: millionths(message.clientSampling, 1_000_000),
    random: millionths(message.randomSampling, 1_000_000),
    overall: millionths(message.overallSampling, 1_000_000),
    customTags: customTags(field, message.customTags),
  };
}

export function compileDecorator(field: Field, message: DecoratorMessage | undefined): Decorator | null {
  if (message === undefined) return null;
  if (message.operation === '') field.at('operation').fail('is empty');
  return { operation: message.operation, propagate: message.propagate ?? true };
}

function compileProvider(field: Field, message: Tracing_Http): TraceProvider | null {
  return dispatch<TraceProvider | null>(field.at('typed_config'), message.configType, {
    [OpenTelemetryConfigSchema.typeName]: (at: Field, any: Any) => {
      const config = unpack(at, any, OpenTelemetryConfigSchema);
      return config && openTelemetry(at, config);
    },
    [ZipkinConfigSchema.typeName]: (at: Field, any: Any) => {
      const config = unpack(at, any, ZipkinConfigSchema);
      return config && zipkin(at, config);
    },
  });
}

const keyed = (provider: Omit<TraceProvider, 'key'>): TraceProvider => ({ ...provider, key: JSON.stringify(provider) });

function openTelemetry(field: Field, config: OpenTelemetryConfig): TraceProvider | null {
  field.only(OpenTelemetryConfigSchema, config, words('grpc_service http_service service_name'));
  const common = {
    kind: 'opentelemetry' as const,
    serviceName: config.serviceName || 'unknown_service:lateen',
    sharedSpan: false,
    longTraceIds: true,
  };
  if (config.httpService !== undefined) {
    const at = field.at('http_service').at('http_uri');
    const uri = config.httpService.httpUri;
    const url = URL.parse(uri?.uri ?? '');
    if (url === null) at.at('uri').fail(`${JSON.stringify(uri?.uri ?? '')} is no URI`);
    if (uri?.httpUpstreamType.case !== 'cluster') at.at('cluster').fail('is missing');
    return keyed({
      ...common,
      cluster: uri?.httpUpstreamType.value ?? '',
      protocol: 'http',
      path: url === null ? '/' : url.pathname + url.search,
      authority: url?.host ?? '',
      headers: config.httpService.requestHeadersToAdd.map(
        ({ header }) => [header?.key ?? '', header?.value ?? ''] as const,
      ),
      timeoutMs: durationMs(uri?.timeout, 10_000),
    });
  }
  const service = config.grpcService;
  if (service?.targetSpecifier.case !== 'envoyGrpc') {
    field
      .at('grpc_service')
      .fail(service === undefined ? 'is missing; give it or http_service' : 'only envoy_grpc is supported');
    return null;
  }
  const target = service.targetSpecifier.value;
  return keyed({
    ...common,
    cluster: target.clusterName,
    protocol: 'grpc',
    path: '',
    authority: target.authority || target.clusterName,
    headers: service.initialMetadata.map(({ key, value }) => [key, value] as const),
    timeoutMs: durationMs(service.timeout, 10_000),
  });
}

function zipkin(field: Field, config: ZipkinConfig): TraceProvider {
  const only = words(
    'collector_cluster collector_endpoint trace_id_128bit shared_span_context collector_endpoint_version collector_hostname',
  );
  field.only(ZipkinConfigSchema, config, only);
  if (config.collectorCluster === '') field.at('collector_cluster').fail('is empty');
  if (config.collectorEndpoint === '') field.at('collector_endpoint').fail('is empty');
  if (config.collectorEndpointVersion !== ZipkinConfig_CollectorEndpointVersion.HTTP_JSON)
    field.at('collector_endpoint_version').fail('only HTTP_JSON is supported');
  return keyed({
    kind: 'zipkin',
    cluster: config.collectorCluster,
    protocol: 'http',
    path: config.collectorEndpoint,
    authority: config.collectorHostname || config.collectorCluster,
    headers: [],
    timeoutMs: 5000,
    serviceName: '',
    sharedSpan: config.sharedSpanContext ?? true,
    longTraceIds: config.traceId128bit,
  });
}

function customTags(field: Field, messages: readonly CustomTagMessage[]): CustomTag[] {
  return messages.map((message, i) => customTag(field.at('custom_tags', i), message));
}

function customTag(field: Field, { tag: name, type }: CustomTagMessage): CustomTag {
  if (name === '') field.at('tag').fail('is empty');
  switch (type.case) {
    case 'literal': {
      const { value } = type.value;
      return { name, read: () => value };
    }
    case 'environment': {
      const value = process.env[type.value.name] ?? (type.value.defaultValue || null);
      return { name, read: () => value };
    }
    case 'requestHeader': {
      const header = type.value.name.toLowerCase();
      const absent = type.value.defaultValue || null;
      return { name, read: (exchange) => exchange.sentHeader(header) ?? absent };
    }
    case 'metadata': {
      const { kind, metadataKey, defaultValue } = type.value;
      const source = metadataSources[kind?.kind.case ?? 'request'];
      const path = [metadataKey?.key ?? '', ...(metadataKey?.path.map(({ segment }) => segment.value ?? '') ?? [])];
      return { name, read: (exchange) => metadataValue(source(exchange), path) ?? (defaultValue || null) };
    }
    default:
      field.fail('has no type: give literal, environment, request_header or metadata');
      return { name, read: () => null };
  }
}

const metadataSources: Readonly<Record<string, (exchange: Exchange) => Metadata | null>> = {
  // No filter of this proxy makes any.
  request: () => null,
  route: (exchange) => exchange.route?.metadata ?? null,
  cluster: (exchange) => exchange.cluster?.metadata ?? null,
  host: (exchange) => exchange.endpoint?.metadata ?? null,
};

function metadataValue(metadata: Metadata | null, path: readonly string[]): string | null {
  let value: unknown = metadata;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return null;
    value = (value as Record<string, unknown>)[key];
  }
  if (value === null || value === undefined) return null;
  return typeof value === 'object' ? metadataText(value) : String(value);
}
