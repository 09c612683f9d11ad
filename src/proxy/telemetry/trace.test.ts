import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import {
  ExportTraceServiceRequestSchema,
  ExportTraceServiceResponseSchema,
} from '../../xds/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';
import { createGrpcServer } from '../../xds/grpc/server.ts';
import { type FileProxy, startFromFile } from '../agent/file.ts';
import { parseBootstrap } from '../config/bootstrap.ts';
import { Caller, ok } from '../testing/peers.ts';
import { get, originFor, startedByTest } from '../testing/proxy.ts';
import { createLog } from './log.ts';

const manager = (tracing: string, direction: string, origin: number, collector: number) => `
node: {id: n1, cluster: svc}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    traffic_direction: ${direction}
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          tracing: ${tracing}
          route_config:
            name: r
            virtual_hosts:
            - name: vh
              domains: ["*"]
              routes:
              - {match: {prefix: /direct}, direct_response: {status: 200}, decorator: {operation: op}}
              - {match: {prefix: /none}, route: {cluster: c}, tracing: {random_sampling: {numerator: 0}}}
              - {match: {prefix: /}, route: {cluster: c}, metadata: {filter_metadata: {a: {b: mdv}}}, tracing: {custom_tags: [{tag: lit, literal: {value: of route}}]}}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - {name: c, connect_timeout: 1s, type: STATIC, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${origin}}}}}]}]}}
  - {name: collector, connect_timeout: 1s, type: STATIC, ${tracing.includes('grpc_service') ? http2 : ''}load_assignment: {cluster_name: collector, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${collector}}}}}]}]}}
`;

const http2 =
  'typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}, ';

const openTelemetry = (service: string) =>
  `{max_path_tag_length: 8, custom_tags: [{tag: lit, literal: {value: v}}, {tag: hdr, request_header: {name: x-t, default_value: none}}, {tag: md, metadata: {kind: {route: {}}, metadata_key: {key: a, path: [{key: b}]}}}], provider: {name: otel, typed_config: {"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, service_name: shop, ${service}}}}`;
const overHttp = openTelemetry(
  'http_service: {http_uri: {uri: "http://otel/v1/traces", cluster: collector, timeout: 1s}}',
);
const overGrpc = openTelemetry('grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 1s}');
const zipkin =
  '{provider: {name: zipkin, typed_config: {"@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig, collector_cluster: collector, collector_endpoint: /api/v2/spans, collector_endpoint_version: HTTP_JSON}}}';

class Traced {
  readonly proxy: FileProxy;
  /** Heads that the origin got. */
  readonly heads: string[];

  private constructor(proxy: FileProxy, heads: string[]) {
    this.proxy = proxy;
    this.heads = heads;
  }

  static async by(t: ExecutionContext, tracing: string, collector: number, direction = 'INBOUND'): Promise<Traced> {
    const heads: string[] = [];
    const origin = await originFor(t, ({ head }) => {
      heads.push(head);
      return ok('hello');
    });
    const bootstrap = parseBootstrap(manager(tracing, direction, origin.port, collector));
    return new Traced(await startFromFile(bootstrap, startedByTest, createLog('none')), heads);
  }

  async ask(path: string, headers = ''): Promise<string> {
    const caller = await Caller.to(this.proxy.plane.portOf('main'));
    const answer = await caller.send(get(path, headers)).responses();
    caller.stop();
    return answer;
  }

  sent(name: string, at = -1): string | undefined {
    return new RegExp(`^${name}: *(.*)$`, 'im').exec(this.heads.at(at) ?? '')?.[1];
  }

  /** Spans leave at the latest when the proxy ends. */
  async end(): Promise<void> {
    this.proxy.lifecycle.quit();
    await this.proxy.ended;
  }
}

interface Delivery {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function httpCollector(t: ExecutionContext, status = 200): Promise<{ port: number; got: Delivery[] }> {
  const got: Delivery[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      got.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(pieces) });
      response.statusCode = status;
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, got };
}

