/** Which hosts of a cluster get the requests: by health, by subset, by hash. */
import { answer, get, type HttpCase, prefix, to } from '../case.ts';

const host = (port: string, more: object = {}) => ({ endpoint: { address: { port } }, ...more });
const hosts = (...lbEndpoints: object[]) => [{ lb_endpoints: lbEndpoints }];
const cluster = (name: string, endpoints: object[], fields: object): object => ({
  name,
  connect_timeout: '1s',
  load_assignment: { cluster_name: name, endpoints },
  ...fields,
});
const http = (fields: object = {}) => ({ http_health_check: { path: '/healthz', ...fields } });
const check = (checker: object, fields: object = {}) => ({
  health_checks: [
    {
      timeout: '1s',
      interval: '600s',
      no_traffic_interval: '600s',
      unhealthy_threshold: 1,
      healthy_threshold: 1,
      ...checker,
      ...fields,
    },
  ],
});
const noPanic = { common_lb_config: { healthy_panic_threshold: { value: 0 } } };
const replying = (reply: string) => ({
  request_headers_to_add: [{ header: { key: 'x-replies', value: encodeURIComponent(reply).replaceAll('%', '%%') } }],
});
const requests = (count: number, of = get('/')) => Array.from({ length: count }, () => of);

const http2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

let made = 0;
/** A case whose one cluster has these hosts. */
const one = (
  name: string,
  endpoints: object[],
  fields: object,
  given: HttpCase['requests'] = requests(4),
): HttpCase => {
  const target = `upstream ${made++}`;
  return {
    name,
    clusters: [cluster(target, endpoints, fields) as never],
    routes: [prefix('/', to(target))],
    requests: given,
  };
};

const checked = (name: string, checker: object, more: object = {}, endpoints = hosts(host('a'))): HttpCase =>
  one(`health check: ${name}`, endpoints, { ...check(checker), ...noPanic, ...more }, requests(2));

export const upstreams: readonly HttpCase[] = [
  checked('an answer of 200', http()),
  checked('an answer of 503', http(replying(answer(503)))),
  checked(
    'an answer of 204 that is expected',
    http({ ...replying(answer(204)), expected_statuses: [{ start: 200, end: 300 }] }),
  ),
  checked('an answer of 204 that is not', http(replying(answer(204)))),
  checked('no answer', http({ ...replying('CLOSE') })),
  checked('a host that is not there, beside one that is', http(), {}, hosts(host('dead'), host('a'))),
  checked('by connection alone', { tcp_health_check: {} }),
  checked('by connection, and nobody there', { tcp_health_check: {} }, {}, hosts(host('dead'))),
  checked(
    'a body that is expected',
    http({ receive: [{ text: Buffer.from('hel').toString('hex') }, { text: Buffer.from('lo').toString('hex') }] }),
  ),
  checked('a body that is not', http({ receive: [{ text: Buffer.from('bye').toString('hex') }] })),
  checked('over HTTP/2', http({ codec_client_type: 'HTTP2' }), http2, hosts(host('h2'))),
  checked('over HTTP/2 where there is none', http({ codec_client_type: 'HTTP2' })),
  checked('gRPC where nobody serves health', { grpc_health_check: { service_name: 'shop' } }, http2, hosts(host('h2'))),
  checked('a service name that does not match', http({ service_name_matcher: { exact: 'shop' } })),
  checked(
    'a service name that matches',
    http({
      ...replying(answer(200, 'x-envoy-upstream-healthchecked-cluster: shop')),
      service_name_matcher: { exact: 'shop' },
    }),
  ),
  checked('an immediate failure', http(replying(answer(200, 'x-envoy-immediate-health-check-fail: true')))),
  checked(
    'switched off for a host',
    http(replying(answer(503))),
    {},
    hosts({ endpoint: { address: { port: 'a' }, health_check_config: { disable_active_health_check: true } } }),
  ),
  one('health check: all fail, and panic takes any', hosts(host('a')), check(http(replying(answer(503)))), requests(2)),
];
