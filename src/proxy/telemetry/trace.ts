/** Which trace a request belongs to: what came with it, what is decided about it, what is sent on. */
import { randomFillSync } from 'node:crypto';
import type { HeaderEdit } from '../codec/header-edit.ts';
import { runtimeValues } from '../config/runtime-values.ts';
import type { Tracing } from '../config/table.ts';
import type { ActiveExchange } from '../http/active-exchange.ts';
import { fromInside } from '../http/client-address.ts';

/** Why a request is traced, or not, as the 15th digit of its x-request-id says (Envoy: UUID request id extension). */
const reasonDigits = { none: '4', sampled: '9', service: 'a', client: 'b' } as const;
export type TraceReason = keyof typeof reasonDigits;

export class Trace {
  /** Lower-case hex. */
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the first span of a trace. */
  readonly parentId: string;
  readonly sampled: boolean;
  /** tracestate as it came. */
  readonly state: string;
  readonly reason: TraceReason;
  /** x-envoy-decorator-operation of the caller, or what the upstream said of itself. */
  operation = '';

  constructor(traceId: string, spanId: string, parentId: string, sampled: boolean, state: string, reason: TraceReason) {
    this.traceId = traceId;
    this.spanId = spanId;
    this.parentId = parentId;
    this.sampled = sampled;
    this.state = state;
    this.reason = reason;
  }
}

const pool = Buffer.allocUnsafe(4096);
let used = pool.length;

/** `bytes` random bytes as hex, never all zero. */
function randomId(bytes: 8 | 16): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const id = pool.toString('hex', used, used + bytes);
  used += bytes;
  return /[^0]/.test(id) ? id : randomId(bytes);
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Envoy draws by the first eight digits of the request's id, so that all proxies of a request draw alike. */
const drawn = (id: string, millionths: number): boolean =>
  millionths >= 1_000_000 || (Number.parseInt(id.slice(0, 8), 16) % 10_000) * 100 < millionths;

function reasonOf(id: string): TraceReason {
  const digit = id[14];
  for (const [reason, known] of Object.entries(reasonDigits)) if (known === digit) return reason as TraceReason;
  return 'none';
}

/** Decides, and writes the decision into the request's id for the proxies that follow. */
function decide(exchange: ActiveExchange, tracing: Tracing): TraceReason {
  const id = exchange.header('x-request-id') ?? '';
  if (!uuid.test(id)) return 'none';
  const shares = exchange.route?.tracing ?? tracing;
  let reason = reasonOf(id);
  if (reason === 'none') {
    if (
      exchange.header('x-client-trace-id') !== null &&
      drawn(id, runtimeValues.millionths('tracing.client_enabled', shares.client))
    )
      reason = 'client';
    // Callers from outside have no say in this.
    else if (exchange.header('x-envoy-force-trace') !== null && fromInside(exchange)) reason = 'service';
    else if (drawn(id, runtimeValues.millionths('tracing.random_sampling', shares.random))) reason = 'sampled';
  }
  if (reason !== 'none' && !drawn(id, runtimeValues.millionths('tracing.global_enabled', shares.overall)))
    reason = 'none';
  if (id[14] !== reasonDigits[reason]) exchange.requestId = id.slice(0, 14) + reasonDigits[reason] + id.slice(15);
  return reason;
}

const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** W3C Trace Context, level 1. Null for a header that cannot be read: such a request is not traced, as in Envoy. */
function fromW3c(exchange: ActiveExchange, header: string, reason: TraceReason): Trace | null {
  const match = traceparent.exec(header);
  if (match === null || match[1] === 'ff' || /^0+$/.test(match[2]) || /^0+$/.test(match[3])) return null;
  const sampled = (Number.parseInt(match[4], 16) & 1) === 1;
  return new Trace(match[2], randomId(8), match[3], sampled, exchange.header('tracestate') ?? '', reason);
}

interface B3 {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  /** Null leaves the decision to this side. */
  readonly sampled: boolean | null;
}

