/** Active health checks of clusters (Envoy: core.v3.HealthCheck). */

import type { Duration } from '@bufbuild/protobuf/wkt';
import { RequestMethod } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type {
  HealthCheck as CheckMessage,
  HealthCheck_HttpHealthCheck,
  HealthCheck_Payload,
} from '../../xds/gen/envoy/config/core/v3/health_check_pb.js';
import {
  HealthCheck_GrpcHealthCheckSchema,
  HealthCheck_HttpHealthCheckSchema,
  HealthCheck_TcpHealthCheckSchema,
  HealthCheckSchema,
} from '../../xds/gen/envoy/config/core/v3/health_check_pb.js';
import { durationMs, type Field, words } from './field.ts';
import { compileString } from './string-match.ts';
import type { HealthCheck, HttpProbe } from './table.ts';

const known =
  words(`timeout interval initial_jitter interval_jitter interval_jitter_percent unhealthy_threshold healthy_threshold
  reuse_connection http_health_check tcp_health_check grpc_health_check no_traffic_interval no_traffic_healthy_interval
  unhealthy_interval unhealthy_edge_interval healthy_edge_interval tls_options`);
const knownHttp =
  words(`host path send receive response_buffer_size request_headers_to_add request_headers_to_remove expected_statuses
  retriable_statuses codec_client_type service_name_matcher method`);
const knownTcp = words('send receive');
const knownGrpc = words('service_name authority initial_metadata');

/** Envoy has one check at most as well. */
export function compileHealthChecks(field: Field, checks: readonly CheckMessage[]): HealthCheck | null {
  if (checks.length > 1) field.at('health_checks', 1).fail('only one health check is supported');
  return checks.length === 0 ? null : compileCheck(field.at('health_checks', 0), checks[0]);
}

function compileCheck(field: Field, message: CheckMessage): HealthCheck {
  field.only(HealthCheckSchema, message, known);
  const needed = (name: string, value: Duration | undefined) => {
    const ms = durationMs(value, 0);
    if (ms <= 0) field.at(name).fail('must be longer than nothing');
    return Math.max(1, ms);
  };
  const count = (name: string, value: number | undefined) => {
    if (!value) field.at(name).fail('must be at least 1');
    return value ?? 1;
  };
  const intervalMs = needed('interval', message.interval);
  const unhealthyIntervalMs = durationMs(message.unhealthyInterval, intervalMs);
  const idleIntervalMs = durationMs(message.noTrafficInterval, 60_000);
  return {
    timeoutMs: needed('timeout', message.timeout),
    intervalMs,
    initialJitterMs: durationMs(message.initialJitter, 0),
    jitterMs: durationMs(message.intervalJitter, 0),
    jitterPercent: message.intervalJitterPercent,
    unhealthyThreshold: count('unhealthy_threshold', message.unhealthyThreshold),
    healthyThreshold: count('healthy_threshold', message.healthyThreshold),
    idleIntervalMs,
    idleHealthyIntervalMs: durationMs(message.noTrafficHealthyInterval, idleIntervalMs),
    unhealthyIntervalMs,
    unhealthyEdgeIntervalMs: durationMs(message.unhealthyEdgeInterval, unhealthyIntervalMs),
    healthyEdgeIntervalMs: durationMs(message.healthyEdgeInterval, intervalMs),
    reusesConnection: message.reuseConnection ?? true,
    alpn: message.tlsOptions?.alpnProtocols ?? [],
    probe: compileProbe(field, message),
  };
}

function compileProbe(field: Field, { healthChecker: checker }: CheckMessage): HealthCheck['probe'] {
  switch (checker.case) {
    case 'httpHealthCheck':
      return compileHttp(field.at('http_health_check'), checker.value);
    case 'grpcHealthCheck': {
      const at = field.at('grpc_health_check');
      at.only(HealthCheck_GrpcHealthCheckSchema, checker.value, knownGrpc);
      return {
        kind: 'grpc',
        service: checker.value.serviceName,
        authority: checker.value.authority,
        fields: checker.value.initialMetadata.map(({ header }) => [
          header?.key.toLowerCase() ?? '',
          header?.value ?? '',
        ]),
      };
    }
    case 'tcpHealthCheck': {
      const at = field.at('tcp_health_check');
      at.only(HealthCheck_TcpHealthCheckSchema, checker.value, knownTcp);
      return {
        kind: 'tcp',
        send: checker.value.send ? payload(at.at('send'), checker.value.send) : Buffer.alloc(0),
        receive: checker.value.receive.map((one, i) => payload(at.at('receive', i), one)),
      };
    }
    default:
      field.fail(checker.case ? `${checker.case} is not supported` : 'has no health checker');
      return { kind: 'tcp', send: Buffer.alloc(0), receive: [] };
  }
}

function compileHttp(field: Field, message: HealthCheck_HttpHealthCheck): HttpProbe {
  field.only(HealthCheck_HttpHealthCheckSchema, message, knownHttp);
  if (message.path === '') field.at('path').fail('is empty');
  if (message.codecClientType === 2) field.at('codec_client_type').fail('HTTP3 is not supported');
  if (message.method === RequestMethod.CONNECT) field.at('method').fail('CONNECT is not supported');
  const ranges = (given: HealthCheck_HttpHealthCheck['expectedStatuses']) =>
    given.map(({ start, end }) => [Number(start), Number(end)] as const);
  return {
    kind: 'http',
    method: message.method === RequestMethod.METHOD_UNSPECIFIED ? 'GET' : RequestMethod[message.method],
    host: message.host,
    path: message.path,
    http2: message.codecClientType === 1,
    send: message.send ? payload(field.at('send'), message.send) : null,
    receive: message.receive.map((one, i) => payload(field.at('receive', i), one)),
    maxBodyBytes: Number(message.responseBufferSize ?? 1024n) || 1 << 20,
    add: message.requestHeadersToAdd.map(({ header }, i) => {
      const value = (header?.value ?? '').replaceAll('%%', '\0');
      if (value.includes('%')) field.at('request_headers_to_add', i).fail('command operators are not supported here');
      return [header?.key.toLowerCase() ?? '', value.replaceAll('\0', '%')];
    }),
    remove: new Set(message.requestHeadersToRemove.map((name) => name.toLowerCase())),
    expected: message.expectedStatuses.length > 0 ? ranges(message.expectedStatuses) : [[200, 201]],
    retriable: ranges(message.retriableStatuses),
    service: message.serviceNameMatcher
      ? compileString(field.at('service_name_matcher'), message.serviceNameMatcher)
      : null,
  };
}

/** Text is hexadecimal (Envoy: HealthCheck.Payload). */
function payload(field: Field, { payload: given }: HealthCheck_Payload): Buffer {
  if (given.case === 'binary') return Buffer.from(given.value);
  const text = given.value ?? '';
  if (text === '' || text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text))
    field.at('text').fail(`${JSON.stringify(text)} is not hexadecimal`);
  return Buffer.from(text, 'hex');
}
