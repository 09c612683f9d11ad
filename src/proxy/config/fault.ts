import type { HTTPFault } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import type { FractionalPercent } from '../../xds/gen/envoy/type/v3/percent_pb.js';
import { durationMs, type Field, words } from './field.ts';
import { compileHeader } from './string-match.ts';
import type { Fault } from './table.ts';

const perUnit = [10_000, 100, 1];

/** Millionths of a FractionalPercent; `absent` when it is not given. */
export function millionths(percent: FractionalPercent | undefined, absent: number): number {
  return percent ? Math.min(1_000_000, percent.numerator * (perUnit[percent.denominator] ?? 10_000)) : absent;
}

const known = words(
  'delay abort headers upstream_cluster downstream_nodes max_active_faults disable_downstream_cluster_stats',
);

/** Null when nothing is injected. */
export function compileFault(field: Field, fault: HTTPFault): Fault | null {
  field.only(HTTPFaultSchema, fault, known);
  const { delay, abort } = fault;
  let delayed: Fault['delay'] = null;
  if (delay?.faultDelaySecifier.case === 'fixedDelay')
    delayed = { ms: durationMs(delay.faultDelaySecifier.value, 0), millionths: millionths(delay.percentage, 0) };
  else if (delay?.faultDelaySecifier.case === 'headerDelay')
    delayed = { ms: null, millionths: millionths(delay.percentage, 0) };
  else if (delay) field.at('delay').fail('has neither fixed_delay nor header_delay');
  let aborted: Fault['abort'] = null;
  if (abort?.errorType.case === 'httpStatus')
    aborted = { status: abort.errorType.value, grpcStatus: null, millionths: millionths(abort.percentage, 0) };
  else if (abort?.errorType.case === 'grpcStatus')
    aborted = { status: 200, grpcStatus: abort.errorType.value, millionths: millionths(abort.percentage, 0) };
  else if (abort?.errorType.case === 'headerAbort')
    aborted = { status: 0, grpcStatus: null, millionths: millionths(abort.percentage, 0) };
  else if (abort) field.at('abort').fail('has none of http_status, grpc_status and header_abort');
  if (aborted && aborted.status !== 0 && (aborted.status < 200 || aborted.status > 599))
    field.at('abort').at('http_status').fail(`${aborted.status} is not between 200 and 599`);
  if (!delayed && !aborted) return null;
  return {
    delay: delayed,
    abort: aborted,
    headers: fault.headers.map((h, i) => compileHeader(field.at('headers', i), h)),
    upstreamCluster: fault.upstreamCluster,
    downstreamNodes: fault.downstreamNodes.length > 0 ? new Set(fault.downstreamNodes) : null,
    maxActive: fault.maxActiveFaults ?? Number.POSITIVE_INFINITY,
  };
}
