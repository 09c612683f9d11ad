/** Spans in OTLP (protobuf) and in Zipkin's JSON v2. */
import { hostname } from 'node:os';
import { version } from '../../lib/version.ts';
import type { LocalNode } from '../http/plane.ts';
import type { Span } from './span.ts';

const nanos = (ms: number): bigint => BigInt(Math.round(ms * 1000)) * 1000n;

/** The messages are loaded with the first batch: most proxies send none. */
export async function encodeOtlp(serviceName: string, spans: readonly Span[]): Promise<Buffer> {
  const [{ create, toBinary }, otlp] = await Promise.all([
    import('@bufbuild/protobuf'),
    import('../../xds/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js'),
  ]);
  const attribute = (key: string, value: string) => ({
    key,
    value: { value: { case: 'stringValue' as const, value } },
  });
  const message = create(otlp.ExportTraceServiceRequestSchema, {
    resourceSpans: [
      {
        resource: {
          attributes: [
            attribute('service.name', serviceName),
            attribute('telemetry.sdk.language', 'nodejs'),
            attribute('telemetry.sdk.name', 'lateen'),
            attribute('telemetry.sdk.version', version),
          ],
        },
        scopeSpans: [
          {
            scope: { name: 'lateen', version },
            spans: spans.map((span) => ({
              traceId: Buffer.from(span.traceId, 'hex'),
              spanId: Buffer.from(span.spanId, 'hex'),
              parentSpanId: Buffer.from(span.parentId, 'hex'),
              traceState: span.state,
              name: span.name,
              kind: span.kind === 'server' ? 2 : 3,
              startTimeUnixNano: nanos(span.startMs),
              endTimeUnixNano: nanos(span.endMs),
              attributes: span.tags.map(([key, value]) => attribute(key, value)),
              ...(span.failed && { status: { code: 2 } }),
            })),
          },
        ],
      },
    ],
  });
  return Buffer.from(toBinary(otlp.ExportTraceServiceRequestSchema, message));
}

/** https://zipkin.io/zipkin-api, ListOfSpans; times are microseconds. */
export async function encodeZipkin(node: LocalNode, shared: boolean, spans: readonly Span[]): Promise<Buffer> {
  const localEndpoint = { serviceName: node.cluster || hostname() };
  return Buffer.from(
    JSON.stringify(
      spans.map((span) => ({
        traceId: span.traceId,
        id: span.spanId,
        ...(span.parentId !== '' && { parentId: span.parentId }),
        name: span.name,
        kind: span.kind.toUpperCase(),
        timestamp: Math.round(span.startMs * 1000),
        duration: Math.max(1, Math.round((span.endMs - span.startMs) * 1000)),
        localEndpoint,
        tags: Object.fromEntries(span.tags),
        ...(shared && span.kind === 'server' && span.parentId !== '' && { shared: true }),
      })),
    ),
  );
}
