/** The HTTP connection manager of Istio's sidecars and gateways. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ApiVersion } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import type { FilterSchema } from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { RouteConfiguration } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { CorsSchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { RouterSchema } from '../../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  HttpConnectionManagerSchema,
  type HttpFilterSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Snapshot } from '../model/snapshot.ts';
import { accessLogs } from './access-log.ts';
import { any, milliseconds } from './message.ts';

export type NetworkFilter = MessageInitShape<typeof FilterSchema>;
export type HttpFilter = MessageInitShape<typeof HttpFilterSchema>;

export interface HttpManagerOptions {
  statPrefix: string;
  side: 'inbound' | 'outbound' | 'gateway';
  /** A name is asked for by RDS. */
  routes: string | RouteConfiguration;
  /** Between authentication and routing: authorization. */
  filters?: readonly HttpFilter[];
}

const forwardClientCert = {
  inbound: ForwardClientCert.APPEND_FORWARD,
  outbound: ForwardClientCert.SANITIZE,
  gateway: ForwardClientCert.SANITIZE_SET,
} as const;

export function httpManager(snapshot: Snapshot, options: HttpManagerOptions): NetworkFilter {
  const { statPrefix, side, routes, filters = [] } = options;
  const normalization = snapshot.mesh.pathNormalization.normalization ?? 'BASE';
  const value = any(HttpConnectionManagerSchema, {
    statPrefix,
    routeSpecifier: routeSpecifier(routes),
    httpFilters: [
      ...filters,
      { name: 'envoy.filters.http.fault', configType: { case: 'typedConfig', value: any(HTTPFaultSchema, {}) } },
      { name: 'envoy.filters.http.cors', configType: { case: 'typedConfig', value: any(CorsSchema, {}) } },
      { name: 'envoy.filters.http.router', configType: { case: 'typedConfig', value: any(RouterSchema, {}) } },
    ],
    accessLog: accessLogs(snapshot.mesh, side === 'inbound' ? 'server' : 'client'),
    serverName: 'istio-envoy',
    useRemoteAddress: side === 'gateway',
    generateRequestId: true,
    forwardClientCertDetails: forwardClientCert[side],
    setCurrentClientCertDetails: side === 'outbound' ? undefined : { subject: true, dns: true, uri: true },
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    streamIdleTimeout: milliseconds(0),
    normalizePath: normalization !== 'NONE',
    mergeSlashes: normalization === 'MERGE_SLASHES' || normalization === 'DECODE_AND_MERGE_SLASHES',
    pathWithEscapedSlashesAction:
      normalization === 'DECODE_AND_MERGE_SLASHES'
        ? EscapedSlashes.UNESCAPE_AND_FORWARD
        : EscapedSlashes.KEEP_UNCHANGED,
    httpProtocolOptions: {},
  });
  return { name: 'envoy.filters.network.http_connection_manager', configType: { case: 'typedConfig', value } };
}

function routeSpecifier(
  routes: string | RouteConfiguration,
): MessageInitShape<typeof HttpConnectionManagerSchema>['routeSpecifier'] {
  if (typeof routes !== 'string') return { case: 'routeConfig', value: routes };
  return {
    case: 'rds',
    value: {
      routeConfigName: routes,
      configSource: {
        resourceApiVersion: ApiVersion.V3,
        configSourceSpecifier: { case: 'ads', value: {} },
        initialFetchTimeout: milliseconds(0),
      },
    },
  };
}
