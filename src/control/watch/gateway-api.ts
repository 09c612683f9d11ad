/** How the kinds of the Kubernetes Gateway API are addressed. Users install their definitions; until then a kind counts as empty. */
import { gatewayGroup } from '../../api/gateway/common.ts';
import type { GatewayClass, KubernetesGateway } from '../../api/gateway/gateway.ts';
import { type ApiObject, resource } from '../../kube/object.ts';

/** Storage versions since Gateway API 1.5; the API server converts what is written in others. */
export const gatewayApiResources = {
  GatewayClass: resource<GatewayClass & ApiObject>(`${gatewayGroup}/v1`, 'GatewayClass', 'gatewayclasses', 'cluster'),
  Gateway: resource<KubernetesGateway & ApiObject>(`${gatewayGroup}/v1`, 'Gateway', 'gateways'),
  HTTPRoute: resource<ApiObject>(`${gatewayGroup}/v1`, 'HTTPRoute', 'httproutes'),
  GRPCRoute: resource<ApiObject>(`${gatewayGroup}/v1`, 'GRPCRoute', 'grpcroutes'),
  TLSRoute: resource<ApiObject>(`${gatewayGroup}/v1`, 'TLSRoute', 'tlsroutes'),
  TCPRoute: resource<ApiObject>(`${gatewayGroup}/v1`, 'TCPRoute', 'tcproutes'),
  ReferenceGrant: resource<ApiObject>(`${gatewayGroup}/v1beta1`, 'ReferenceGrant', 'referencegrants'),
  BackendTLSPolicy: resource<ApiObject>(`${gatewayGroup}/v1`, 'BackendTLSPolicy', 'backendtlspolicies'),
} as const;
