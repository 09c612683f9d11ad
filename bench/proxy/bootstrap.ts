/** The bootstrap file that drives Envoy and Lateen alike. */
import { type Algorithm, audience, issuerName } from './issuer.ts';
import type { Scene } from './scene.ts';
import type { Work } from './work.ts';

const extension = (name: string, type: string, config: object = {}) => ({
  name,
  typed_config: { '@type': `type.googleapis.com/${type}`, ...config },
});

/** With these our proxy keeps Istio's metrics; Envoy keeps its own statistics always. */
const node = {
  id: 'sidecar~127.0.0.1~shop-1.bench~bench.svc.cluster.local',
  cluster: 'shop.bench',
  metadata: {
    WORKLOAD_NAME: 'shop',
    NAMESPACE: 'bench',
    CLUSTER_ID: 'Kubernetes',
    LABELS: { app: 'shop', version: 'v1', 'service.istio.io/canonical-name': 'shop' },
  },
};

/** Fields of Istio's JSON access log (Istio documentation, "Envoy Access Logs"). */
const logFields = {
  start_time: '%START_TIME%',
  route_name: '%ROUTE_NAME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
};

const prefix = (path: string) => ({ url_path: { path: { prefix: path } } });
const header = (name: string, exact: string) => ({ header: { name, string_match: { exact } } });
const anybody = [{ any: true }];
const rbacType = 'envoy.extensions.filters.http.rbac.v3.RBAC';

/** The request of the bench meets the last of the three that allow. */
const rbacFilters = [
  extension('envoy.filters.http.rbac', rbacType, {
    rules: {
      action: 'DENY',
      policies: {
        'ns[bench]-policy[deny-internal]-rule[0]': { permissions: [prefix('/internal/')], principals: anybody },
        'ns[bench]-policy[deny-suspended]-rule[0]': {
          permissions: [{ any: true }],
          principals: [header('x-tenant', 'suspended')],
        },
      },
    },
  }),
  extension('envoy.filters.http.rbac', rbacType, {
    rules: {
      action: 'ALLOW',
      policies: {
        'ns[bench]-policy[a-writers]-rule[0]': {
          permissions: [{ and_rules: { rules: [header(':method', 'POST'), prefix('/api/')] } }],
          principals: anybody,
        },
        'ns[bench]-policy[b-operators]-rule[0]': {
          permissions: [prefix('/admin/')],
          principals: [{ direct_remote_ip: { address_prefix: '10.0.0.0', prefix_len: 8 } }],
        },
        'ns[bench]-policy[c-readers]-rule[0]': {
          permissions: [{ and_rules: { rules: [header(':method', 'GET'), prefix('/api/v1/')] } }],
          principals: [
            {
              and_ids: {
                ids: [{ direct_remote_ip: { address_prefix: '127.0.0.0', prefix_len: 8 } }, header('x-tenant', 'acme')],
              },
            },
          ],
        },
      },
    },
  }),
];

/** Tokens that were good once are remembered, by Envoy only when it is told to. */
function jwtFilter(scene: Scene, algorithm: Algorithm) {
  const provider = {
    issuer: issuerName,
    audiences: [audience],
    forward: true,
    local_jwks: { inline_string: scene.issuer.keySet(algorithm) },
    jwt_cache_config: { jwt_cache_size: 100 },
  };
  return extension('envoy.filters.http.jwt_authn', 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
    providers: { bench: provider },
    rules: [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }],
  });
}

function tlsContext(scene: Scene, own: Scene['server']) {
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [{ certificate_chain: { filename: own.chain }, private_key: { filename: own.key } }],
    validation_context: { trusted_ca: { filename: scene.roots } },
  };
}

const tlsType = (side: 'Downstream' | 'Upstream') => `envoy.extensions.transport_sockets.tls.v3.${side}TlsContext`;

/** Five routes a service, and a service's hosts as Istio writes them; the request is for the last one. */
function virtualHosts(routes: number) {
  const services = Math.ceil(routes / 5);
  const others = Array.from({ length: services }, (_, i) => ({
    name: `svc-${i}.bench.svc.cluster.local:80`,
    domains: [`svc-${i}`, `svc-${i}.bench`, `svc-${i}.bench.svc`, `svc-${i}.bench.svc.cluster.local`],
    routes: ['/admin/', '/api/v2/', '/api/v1/orders', '/api/v1/customers']
      .map((path) => toUpstream(path))
      .concat(toUpstream('/')),
  }));
  return [...others, { name: 'any', domains: ['*'], routes: [toUpstream('/admin/'), toUpstream('/')] }];
}

const toUpstream = (path: string) => ({ match: { prefix: path }, route: { cluster: 'up', timeout: '0s' } });

function filter(scene: Scene, work: Work) {
  if (work.tcp)
    return extension('envoy.filters.network.tcp_proxy', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
      stat_prefix: 'bench',
      cluster: 'up',
    });
  const log = extension('envoy.access_loggers.file', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', {
    path: work.accessLog,
    log_format: { json_format: logFields },
  });
  return extension(
    'envoy.filters.network.http_connection_manager',
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: 'bench',
      codec_type: 'AUTO',
      server_name: 'istio-envoy',
      route_config: { name: 'routes', virtual_hosts: virtualHosts(work.routes) },
      http_filters: [
        ...(work.jwt === null ? [] : [jwtFilter(scene, work.jwt)]),
        ...(work.rbac ? rbacFilters : []),
        extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router'),
      ],
      ...(work.accessLog === null ? {} : { access_log: [log] }),
    },
  );
}

/** Limits far above what the bench asks for. */
const unlimited = { thresholds: [{ max_connections: 20_000, max_pending_requests: 20_000, max_requests: 20_000 }] };
const http2Options = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/** JSON, which is YAML too. */
export function bootstrap(scene: Scene, work: Work): string {
  const { http, tls, grpc } = scene.upstream;
  const upstreamPort = work.upstreamPort ?? (work.upstreamTls ? tls : work.http2 ? grpc : http);
  const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const chain = {
    filters: [filter(scene, work)],
    ...(work.downstreamTls !== null && {
      transport_socket: extension('envoy.transport_sockets.tls', tlsType('Downstream'), {
        require_client_certificate: work.downstreamTls === 'mutual',
        common_tls_context: tlsContext(scene, scene.server),
      }),
    }),
  };
  const cluster = {
    name: 'up',
    connect_timeout: '5s',
    type: 'STATIC',
    circuit_breakers: unlimited,
    load_assignment: {
      cluster_name: 'up',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: at(upstreamPort) } }] }],
    },
    ...(work.http2 && { typed_extension_protocol_options: http2Options }),
    ...(work.upstreamTls && {
      transport_socket: extension('envoy.transport_sockets.tls', tlsType('Upstream'), {
        sni: 'up.bench.svc.cluster.local',
        common_tls_context: tlsContext(scene, scene.client),
      }),
    }),
  };
  const listener = { name: 'in', address: at(work.port), filter_chains: [chain] };
  return JSON.stringify({ node, static_resources: { listeners: [listener], clusters: [cluster] } }, null, 1);
}
