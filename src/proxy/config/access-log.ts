import type { Any } from '@bufbuild/protobuf/wkt';
import type { AccessLog } from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import {
  type SubstitutionFormatString,
  SubstitutionFormatStringSchema,
} from '../../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';
import {
  type FileAccessLog,
  FileAccessLogSchema,
} from '../../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import {
  type StderrAccessLog,
  StderrAccessLogSchema,
  type StdoutAccessLog,
  StdoutAccessLogSchema,
} from '../../xds/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import type { AccessLogFormat } from '../telemetry/access-log.ts';
import { textFormat } from '../telemetry/format.ts';
import { jsonFormat } from '../telemetry/json-format.ts';
import { compileLogFilter } from './access-log-filter.ts';
import { readData } from './data-source.ts';
import { dispatch, type Field, unpack, words } from './field.ts';
import type { AccessLogSink } from './table.ts';

/** Envoy's own default format (Envoy documentation, "Access logging", default format string). */
const envoyDefault =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

export function compileAccessLogs(field: Field, logs: readonly AccessLog[]): AccessLogSink[] {
  return logs.flatMap((log, i) => compileOne(field.at('access_log', i), log) ?? []);
}

type Target = { path: string; format: AccessLogFormat } | null;

function compileOne(field: Field, log: AccessLog): AccessLogSink | null {
  const filter = log.filter ? compileLogFilter(field.at('filter'), log.filter) : null;
  const stream = (path: string, schema: typeof StdoutAccessLogSchema | typeof StderrAccessLogSchema) => ({
    [schema.typeName]: (at: Field, any: Any): Target => {
      const message = unpack<StdoutAccessLog | StderrAccessLog>(at, any, schema as never);
      return message && { path, format: compileSubstitution(at.at('log_format'), message.accessLogFormat.value) };
    },
  });
  const target = dispatch<Target>(field.at('typed_config'), log.configType, {
    [FileAccessLogSchema.typeName]: (at, any) => {
      const file = unpack(at, any, FileAccessLogSchema);
      if (!file) return null;
      if (!file.path) at.at('path').fail('is empty');
      return { path: file.path, format: fileFormat(at, file) };
    },
    ...stream('/dev/stdout', StdoutAccessLogSchema),
    ...stream('/dev/stderr', StderrAccessLogSchema),
  });
  return target && { ...target, filter };
}

function fileFormat(field: Field, { accessLogFormat: given }: FileAccessLog): AccessLogFormat {
  switch (given.case) {
    case 'logFormat':
      return compileSubstitution(field.at('log_format'), given.value);
    case 'format':
      return guarded(field.at('format'), () => textFormat(given.value, '-', true));
    case 'jsonFormat':
    case 'typedJsonFormat':
      return guarded(field.at(given.case === 'jsonFormat' ? 'json_format' : 'typed_json_format'), () =>
        jsonFormat(given.value, false),
      );
    default:
      return textFormat(envoyDefault, '-', true);
  }
}

function guarded(field: Field, make: () => AccessLogFormat): AccessLogFormat {
  try {
    return make();
  } catch (error) {
    field.fail((error as Error).message);
    return () => '';
  }
}

const knownFormat = words(
  `text_format json_format text_format_source omit_empty_values content_type json_format_options`,
);

/** A format of Envoy's; its own default one when there is none. */
export function compileSubstitution(field: Field, message: SubstitutionFormatString | undefined): AccessLogFormat {
  if (message) field.only(SubstitutionFormatStringSchema, message, knownFormat);
  const format = message?.format;
  const absent = message?.omitEmptyValues ? '' : '-';
  switch (format?.case) {
    case 'textFormat':
      return guarded(field.at('text_format'), () => textFormat(format.value, absent, true));
    case 'textFormatSource': {
      const text = readData(field.at('text_format_source'), format.value).toString();
      return guarded(field.at('text_format_source'), () => textFormat(text, absent, true));
    }
    case 'jsonFormat':
      return guarded(field.at('json_format'), () => jsonFormat(format.value, message?.omitEmptyValues ?? false));
    default:
      return textFormat(envoyDefault, absent, true);
  }
}
