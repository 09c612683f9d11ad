/** A finished request as a span, with the tags that Envoy gives it (Envoy: HttpTracerUtility). */
import type { Tracing } from '../config/table.ts';
import type { ActiveExchange } from '../http/active-exchange.ts';
import type { LocalNode } from '../http/plane.ts';
import { grpcStatus } from './operators.ts';
import type { Trace } from './trace.ts';

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  readonly kind: 'server' | 'client';
  /** Milliseconds since the epoch, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly tags: ReadonlyArray<readonly [name: string, value: string]>;
  readonly failed: boolean;
}

function operationOf(exchange: ActiveExchange, trace: Trace): string {
  if (trace.operation !== '') return trace.operation;
  const decorator = exchange.route?.decorator ?? null;
  if (decorator !== null) return decorator.operation;
  return exchange.connection.direction === 'outbound' ? `egress ${exchange.authority}` : 'ingress';
}

export function spanOf(exchange: ActiveExchange, tracing: Tracing, trace: Trace, node: LocalNode): Span {
  const { status, cluster, flags, connection } = exchange;
  const path = exchange.originalPath || exchange.path;
  const tags: Array<readonly [string, string]> = [
    ['node_id', node.id],
    ['zone', node.zone],
    ['guid:x-request-id', exchange.header('x-request-id') ?? ''],
    ['http.url', `${exchange.scheme}://${exchange.authority}${path.slice(0, tracing.maxPathTagLength)}`],
    ['http.method', exchange.method],
    ['downstream_cluster', exchange.header('x-envoy-downstream-service-cluster') ?? '-'],
    ['user_agent', exchange.header('user-agent') ?? '-'],
    ['http.protocol', exchange.protocol],
    ['peer.address', connection.remote.ip],
    ['request_size', `${exchange.requestBodyBytes}`],
    ['response_size', `${exchange.responseBodyBytes}`],
    ['component', 'proxy'],
  ];
  const clientTrace = exchange.header('x-client-trace-id');
  if (clientTrace !== null) tags.push(['guid:x-client-trace-id', clientTrace]);
  if (cluster !== null) {
    tags.push(['upstream_cluster', cluster.name]);
    tags.push(['upstream_cluster.name', cluster.altStatName || cluster.name]);
  }
  tags.push(['http.status_code', `${status}`], ['response_flags', flags || '-']);
  const grpc = grpcTags(exchange, tags);
  const failed = status === 0 || status >= 500 || grpc;
  if (failed) tags.push(['error', 'true']);
  customTags(exchange, tracing, tags);
  return {
    traceId: trace.traceId,
    spanId: trace.spanId,
    parentId: trace.parentId,
    state: trace.state,
    name: operationOf(exchange, trace),
    kind: connection.direction === 'outbound' ? 'client' : 'server',
    startMs: exchange.startedAtMs,
    endMs: exchange.startedAtMs + (exchange.endTick - exchange.startTick),
    tags,
    failed,
  };
}

/** Statuses that are the server's fault (Envoy: the same that count as failures of an upstream). */
const grpcFailures = new Set([2, 4, 12, 13, 14, 15]);

function grpcTags(exchange: ActiveExchange, tags: Array<readonly [string, string]>): boolean {
  const status = grpcStatus(exchange);
  if (status === null) return false;
  tags.push(
    ['grpc.path', exchange.path],
    ['grpc.authority', exchange.authority],
    ['grpc.content_type', exchange.header('content-type') ?? ''],
    ['grpc.status_code', `${status}`],
  );
  const timeout = exchange.header('grpc-timeout');
  if (timeout !== null) tags.push(['grpc.timeout', timeout]);
  const message = exchange.responseTrailer('grpc-message') ?? exchange.responseHeader('grpc-message');
  if (message !== null) tags.push(['grpc.message', message]);
  return grpcFailures.has(status);
}

/** A route's tag stands before one of the same name that the connection manager has. */
function customTags(exchange: ActiveExchange, tracing: Tracing, tags: Array<readonly [string, string]>): void {
  const own = exchange.route?.tracing?.customTags ?? [];
  for (const { name, read } of [...own, ...tracing.customTags.filter((tag) => !own.some((o) => o.name === tag.name))]) {
    const value = read(exchange);
    if (value !== null) tags.push([name, value]);
  }
}
