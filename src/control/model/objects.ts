/** What the control plane is told of the world: Kubernetes objects as plain JSON, by `namespace/name`. Only fields that are used are named. */

import type { GatewayClass, KubernetesGateway } from '../../api/gateway/gateway.ts';
import type { BackendTlsPolicy, ReferenceGrant } from '../../api/gateway/policies.ts';
import type {
  GrpcRouteResource,
  HttpRouteResource,
  TcpRouteResource,
  TlsRouteResource,
} from '../../api/gateway/routes.ts';
import type { AuthorizationPolicy } from '../../api/istio/authorization-policy.ts';
import type { DestinationRule } from '../../api/istio/destination-rule.ts';
import type { EnvoyFilter } from '../../api/istio/envoy-filter.ts';
import type { Gateway } from '../../api/istio/gateway.ts';
import type { PeerAuthentication } from '../../api/istio/peer-authentication.ts';
import type { ProxyConfig } from '../../api/istio/proxy-config.ts';
import type { RequestAuthentication } from '../../api/istio/request-authentication.ts';
import type { ServiceEntry } from '../../api/istio/service-entry.ts';
import type { Sidecar } from '../../api/istio/sidecar.ts';
import type { Telemetry } from '../../api/istio/telemetry.ts';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import type { WasmPlugin } from '../../api/istio/wasm-plugin.ts';
import type { WorkloadEntry } from '../../api/istio/workload-entry.ts';
import type { MeshConfig } from '../../api/mesh-config.ts';
import type { ObjectMeta } from '../../api/meta.ts';

export interface ServiceObject {
  metadata: ObjectMeta;
  spec: {
    /** `None` for a headless service. */
    clusterIP?: string;
    clusterIPs?: string[];
    type?: string;
    externalName?: string;
    selector?: Record<string, string>;
    publishNotReadyAddresses?: boolean;
    ports?: Array<{
      name?: string;
      port: number;
      targetPort?: number | string;
      protocol?: string;
      appProtocol?: string;
    }>;
  };
  /** Where a load balancer takes its traffic. */
  ingress?: ReadonlyArray<{ ip?: string; hostname?: string }>;
}

export interface EndpointSliceObject {
  metadata: ObjectMeta;
  addressType?: string;
  ports?: Array<{ name?: string; port?: number; protocol?: string; appProtocol?: string }> | null;
  endpoints?: Array<{
    addresses: string[];
    conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
    nodeName?: string;
    zone?: string;
    hostname?: string;
    targetRef?: { kind?: string; name?: string; namespace?: string };
  }> | null;
}

export interface PodObject {
  metadata: ObjectMeta;
  spec: {
    serviceAccountName?: string;
    nodeName?: string;
    hostNetwork?: boolean;
    containers?: Array<{ name: string; ports?: Array<{ name?: string; containerPort: number; protocol?: string }> }>;
  };
  status?: { podIP?: string; podIPs?: Array<{ ip: string }>; phase?: string };
}

export interface NamespaceObject {
  metadata: ObjectMeta;
}

/** A Secret with a certificate, without what it holds. */
export interface SecretObject {
  metadata: ObjectMeta;
  /** Why it cannot be a server's certificate, else null. */
  fault: string | null;
}

/** A ConfigMap with certificates of authorities under `ca.crt`. */
export interface CaCertificateObject {
  metadata: ObjectMeta;
  /** PEM; null when there is none that can be read. */
  certificate: string | null;
}

export interface NodeObject {
  metadata: ObjectMeta;
}

type ByKey<T> = ReadonlyMap<string, T>;

/** One consistent view of everything watched. A map that did not change keeps its identity, and so does each object in it. */
export interface MeshObjects {
  services: ByKey<ServiceObject>;
  endpointSlices: ByKey<EndpointSliceObject>;
  pods: ByKey<PodObject>;
  /** Keyed by name, like nodes. */
  namespaces: ByKey<NamespaceObject>;
  nodes: ByKey<NodeObject>;
  serviceEntries: ByKey<ServiceEntry>;
  virtualServices: ByKey<VirtualService>;
  destinationRules: ByKey<DestinationRule>;
  gateways: ByKey<Gateway>;
  authorizationPolicies: ByKey<AuthorizationPolicy>;
  peerAuthentications: ByKey<PeerAuthentication>;
  requestAuthentications: ByKey<RequestAuthentication>;
  sidecars: ByKey<Sidecar>;
  workloadEntries: ByKey<WorkloadEntry>;
  telemetries: ByKey<Telemetry>;
  envoyFilters: ByKey<EnvoyFilter>;
  wasmPlugins: ByKey<WasmPlugin>;
  /** Read where a proxy is injected. */
  proxyConfigs: ByKey<ProxyConfig>;
  /** Of the Kubernetes Gateway API; by name. */
  gatewayClasses: ByKey<GatewayClass>;
  kubernetesGateways: ByKey<KubernetesGateway>;
  httpRoutes: ByKey<HttpRouteResource>;
  grpcRoutes: ByKey<GrpcRouteResource>;
  tlsRoutes: ByKey<TlsRouteResource>;
  tcpRoutes: ByKey<TcpRouteResource>;
  referenceGrants: ByKey<ReferenceGrant>;
  backendTlsPolicies: ByKey<BackendTlsPolicy>;
  secrets: ByKey<SecretObject>;
  caCertificates: ByKey<CaCertificateObject>;
  meshConfig: MeshConfig;
  /** `cluster.local`. */
  clusterDomain: string;
  /** Name of the cluster in endpoint metadata: `Kubernetes`. */
  clusterId: string;
}

export const noObjects: MeshObjects = {
  services: new Map(),
  endpointSlices: new Map(),
  pods: new Map(),
  namespaces: new Map(),
  nodes: new Map(),
  serviceEntries: new Map(),
  virtualServices: new Map(),
  destinationRules: new Map(),
  gateways: new Map(),
  authorizationPolicies: new Map(),
  peerAuthentications: new Map(),
  requestAuthentications: new Map(),
  sidecars: new Map(),
  workloadEntries: new Map(),
  telemetries: new Map(),
  envoyFilters: new Map(),
  wasmPlugins: new Map(),
  proxyConfigs: new Map(),
  gatewayClasses: new Map(),
  kubernetesGateways: new Map(),
  httpRoutes: new Map(),
  grpcRoutes: new Map(),
  tlsRoutes: new Map(),
  tcpRoutes: new Map(),
  referenceGrants: new Map(),
  backendTlsPolicies: new Map(),
  secrets: new Map(),
  caCertificates: new Map(),
  meshConfig: {},
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
};
