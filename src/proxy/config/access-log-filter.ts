/** Which requests and connections an access log tells of (Envoy: AccessLogFilter). */
import {
  type ComparisonFilter,
  type AccessLogFilter as FilterMessage,
  GrpcStatusFilter_Status,
} from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { AccessLogType } from '../../xds/gen/envoy/data/accesslog/v3/accesslog_pb.js';
import { matchesHeader } from '../http/match.ts';
import { type AccessLogFilter, emitting, isExchange, type LogSubject } from '../telemetry/access-log.ts';
import { grpcStatusAnyway } from '../telemetry/operators.ts';
import { isResponseFlag } from '../telemetry/response-flags.ts';
import { millionths } from './fault.ts';
import type { Field } from './field.ts';
import { runtimeValues } from './runtime-values.ts';
import { compileHeader } from './string-match.ts';

const always: AccessLogFilter = () => true;

export function compileLogFilter(field: Field, message: FilterMessage): AccessLogFilter {
  const { case: kind, value } = message.filterSpecifier;
  switch (kind) {
    case 'andFilter': {
      const filters = list(field.at('and_filter'), value.filters);
      return (subject) => filters.every((filter) => filter(subject));
    }
    case 'orFilter': {
      const filters = list(field.at('or_filter'), value.filters);
      return (subject) => filters.some((filter) => filter(subject));
    }
    case 'statusCodeFilter':
      return comparison(value.comparison, (s) => (isExchange(s) ? s.status : 0));
    case 'durationFilter':
      return comparison(value.comparison, (s) =>
        Math.floor((s.endTick < 0 ? performance.now() : s.endTick) - s.startTick),
      );
    case 'responseFlagFilter': {
      const at = field.at('response_flag_filter');
      for (const [i, flag] of value.flags.entries())
        if (!isResponseFlag(flag)) at.at('flags', i).fail(`${JSON.stringify(flag)} is no response flag`);
      const flags = new Set(value.flags);
      if (flags.size === 0) return (subject) => subject.flags !== '';
      return (subject) => subject.flags !== '' && subject.flags.split(',').some((flag) => flags.has(flag));
    }
    case 'headerFilter': {
      const at = field.at('header_filter').at('header');
      if (!value.header) {
        at.fail('is missing');
        return always;
      }
      const header = compileHeader(at, value.header);
      return (subject) => isExchange(subject) && matchesHeader(header, subject);
    }
    case 'runtimeFilter': {
      const share = millionths(value.percentSampled, 0);
      const { runtimeKey, useIndependentRandomness: own } = value;
      if (runtimeKey === '') field.at('runtime_filter').at('runtime_key').fail('is empty');
      return (subject) => {
        const drawn = own || !isExchange(subject) ? Math.random() * 1_000_000 : subject.random;
        return drawn < runtimeValues.millionths(runtimeKey, share);
      };
    }
    case 'grpcStatusFilter': {
      const statuses = new Set<number>(value.statuses);
      for (const [i, status] of value.statuses.entries())
        if (!(status in GrpcStatusFilter_Status))
          field.at('grpc_status_filter').at('statuses', i).fail(`${status} is no gRPC status`);
      return (subject) => {
        const status = isExchange(subject) ? grpcStatusAnyway(subject) : null;
        return statuses.has(status ?? 2) !== value.exclude;
      };
    }
    case 'logTypeFilter': {
      const types = new Set(value.types.map((type) => AccessLogType[type]));
      return () => types.has(emitting.type) !== value.exclude;
    }
    case 'notHealthCheckFilter':
      return (subject) => !(isExchange(subject) && subject.healthCheck);
    default:
      field.fail(kind ? `${fieldName(kind)} is not supported` : 'is empty');
      return always;
  }
}

const fieldName = (kind: string): string => kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function list(field: Field, filters: readonly FilterMessage[]): AccessLogFilter[] {
  if (filters.length < 2) field.at('filters').fail('needs at least two');
  return filters.map((filter, i) => compileLogFilter(field.at('filters', i), filter));
}

function comparison(compare: ComparisonFilter | undefined, read: (subject: LogSubject) => number): AccessLogFilter {
  const fallback = compare?.value?.defaultValue ?? 0;
  const key = compare?.value?.runtimeKey ?? '';
  const wanted = () => runtimeValues.number(key, fallback);
  const op = compare?.op ?? 0;
  if (op === 1) return (subject) => read(subject) >= wanted();
  if (op === 2) return (subject) => read(subject) <= wanted();
  return (subject) => read(subject) === wanted();
}