function spansOf(body: Buffer) {
  const [resource] = fromBinary(ExportTraceServiceRequestSchema, body).resourceSpans;
  const text = (pairs: readonly { key: string; value?: { value: { value?: unknown } } }[]) =>
    Object.fromEntries(pairs.map(({ key, value }) => [key, value?.value.value as string]));
  return resource.scopeSpans[0].spans.map((span) => ({
    traceId: Buffer.from(span.traceId).toString('hex'),
    spanId: Buffer.from(span.spanId).toString('hex'),
    parentId: Buffer.from(span.parentSpanId).toString('hex'),
    state: span.traceState,
    name: span.name,
    kind: span.kind,
    code: span.status?.code ?? 0,
    service: text(resource.resource?.attributes ?? [])['service.name'],
    tags: text(span.attributes),
  }));
}

test('a request becomes a span with the tags that Envoy gives it, and the next proxy is told', async (t) => {
  const collector = await httpCollector(t);
  const traced = await Traced.by(t, overHttp, collector.port);
  await traced.ask('/a/long/path?q=1', 'x-t: tv\r\n');
  const [, traceId, spanId, flags] = traced.sent('traceparent')?.split('-') ?? [];
  t.is(flags, '01');
  t.is(traced.sent('tracestate'), '');
  await traced.ask('/direct');
  await traced.end();
  t.like(collector.got[0], { url: '/v1/traces', headers: { host: 'otel', 'content-type': 'application/x-protobuf' } });
  const [span, direct] = spansOf(collector.got[0].body);
  t.like(span, { traceId, spanId, parentId: '', name: 'ingress', kind: 2, code: 0, service: 'shop' });
  t.like(span.tags, {
    node_id: 'n1',
    'guid:x-request-id': traced.sent('x-request-id'),
    'http.url': 'http://shop/a/long/',
    'http.method': 'GET',
    downstream_cluster: '-',
    user_agent: '-',
    'http.protocol': 'HTTP/1.1',
    'peer.address': '127.0.0.1',
    request_size: '0',
    response_size: '5',
    component: 'proxy',
    upstream_cluster: 'c',
    'upstream_cluster.name': 'c',
    'http.status_code': '200',
    response_flags: '-',
    lit: 'of route',
    hdr: 'tv',
    md: 'mdv',
  });
  t.like(direct, { name: 'op', tags: { lit: 'v', hdr: 'none' } });
});

