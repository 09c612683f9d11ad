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
  ...(['RING_HASH', 'MAGLEV'] as const).flatMap((lb_policy) =>
    [
      ['equal weights', hosts(host('a'), host('b'), host('c')), {}],
      [
        'weights of their own',
        hosts(
          host('a', { load_balancing_weight: 1 }),
          host('b', { load_balancing_weight: 3 }),
          host('c', { load_balancing_weight: 7 }),
        ),
        {},
      ],
      [
        'keys out of metadata',
        hosts(
          host('a', { metadata: { filter_metadata: { 'envoy.lb': { hash_key: 'first' } } } }),
          host('b', { metadata: { filter_metadata: { 'envoy.lb': { hash_key: 'second' } } } }),
        ),
        {},
      ],
      ...(lb_policy === 'RING_HASH'
        ? ([
            [
              'MurmurHash2',
              hosts(host('a'), host('b'), host('c')),
              { ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } },
            ],
            [
              'a small ring',
              hosts(host('a'), host('b'), host('c')),
              { ring_hash_lb_config: { minimum_ring_size: 3, maximum_ring_size: 8 } },
            ],
          ] as const)
        : ([
            ['a small table', hosts(host('a'), host('b'), host('c')), { maglev_lb_config: { table_size: 7 } }],
          ] as const)),
    ].map(([name, endpoints, fields]): HttpCase => {
      const target = `upstream ${made++}`;
      return {
        name: `${lb_policy}: ${name}`,
        clusters: [cluster(target, endpoints as object[], { lb_policy, ...(fields as object) }) as never],
        routes: [prefix('/', to(target, { hash_policy: [{ header: { header_name: 'x-key' } }] }))],
        requests: Array.from({ length: 12 }, (_, i) => get('/', `x-key: user ${i}`)),
      };
    }),
  ),
  ...(
    [
      ['a header', [{ header: { header_name: 'x-key' } }]],
      ['a cookie', [{ cookie: { name: 'who' } }]],
      ['a parameter', [{ query_parameter: { name: 'q' } }]],
      ['the source', [{ connection_properties: { source_ip: true } }]],
      [
        'several, in order',
        [{ header: { header_name: 'x-key' } }, { query_parameter: { name: 'q' } }, { cookie: { name: 'who' } }],
      ],
      [
        'several, until one is terminal',
        [{ header: { header_name: 'x-key' }, terminal: true }, { query_parameter: { name: 'q' } }],
      ],
    ] as const
  ).map(([name, hash_policy]): HttpCase => {
    const target = `upstream ${made++}`;
    return {
      name: `hash policy: ${name}`,
      clusters: [cluster(target, hosts(host('a'), host('b'), host('c')), { lb_policy: 'MAGLEV' }) as never],
      routes: [prefix('/', to(target, { hash_policy }))],
      requests: ['one', 'two', 'three', 'four', 'five'].map((key) =>
        get(`/?q=${key}`, `x-key: ${key}|cookie: who=${key}`),
      ),
    };
  }),
  ...subsetCases(),
];

function subsetCases(): HttpCase[] {
  const endpoint = (port: string, lb: object) => host(port, { metadata: { filter_metadata: { 'envoy.lb': lb } } });
  const three = hosts(
    endpoint('a', { version: 'v1', stage: 'prod' }),
    endpoint('b', { version: 'v2', stage: 'prod' }),
    endpoint('c', { version: 'v2', stage: 'test' }),
  );
  const match = (lb: object) => ({ metadata_match: { filter_metadata: { 'envoy.lb': lb } } });
  const selectors = [{ keys: ['version'] }, { keys: ['stage', 'version'] }];
  const subset = (
    name: string,
    lb_subset_config: object,
    asks: ReadonlyArray<object | null>,
    endpoints = three,
  ): HttpCase => {
    const target = `upstream ${made++}`;
    return {
      name: `subsets: ${name}`,
      clusters: [cluster(target, endpoints, { lb_subset_config }) as never],
      routes: asks.map((ask, i) => prefix(`/${i}`, to(target, ask === null ? {} : match(ask)))),
      requests: asks.map((_, i) => get(`/${i}`)),
    };
  };
  return [
    subset('by one key, by two, by a value that none has', { subset_selectors: selectors }, [
      { version: 'v1' },
      { version: 'v2', stage: 'test' },
      { stage: 'prod', version: 'v2' },
      { version: 'v3' },
      { stage: 'prod' },
      null,
    ]),
    subset(
      'fallback on a default',
      { fallback_policy: 'DEFAULT_SUBSET', default_subset: { version: 'v1' }, subset_selectors: selectors },
      [{ version: 'v3' }, { stage: 'prod' }, null],
    ),
    subset(
      'fallback of a selector',
      {
        fallback_policy: 'NO_FALLBACK',
        default_subset: { version: 'v1' },
        subset_selectors: [
          { keys: ['version'], fallback_policy: 'DEFAULT_SUBSET' },
          { keys: ['stage', 'version'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['version'] },
          { keys: ['stage'], fallback_policy: 'NO_FALLBACK' },
        ],
      },
      [{ version: 'v9' }, { version: 'v1', stage: 'none' }, { stage: 'none' }, { version: 'v9', stage: 'none' }],
    ),
    subset(
      'numbers and truth',
      { subset_selectors: [{ keys: ['n'] }, { keys: ['t'] }] },
      [{ n: 1 }, { t: true }, { n: '1' }],
      hosts(endpoint('a', { n: 1 }), endpoint('b', { t: true })),
    ),
    subset(
      'lists that stand for any of their values',
      { list_as_any: true, subset_selectors: [{ keys: ['version'] }] },
      [{ version: 'v1' }, { version: 'v2' }],
      hosts(endpoint('a', { version: ['v1', 'v0'] }), endpoint('b', { version: ['v2'] })),
    ),
    subset(
      'one host for each subset',
      { subset_selectors: [{ keys: ['host'], single_host_per_subset: true }] },
      [{ host: 'one' }, { host: 'two' }],
      hosts(endpoint('a', { host: 'one' }), endpoint('b', { host: 'two' })),
    ),
    {
      name: 'subsets: of weighted clusters, with what the route asks',
      clusters: [cluster('subset weighted', three, { lb_subset_config: { subset_selectors: selectors } }) as never],
      routes: [
        prefix('/', {
          route: {
            ...match({ version: 'v2' }),
            weighted_clusters: { clusters: [{ name: 'subset weighted', weight: 1, ...match({ stage: 'test' }) }] },
          },
        }),
      ],
      requests: [get('/')],
    },
  ];
}
