/** GatewayClass and Gateway. https://gateway-api.sigs.k8s.io/reference/spec/#gateway */
import type { Condition } from '../meta.ts';
import type { GatewayApiObject, LabelSelector, ObjectReference, RouteKind } from './common.ts';

export interface GatewayClassSpec {
  controllerName: string;
  parametersRef?: ObjectReference;
}

export type GatewayClass = GatewayApiObject<
  'GatewayClass',
  GatewayClassSpec,
  { conditions?: Condition[]; supportedFeatures?: Array<{ name: string }> }
>;

export interface ListenerTls {
  /** `Terminate` unless told. */
  mode?: 'Terminate' | 'Passthrough';
  certificateRefs?: ObjectReference[];
  options?: Record<string, string>;
}

export interface GatewayListener {
  name: string;
  hostname?: string;
  port: number;
  protocol: string;
  tls?: ListenerTls;
  allowedRoutes?: {
    namespaces?: { from?: 'All' | 'Same' | 'Selector' | 'None'; selector?: LabelSelector };
    kinds?: RouteKind[];
  };
}

export interface GatewayAddress {
  type?: string;
  value?: string;
}

export interface KubernetesGatewaySpec {
  gatewayClassName: string;
  listeners?: GatewayListener[];
  addresses?: GatewayAddress[];
  infrastructure?: {
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    parametersRef?: ObjectReference;
  };
}

export interface ListenerStatus {
  name: string;
  supportedKinds: RouteKind[];
  attachedRoutes: number;
  conditions: Condition[];
}

export interface KubernetesGatewayStatus {
  addresses?: GatewayAddress[];
  conditions?: Condition[];
  listeners?: ListenerStatus[];
}

/** Called so because Istio has a kind of the same name. */
export type KubernetesGateway = GatewayApiObject<'Gateway', KubernetesGatewaySpec, KubernetesGatewayStatus>;
