/**
 * What the kinds of the Kubernetes Gateway API share. Their definitions are the users' to install and their API server checks them, so these
 * are types alone. https://gateway-api.sigs.k8s.io/reference/spec/
 */
import type { Condition, KubeObject, ObjectMeta } from '../meta.ts';

export const gatewayGroup = 'gateway.networking.k8s.io';

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: Array<{
    key: string;
    operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    values?: string[];
  }>;
}

/** The empty group is Kubernetes' core. */
export interface ObjectReference {
  group?: string;
  kind?: string;
  name: string;
  namespace?: string;
}

/** What a route wants to be attached to: a Gateway unless told, one of its listeners or ports; or a Service. */
export interface ParentReference extends ObjectReference {
  sectionName?: string;
  port?: number;
}

/** Where requests go: a Service unless told. */
export interface BackendReference extends ObjectReference {
  port?: number;
  /** 1 unless told. */
  weight?: number;
}

export interface RouteKind {
  group?: string;
  kind: string;
}

export interface RouteSpec {
  parentRefs?: ParentReference[];
}

export interface RouteParentStatus {
  parentRef: ParentReference;
  controllerName: string;
  conditions: Condition[];
}

export interface RouteStatus {
  parents: RouteParentStatus[];
}

/** A kind with a namespace of the group, whose creation time orders it among others. */
export type GatewayApiObject<Kind extends string, Spec, Status = unknown> = KubeObject<Kind, Spec, Status> & {
  metadata: ObjectMeta;
};
