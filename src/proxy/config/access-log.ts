import type {
  AccessLog,
  AccessLogFilter as FilterMessage,
} from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import type { SubstitutionFormatString } from '../../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';
import { FileAccessLogSchema } from '../../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../../xds/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { matchesHeader } from '../http/match.ts';
import { type AccessLogFilter, type AccessLogFormat, isExchange, type LogSubject } from '../telemetry/access-log.ts';
import { jsonFormat, textFormat } from '../telemetry/format.ts';
import { readData } from './data-source.ts';
import { millionths } from './fault.ts';
import { dispatch, type Field, unpack } from './field.ts';
import { compileHeader } from './string-match.ts';
import type { AccessLogSink } from './table.ts';

/** Envoy's own default format (Envoy documentation, "Access logging", default format string). */
const envoyDefault =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

export function compileAccessLogs(field: Field, logs: readonly AccessLog[]): AccessLogSink[] {
  return logs.flatMap((log, i) => compileOne(field.at('access_log', i), log) ?? []);
}

function compileOne(field: Field, log: AccessLog): AccessLogSink | null {
  const filter = log.filter ? compileFilter(field.at('filter'), log.filter) : null;
  const target = dispatch<{ path: string; format: AccessLogFormat } | null>(field, log.configType, {
    [FileAccessLogSchema.typeName]: (at, any) => {
      const file = unpack(at, any, FileAccessLogSchema);
      if (!file) return null;
      if (!file.path) at.at('path').fail('is empty');
      const given = file.accessLogFormat;
      if (given.case === 'logFormat')
        return { path: file.path, format: substitution(at.at('log_format'), given.value) };
      if (given.case === 'format')
        return { path: file.path, format: guarded(at.at('format'), () => textFormat(given.value, '-')) };
      if (given.case)
        return { path: file.path, format: guarded(at.at('json_format'), () => jsonFormat(given.value, false)) };
      return { path: file.path, format: textFormat(envoyDefault, '-') };
    },
    [StdoutAccessLogSchema.typeName]: (at, any) => {
      const stream = unpack(at, any, StdoutAccessLogSchema);
      return stream && { path: '/dev/stdout', format: substitution(at.at('log_format'), stream.accessLogFormat.value) };
    },
    [StderrAccessLogSchema.typeName]: (at, any) => {
      const stream = unpack(at, any, StderrAccessLogSchema);
      return stream && { path: '/dev/stderr', format: substitution(at.at('log_format'), stream.accessLogFormat.value) };
    },
  });
  return target && { ...target, filter };
}

function guarded(field: Field, make: () => AccessLogFormat): AccessLogFormat {
  try {
    return make();
  } catch (error) {
    field.fail((error as Error).message);
    return () => '';
  }
}

function substitution(field: Field, message: SubstitutionFormatString | undefined): AccessLogFormat {
  const format = message?.format;
  const absent = message?.omitEmptyValues ? '' : '-';
  switch (format?.case) {
    case 'textFormat':
      return guarded(field.at('text_format'), () => textFormat(format.value, absent));
    case 'textFormatSource': {
      const text = readData(field.at('text_format_source'), format.value).toString();
      return guarded(field.at('text_format_source'), () => textFormat(text, absent));
    }
    case 'jsonFormat':
      return guarded(field.at('json_format'), () => jsonFormat(format.value, message?.omitEmptyValues ?? false));
    default:
      return textFormat(envoyDefault, absent);
  }
}

function compileFilter(field: Field, message: FilterMessage): AccessLogFilter {
  const { case: kind, value } = message.filterSpecifier;
  switch (kind) {
    case 'andFilter': {
      const filters = value.filters.map((f, i) => compileFilter(field.at('and_filter').at('filters', i), f));
      return (subject) => filters.every((filter) => filter(subject));
    }
    case 'orFilter': {
      const filters = value.filters.map((f, i) => compileFilter(field.at('or_filter').at('filters', i), f));
      return (subject) => filters.some((filter) => filter(subject));
    }
    case 'statusCodeFilter':
      return comparison(value.comparison, (s) => (isExchange(s) ? s.status : 0));
    case 'durationFilter':
      return comparison(value.comparison, (s) => s.endTick - s.startTick);
    case 'responseFlagFilter': {
      const flags = new Set(value.flags);
      if (flags.size === 0) return (subject) => subject.flags !== '';
      return (subject) => subject.flags.split(',').some((flag) => flags.has(flag));
    }
    case 'headerFilter': {
      if (!value.header) {
        field.at('header_filter').at('header').fail('is missing');
        return () => false;
      }
      const header = compileHeader(field.at('header_filter').at('header'), value.header);
      return (subject) => isExchange(subject) && matchesHeader(header, subject);
    }
    case 'runtimeFilter': {
      const share = millionths(value.percentSampled, 0);
      return () => Math.random() * 1_000_000 < share;
    }
    case 'notHealthCheckFilter':
      return () => true;
    default:
      field.fail(kind ? `${kind} is not supported` : 'is empty');
      return () => true;
  }
}

function comparison(
  compare: { op: number; value?: { defaultValue: number } } | undefined,
  read: (subject: LogSubject) => number,
): AccessLogFilter {
  const wanted = compare?.value?.defaultValue ?? 0;
  const op = compare?.op ?? 0;
  if (op === 1) return (subject) => read(subject) >= wanted;
  if (op === 2) return (subject) => read(subject) <= wanted;
  return (subject) => read(subject) === wanted;
}
