import type { GrpcService } from '../../xds/gen/envoy/config/core/v3/grpc_service_pb.js';
import { GrpcService_EnvoyGrpcSchema, GrpcServiceSchema } from '../../xds/gen/envoy/config/core/v3/grpc_service_pb.js';
import { durationMs, type Field, words } from './field.ts';
import type { GrpcTarget } from './table.ts';

const known = words('envoy_grpc timeout initial_metadata');
const knownEnvoy = words('cluster_name authority');

/** `timeoutMs` holds where the service has none of its own. */
export function compileGrpcService(field: Field, message: GrpcService | undefined, timeoutMs: number): GrpcTarget {
  const target = message?.targetSpecifier;
  if (message) field.only(GrpcServiceSchema, message, known);
  if (target?.case !== 'envoyGrpc') {
    field.fail(target?.case ? `${target.case} is not supported; give envoy_grpc` : 'has no envoy_grpc');
    return { cluster: '', authority: '', timeoutMs, fields: [] };
  }
  const { clusterName, authority } = target.value;
  field.at('envoy_grpc').only(GrpcService_EnvoyGrpcSchema, target.value, knownEnvoy);
  return {
    cluster: clusterName,
    authority: authority || clusterName,
    timeoutMs: durationMs(message?.timeout, timeoutMs),
    fields: message?.initialMetadata.map(({ key, value }) => [key.toLowerCase(), value] as const) ?? [],
  };
}
