/** What the control plane of the soak says at each step: something of every type is different from the step before. */
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { encodeResources, type ResourceSet } from '../../src/control/serve/resources.ts';
import { ClusterSchema } from '../../src/xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../src/xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '../../src/xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { registry } from '../../src/xds/registry.ts';

export interface Places {
  /** Ports of the proxy. */
  readonly http: number;
  readonly tls: number;
  readonly http2: number;
  /** Ports of upstreams that answer alike: HTTP/1.1, and HTTP/2 in clear text. */
  readonly upstreams: readonly number[];
  readonly http2Upstreams: readonly number[];
  /** PEM; they take turns as the server's certificate. */
  readonly certificates: ReadonlyArray<{ readonly chain: Buffer; readonly key: Buffer }>;
}

const typed = (type: string, config: object = {}) => ({ '@type': `type.googleapis.com/${type}`, ...config });
const ads = { ads: {}, resource_api_version: 'V3' };
const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
/** How long a cluster that comes with a step is there: requests under way must not lose it. */
const stepsKept = 3;

function cluster(name: string, http2: boolean) {
  return {
    name,
    type: 'EDS',
    connect_timeout: '5s',
    eds_cluster_config: { eds_config: ads },
    circuit_breakers: { thresholds: [{ max_connections: 10_000, max_pending_requests: 10_000, max_requests: 10_000 }] },
    ...(http2 && {
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          { explicit_http_config: { http2_protocol_options: {} } },
        ),
      },
    }),
  };
}

function listener(name: string, port: number, routes: string, step: number, secret: string | null) {
  return {
    name,
    address: at(port),
    filter_chains: [
      {
        filters: [
          {
            name: 'http',
            typed_config: typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
              stat_prefix: name,
              // Every fourth step changes the listeners themselves.
              server_name: `soak-${Math.floor(step / 4)}`,
              rds: { route_config_name: routes, config_source: ads },
              http_filters: [{ name: 'router', typed_config: typed('envoy.extensions.filters.http.router.v3.Router') }],
            }),
          },
        ],
        ...(secret !== null && {
          transport_socket: {
            name: 'tls',
            typed_config: typed('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
              common_tls_context: { tls_certificate_sds_secret_configs: [{ name: secret, sds_config: ads }] },
            }),
          },
        }),
      },
    ],
  };
}

function routes(name: string, clusters: readonly string[], step: number) {
  const share = 20 + (step % 5) * 15;
  const weighted = clusters.map((cluster, i) => ({ name: cluster, weight: i === 0 ? share : 100 - share }));
  return {
    name,
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          { match: { prefix: `/only-in-step-${step}` }, direct_response: { status: 404 } },
          { match: { prefix: '/' }, route: { weighted_clusters: { clusters: weighted }, timeout: '0s' } },
        ],
      },
    ],
  };
}

/** Endpoints take turns: one, the other, both. */
function endpoints(name: string, ports: readonly number[], step: number) {
  const chosen = step % 3 === 2 ? ports : [ports[step % 3]];
  return {
    cluster_name: name,
    endpoints: [{ lb_endpoints: chosen.map((port) => ({ endpoint: { address: at(port) } })) }],
  };
}

export function worldAt(step: number, places: Places): ResourceSet {
  const passing = Array.from({ length: Math.min(stepsKept, step + 1) }, (_, i) => `passing-${step - i}`);
  const made = <T>(schema: T, values: object[]) =>
    values.map((value) => fromJson(schema as typeof ClusterSchema, value as JsonValue, { registry })) as never[];
  const { chain, key } = places.certificates[step % places.certificates.length];
  return encodeResources(String(step), {
    cluster: made(ClusterSchema, [
      cluster('steady', false),
      cluster('steady-http2', true),
      ...passing.map((name) => cluster(name, false)),
    ]),
    endpoint: made(ClusterLoadAssignmentSchema, [
      endpoints('steady', places.upstreams, step),
      endpoints('steady-http2', places.http2Upstreams, step),
      ...passing.map((name) => endpoints(name, places.upstreams, step)),
    ]),
    listener: made(ListenerSchema, [
      listener('http', places.http, 'http', step, null),
      listener('tls', places.tls, 'http', step, 'server'),
      listener('http2', places.http2, 'http2', step, null),
    ]),
    route: made(RouteConfigurationSchema, [
      routes('http', ['steady', passing[0]], step),
      routes('http2', ['steady-http2', 'steady-http2'], step),
    ]),
    secret: made(SecretSchema, [
      {
        name: 'server',
        tls_certificate: {
          certificate_chain: { inline_bytes: chain.toString('base64') },
          private_key: { inline_bytes: key.toString('base64') },
        },
      },
    ]),
  });
}

/** The proxy's bootstrap file: everything else comes by ADS. */
export function soakBootstrap(controlPort: number): string {
  return JSON.stringify({
    node: {
      id: 'sidecar~127.0.0.1~soak.bench~bench',
      cluster: 'soak',
      metadata: { WORKLOAD_NAME: 'soak', NAMESPACE: 'bench' },
    },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          typed_extension_protocol_options: cluster('', true).typed_extension_protocol_options,
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: at(controlPort) } }] }],
          },
        },
      ],
    },
  });
}