const hexId = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/;
const sampledWord = (word: string | null): boolean | null =>
  word === '1' || word === 'd' || word === 'true' ? true : word === '0' || word === 'false' ? false : null;

/** B3 in one header or in several (openzipkin/b3-propagation). Null when neither is there, undefined when it cannot be read. */
function readB3(exchange: ActiveExchange): B3 | null | undefined {
  const single = exchange.header('b3');
  if (single !== null) {
    const [traceId, spanId = '', flag = null, parentId = ''] = single.split('-');
    if (spanId === '')
      return sampledWord(traceId) === null
        ? undefined
        : { traceId: '', spanId: '', parentId: '', sampled: sampledWord(traceId) };
    if (!hexId.test(traceId) || !/^[0-9a-f]{16}$/.test(spanId)) return undefined;
    return { traceId, spanId, parentId, sampled: sampledWord(flag) };
  }
  const traceId = exchange.header('x-b3-traceid');
  const spanId = exchange.header('x-b3-spanid');
  const sampled = exchange.header('x-b3-flags') === '1' ? true : sampledWord(exchange.header('x-b3-sampled'));
  if (traceId === null || spanId === null)
    return sampled === null ? null : { traceId: '', spanId: '', parentId: '', sampled };
  if (!hexId.test(traceId) || !/^[0-9a-f]{16}$/.test(spanId)) return undefined;
  return { traceId, spanId, parentId: exchange.header('x-b3-parentspanid') ?? '', sampled };
}

const isEgress = (exchange: ActiveExchange): boolean => exchange.connection.direction === 'outbound';

function fromB3(exchange: ActiveExchange, tracing: Tracing, reason: TraceReason): Trace | null {
  const came = readB3(exchange);
  if (came === undefined) return null;
  const sampled = came?.sampled ?? reason !== 'none';
  if (came === null || came.traceId === '') {
    const spanId = randomId(8);
    const traceId = tracing.provider.longTraceIds ? randomId(8) + spanId : spanId;
    return new Trace(traceId, spanId, '', sampled, '', reason);
  }
  if (tracing.provider.sharedSpan && !isEgress(exchange))
    return new Trace(came.traceId, came.spanId, came.parentId, sampled, '', reason);
  return new Trace(came.traceId, randomId(8), came.spanId, sampled, '', reason);
}

/** Settles once what the request's trace is; null when it has none. */
export function traceOf(exchange: ActiveExchange, tracing: Tracing): Trace | null {
  if (exchange.traced) return exchange.trace;
  exchange.traced = true;
  const reason = decide(exchange, tracing);
  exchange.plane.statistics.traced(exchange, reason);
  if (tracing.provider.kind === 'zipkin') exchange.trace = fromB3(exchange, tracing, reason);
  else {
    const header = exchange.header('traceparent');
    exchange.trace =
      header === null
        ? new Trace(randomId(16), randomId(8), '', reason !== 'none', '', reason)
        : fromW3c(exchange, header, reason);
  }
  if (exchange.trace !== null && !isEgress(exchange))
    exchange.trace.operation = exchange.header('x-envoy-decorator-operation') ?? '';
  return exchange.trace;
}

/** Adds what the next proxy must know to the request that is sent on. */
export function injectTrace(exchange: ActiveExchange, tracing: Tracing, edit: HeaderEdit): void {
  const trace = traceOf(exchange, tracing);
  if (isEgress(exchange)) {
    const decorator = exchange.route?.decorator ?? null;
    if (decorator?.propagate) edit.set('x-envoy-decorator-operation', decorator.operation);
  } else edit.remove('x-envoy-decorator-operation');
  if (trace === null) return;
  if (tracing.provider.kind === 'opentelemetry') {
    edit.set('traceparent', `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? '01' : '00'}`);
    edit.set('tracestate', trace.state);
    return;
  }
  edit.remove('b3');
  edit.set('x-b3-traceid', trace.traceId);
  edit.set('x-b3-spanid', trace.spanId);
  if (trace.parentId !== '') edit.set('x-b3-parentspanid', trace.parentId);
  edit.set('x-b3-sampled', trace.sampled ? '1' : '0');
}
