/** The mesh's access log (Istio, "Envoy Access Logs": the default formats). */
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import {
  type AccessLogSchema,
  ComparisonFilter_Op as Op,
} from '../../xds/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { FileAccessLogSchema } from '../../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import type { AccessLog, AccessLogging } from '../model/access-logging.ts';
import type { MeshSettings } from '../model/snapshot.ts';
import { any } from './message.ts';

const defaultText =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ' +
  '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

const defaultJson: Readonly<Record<string, string>> = {
  start_time: '%START_TIME%',
  route_name: '%ROUTE_NAME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
};

/** Empty when no access log is kept on that side; a gateway's are a client's (Istio). */
export function accessLogs(
  { accessLogging }: MeshSettings,
  side: keyof AccessLogging,
): Array<MessageInitShape<typeof AccessLogSchema>> {
  return accessLogging[side].map((log) => {
    const value = any(FileAccessLogSchema, {
      path: log.path,
      accessLogFormat: { case: 'logFormat', value: { format: format(log) } },
    });
    return {
      name: 'envoy.access_loggers.file',
      configType: { case: 'typedConfig', value },
      filter: log.status ? statusFilter(log.status) : undefined,
    };
  });
}

function statusFilter({ operation, code }: NonNullable<AccessLog['status']>) {
  return {
    filterSpecifier: {
      case: 'statusCodeFilter' as const,
      value: {
        comparison: { op: Op[operation], value: { defaultValue: code, runtimeKey: 'access_log.status' } },
      },
    },
  };
}

function format(log: AccessLog) {
  if (log.encoding === 'JSON')
    return { case: 'jsonFormat' as const, value: (log.labels as JsonObject | null) ?? jsonFormat(log.format) };
  const text = log.format || defaultText;
  return {
    case: 'textFormatSource' as const,
    value: { specifier: { case: 'inlineString' as const, value: text.endsWith('\n') ? text : `${text}\n` } },
  };
}

/** A custom format that is no JSON object would be refused by every proxy: the default stands in for it. */
function jsonFormat(custom: string): JsonObject {
  if (custom) {
    try {
      const parsed: unknown = JSON.parse(custom);
      if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as JsonObject;
    } catch {
      return defaultJson;
    }
  }
  return defaultJson;
}