test('a trace goes on as its caller decided, and the id of the request carries the decision', async (t) => {
  const collector = await httpCollector(t);
  const traced = await Traced.by(t, overHttp, collector.port);
  const id = '0af7651916cd43dd8448eb211c80319c';
  await traced.ask('/a', `traceparent: 00-${id}-b7ad6b7169203331-01\r\ntracestate: a=b\r\n`);
  t.regex(traced.sent('traceparent') ?? '', new RegExp(`^00-${id}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
  t.is(traced.sent('tracestate'), 'a=b');
  await traced.ask('/b', `traceparent: 00-${id}-b7ad6b7169203331-00\r\n`);
  t.regex(traced.sent('traceparent') ?? '', /-00$/);
  await traced.ask('/c', 'traceparent: 00-nonsense-01\r\n');
  t.is(traced.sent('traceparent'), '00-nonsense-01');
  await traced.ask('/none', 'x-request-id: 11111111-2222-4333-8444-555555555555\r\n');
  t.is(traced.sent('x-request-id'), '11111111-2222-4333-8444-555555555555');
  t.regex(traced.sent('traceparent') ?? '', /-00$/);
  await traced.ask('/none', 'x-request-id: 11111111-2222-4333-8444-555555555555\r\nx-client-trace-id: me\r\n');
  t.is(traced.sent('x-request-id'), '11111111-2222-b333-8444-555555555555');
  await traced.ask('/d', 'x-request-id: 11111111-2222-4333-8444-555555555555\r\n');
  t.is(traced.sent('x-request-id'), '11111111-2222-9333-8444-555555555555');
  await traced.end();
  const spans = spansOf(collector.got[0].body);
  t.deepEqual(
    spans.map(({ tags }) => tags['http.url']),
    ['http://shop/a', 'http://shop/none', 'http://shop/d'],
  );
  t.like(spans[0], { traceId: id, parentId: 'b7ad6b7169203331', state: 'a=b' });
});

test('spans go over gRPC too', async (t) => {
  const got: Buffer[] = [];
  const server = createGrpcServer({
    identity: null,
    methods: {
      '/opentelemetry.proto.collector.trace.v1.TraceService/Export': (call) => ({
        onMessage(message) {
          got.push(Buffer.from(message));
          call.send(toBinary(ExportTraceServiceResponseSchema, create(ExportTraceServiceResponseSchema)));
          call.end(null);
        },
      }),
    },
  });
  const port = await server.listen(0, '127.0.0.1');
  t.teardown(() => server.close(0));
  const traced = await Traced.by(t, overGrpc, port, 'OUTBOUND');
  await traced.ask('/a');
  await traced.end();
  t.like(spansOf(got[0])[0], { name: 'egress shop', kind: 3 });
});

test('Zipkin: B3 in one header or several, the server shares the span of its caller', async (t) => {
  const collector = await httpCollector(t, 202);
  const traced = await Traced.by(t, zipkin, collector.port);
  await traced.ask('/a');
  t.regex(traced.sent('x-b3-traceid') ?? '', /^[0-9a-f]{16}$/);
  t.is(traced.sent('x-b3-sampled'), '1');
  await traced.ask('/b', 'b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90\r\n');
  t.is(traced.sent('x-b3-traceid'), '80f198ee56343ba864fe8b2a57d3eff7');
  t.is(traced.sent('x-b3-spanid'), 'e457b5a2e4d86bd1');
  t.is(traced.sent('x-b3-parentspanid'), '05e3ac9a4f6e3b90');
  t.is(traced.sent('b3'), undefined);
  await traced.ask('/c', 'x-b3-traceid: 463ac35c9f6413ad\r\nx-b3-spanid: a2fb4a1d1a96d312\r\nx-b3-sampled: 0\r\n');
  t.is(traced.sent('x-b3-sampled'), '0');
  await traced.end();
  const spans = JSON.parse(collector.got[0].body.toString());
  t.is(collector.got[0].url, '/api/v2/spans');
  t.is(spans.length, 2);
  t.like(spans[1], {
    traceId: '80f198ee56343ba864fe8b2a57d3eff7',
    id: 'e457b5a2e4d86bd1',
    parentId: '05e3ac9a4f6e3b90',
    kind: 'SERVER',
    shared: true,
    localEndpoint: { serviceName: 'svc' },
    tags: { 'http.status_code': '200' },
  });
});

test('a collector that refuses loses the spans, which is counted', async (t) => {
  const collector = await httpCollector(t, 503);
  const traced = await Traced.by(t, overHttp, collector.port);
  const caller = await Caller.to(traced.proxy.plane.portOf('main'));
  caller.send(get('/direct').repeat(256));
  await caller.responses(256);
  caller.stop();
  const stats = async () => (await fetch(`http://127.0.0.1:${traced.proxy.adminPort}/stats?filter=^tracing`)).text();
  while (!(await stats()).includes('spans_dropped: 256')) await new Promise((resolve) => setTimeout(resolve, 10));
  t.is(
    await stats(),
    'tracing.opentelemetry.spans_dropped: 256\ntracing.opentelemetry.spans_sent: 0\ntracing.opentelemetry.timer_flushed: 0\n',
  );
  await traced.end();
  t.is(collector.got.length, 1);
});

test('what cannot be traced with is refused by its path', (t) => {
  const refused = (tracing: string) => t.throws(() => parseBootstrap(manager(tracing, 'INBOUND', 1, 2))).message;
  t.regex(
    refused(openTelemetry('grpc_service: {google_grpc: {target_uri: x, stat_prefix: y}}')),
    /tracing\.provider\.typed_config\.grpc_service: only envoy_grpc is supported/,
  );
  t.regex(
    refused('{custom_tags: [{tag: x}], provider: {name: z}}'),
    /tracing\.provider\.typed_config: has no typed_config/,
  );
});
