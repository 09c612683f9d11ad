/** VirtualService (networking.istio.io): how requests to a host are routed. https://istio.io/latest/docs/reference/config/networking/virtual-service/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { duration } from '../schema/duration.ts';
import {
  array,
  enumOf,
  type Infer,
  int32,
  map,
  nullable,
  object,
  required,
  ruled,
  string,
  uint32,
} from '../schema/schema.ts';
import {
  flag,
  type IstioStatus,
  labelMap,
  networkingKind,
  optionalFlag,
  optionalPort,
  percent,
  portSelector,
  stringMatch,
  text,
  texts,
} from './common.ts';
import { checkHttpRoute } from './rules/http-route-rules.ts';
import { checkVirtualService } from './rules/virtual-service-rules.ts';

const destination = object({ host: required(text), port: portSelector, subset: text });

const headerOperations = object({ add: labelMap, remove: texts, set: labelMap });
const headers = object({ request: headerOperations, response: headerOperations });

const matches = map(stringMatch);

const httpMatch = object({
  authority: stringMatch,
  gateways: texts,
  headers: matches,
  ignoreUriCase: flag,
  method: stringMatch,
  name: text,
  port: optionalPort(),
  queryParams: matches,
  scheme: stringMatch,
  sourceLabels: labelMap,
  sourceNamespace: text,
  statPrefix: text,
  uri: stringMatch,
  withoutHeaders: matches,
});

const httpRouteDestination = object({ destination: required(destination), headers, weight: int32() });

const redirect = object(
  {
    authority: text,
    derivePort: enumOf(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']),
    port: optionalPort(),
    prefixRewrite: text,
    redirectCode: uint32(),
    scheme: text,
    uri: text,
  },
  { oneOf: [['port', 'derivePort']] },
);

const directResponse = object({
  body: object({ bytes: string({ format: 'byte' }), string: text }, { oneOf: [['string', 'bytes']] }),
  status: required(uint32()),
});

const rewrite = object({ authority: text, uri: text, uriRegexRewrite: object({ match: text, rewrite: text }) });

export const httpRetry = object({
  attempts: int32(),
  backoff: duration(),
  perTryTimeout: duration(),
  retryIgnorePreviousHosts: optionalFlag,
  retryOn: text,
  retryRemoteLocalities: optionalFlag,
});

const fault = object({
  abort: object(
    { grpcStatus: text, http2Error: text, httpStatus: int32(), percentage: percent },
    { oneOf: [['httpStatus', 'grpcStatus', 'http2Error']] },
  ),
  delay: object(
    { exponentialDelay: duration(), fixedDelay: duration(), percent: int32(), percentage: percent },
    { oneOf: [['fixedDelay', 'exponentialDelay']] },
  ),
});

const corsPolicy = object({
  allowCredentials: optionalFlag,
  allowHeaders: texts,
  allowMethods: texts,
  allowOrigin: texts,
  allowOrigins: array(stringMatch),
  exposeHeaders: texts,
  maxAge: duration(),
  unmatchedPreflights: enumOf(['UNSPECIFIED', 'FORWARD', 'IGNORE']),
});

const httpRoute = object({
  corsPolicy,
  delegate: object({ name: text, namespace: text }),
  directResponse,
  fault,
  headers,
  match: array(httpMatch),
  mirror: destination,
  mirror_percent: nullable(uint32()),
  mirrorPercent: nullable(uint32()),
  mirrorPercentage: percent,
  mirrors: array(object({ destination: required(destination), percentage: percent })),
  name: text,
  redirect,
  retries: httpRetry,
  rewrite,
  route: array(httpRouteDestination),
  timeout: duration(),
});

const routeDestination = object({ destination: required(destination), weight: int32() });

const l4Match = {
  destinationSubnets: texts,
  gateways: texts,
  port: optionalPort(),
  sourceLabels: labelMap,
  sourceNamespace: text,
};

const tcpRoute = object({ match: array(object({ ...l4Match, sourceSubnet: text })), route: array(routeDestination) });

const tlsRoute = object({
  match: required(array(object({ ...l4Match, sniHosts: required(texts) }))),
  route: array(routeDestination),
});

const spec = object({
  exportTo: texts,
  gateways: texts,
  hosts: texts,
  http: array(ruled(httpRoute, checkHttpRoute)),
  tcp: array(tcpRoute),
  tls: array(tlsRoute),
});

export type Destination = Infer<typeof destination>;
export type HeaderOperations = Infer<typeof headerOperations>;
export type Headers = Infer<typeof headers>;
export type HttpMatchRequest = Infer<typeof httpMatch>;
export type HttpRouteDestination = Infer<typeof httpRouteDestination>;
export type HttpRedirect = Infer<typeof redirect>;
export type HttpDirectResponse = Infer<typeof directResponse>;
export type HttpRewrite = Infer<typeof rewrite>;
export type HttpRetry = Infer<typeof httpRetry>;
export type HttpFaultInjection = Infer<typeof fault>;
export type CorsPolicy = Infer<typeof corsPolicy>;
export type HttpRoute = Infer<typeof httpRoute>;
export type RouteDestination = Infer<typeof routeDestination>;
export type TcpRoute = Infer<typeof tcpRoute>;
export type TlsRoute = Infer<typeof tlsRoute>;
export type VirtualServiceSpec = Infer<typeof spec>;
export type VirtualService = KubeObject<'VirtualService', VirtualServiceSpec, IstioStatus>;

export const virtualService = networkingKind({
  kind: 'VirtualService',
  plural: 'virtualservices',
  shortName: 'vs',
  columns: columns({ Gateways: '.spec.gateways', Hosts: '.spec.hosts' }),
  spec,
  rules: [checkVirtualService],
});
