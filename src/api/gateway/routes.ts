/** HTTPRoute, GRPCRoute, TLSRoute and TCPRoute. https://gateway-api.sigs.k8s.io/reference/spec/#httproute */
import type { BackendReference, GatewayApiObject, RouteSpec, RouteStatus } from './common.ts';

export interface HeaderModifier {
  set?: Array<{ name: string; value: string }>;
  add?: Array<{ name: string; value: string }>;
  remove?: string[];
}

export interface PathModifier {
  type: 'ReplaceFullPath' | 'ReplacePrefixMatch';
  replaceFullPath?: string;
  replacePrefixMatch?: string;
}

export interface RouteFilter {
  type: string;
  requestHeaderModifier?: HeaderModifier;
  responseHeaderModifier?: HeaderModifier;
  requestMirror?: {
    backendRef: BackendReference;
    percent?: number;
    fraction?: { numerator: number; denominator?: number };
  };
  requestRedirect?: {
    scheme?: string;
    hostname?: string;
    path?: PathModifier;
    port?: number;
    statusCode?: number;
  };
  urlRewrite?: { hostname?: string; path?: PathModifier };
  cors?: {
    allowOrigins?: string[];
    allowCredentials?: boolean;
    allowMethods?: string[];
    allowHeaders?: string[];
    exposeHeaders?: string[];
    maxAge?: number;
  };
  extensionRef?: { group: string; kind: string; name: string };
}

export interface FilteredBackendReference extends BackendReference {
  filters?: RouteFilter[];
}

export interface ValueMatch {
  /** `Exact` unless told. */
  type?: 'Exact' | 'RegularExpression';
  name: string;
  value: string;
}

export interface HttpRouteMatch {
  path?: { type?: 'Exact' | 'PathPrefix' | 'RegularExpression'; value?: string };
  headers?: ValueMatch[];
  queryParams?: ValueMatch[];
  method?: string;
}

export interface HttpRouteRule {
  name?: string;
  matches?: HttpRouteMatch[];
  filters?: RouteFilter[];
  backendRefs?: FilteredBackendReference[];
  timeouts?: { request?: string; backendRequest?: string };
  retry?: { codes?: number[]; attempts?: number; backoff?: string };
}

export interface GrpcRouteMatch {
  method?: { type?: 'Exact' | 'RegularExpression'; service?: string; method?: string };
  headers?: ValueMatch[];
}

export interface GrpcRouteRule {
  name?: string;
  matches?: GrpcRouteMatch[];
  filters?: RouteFilter[];
  backendRefs?: FilteredBackendReference[];
}

/** Of TLSRoutes and TCPRoutes: one rule alone is used, as the specification allows. */
export interface StreamRouteRule {
  name?: string;
  backendRefs?: BackendReference[];
}

export type HttpRouteResource = GatewayApiObject<
  'HTTPRoute',
  RouteSpec & { hostnames?: string[]; rules?: HttpRouteRule[] },
  RouteStatus
>;
export type GrpcRouteResource = GatewayApiObject<
  'GRPCRoute',
  RouteSpec & { hostnames?: string[]; rules?: GrpcRouteRule[] },
  RouteStatus
>;
export type TlsRouteResource = GatewayApiObject<
  'TLSRoute',
  RouteSpec & { hostnames?: string[]; rules?: StreamRouteRule[] },
  RouteStatus
>;
export type TcpRouteResource = GatewayApiObject<'TCPRoute', RouteSpec & { rules?: StreamRouteRule[] }, RouteStatus>;

export type RouteResource = HttpRouteResource | GrpcRouteResource | TlsRouteResource | TcpRouteResource;
