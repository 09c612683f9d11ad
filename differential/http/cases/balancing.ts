import { answer, direct, extension, get, type HttpCase, prefix, replies, send, to } from '../case.ts';

type Json = Readonly<Record<string, unknown>>;

const cluster = (name: string, fields: object): Json => ({ name, connect_timeout: '1s', ...fields });

const host = (port: string, more: object = {}, endpoint: object = {}): object => ({
  endpoint: { address: { port }, ...endpoint },
  ...more,
});

const locality = (hosts: readonly object[], more: object = {}): object => ({ lb_endpoints: hosts, ...more });

const assigned = (name: string, localities: readonly object[], policy?: object): object => ({
  load_assignment: { cluster_name: name, endpoints: localities, ...(policy && { policy }) },
});

/** The same requests to a cluster of the case's own. */
const balanced = (
  name: string,
  fields: object,
  localities: readonly object[],
  requests: readonly string[],
  action: Json = {},
): HttpCase => {
  const own = `own ${name}`;
  return {
    name: `balancing: ${name}`,
    routes: [prefix('/', to(own, action))],
    clusters: [cluster(own, { ...assigned(own, localities), ...fields })],
    requests,
  };
};

const three = [locality([host('a'), host('b'), host('c')])];
const keys = Array.from({ length: 24 }, (_, i) => get(`/${i}`, `x-key: key-${i * 7919}`));
const byHeader: Json = { hash_policy: [{ header: { header_name: 'x-key' } }] };
const common = (fields: object) => ({ common_lb_config: fields });
const byHostname = common({ consistent_hashing_lb_config: { use_hostname_for_hashing: true } });
const policyOf = (type: string, fields: object = {}) => ({
  load_balancing_policy: {
    policies: [
      {
        typed_extension_config: extension(
          type,
          `envoy.extensions.load_balancing_policies.${type}.v3.${type
            .split('_')
            .map((word) => word[0].toUpperCase() + word.slice(1))
            .join('')}`,
          fields as Json,
        ),
      },
    ],
  },
});

const labelled = (port: string, labels: object, more: object = {}): object =>
  host(port, { metadata: { filter_metadata: { 'envoy.lb': labels } }, ...more });

const asks = (labels: object): Json => ({ metadata_match: { filter_metadata: { 'envoy.lb': labels } } });

const subsetHosts = [
  locality([
    labelled('a', { version: '1', stage: 'prod' }),
    labelled('b', { version: '2', stage: 'prod' }),
    labelled('c', { version: '3', stage: 'test' }),
  ]),
];

const subset = (
  name: string,
  config: object,
  labels: object | null,
  hosts: readonly object[] = subsetHosts,
  count = 3,
): HttpCase =>
  balanced(
    `subset: ${name}`,
    { lb_subset_config: config },
    hosts,
    Array.from({ length: count }, (_, i) => get(`/${i}`)),
    labels === null ? {} : asks(labels),
  );

const versions = { subset_selectors: [{ keys: ['version'] }] };

const ill = (port: string): object => host(port, { health_status: 'UNHEALTHY' });

const check = (fields: object, http: object = {}): object => ({
  health_checks: [
    {
      timeout: '1s',
      interval: '60s',
      unhealthy_threshold: 2,
      healthy_threshold: 2,
      http_health_check: { path: '/health', ...http },
      ...fields,
    },
  ],
});

const noPanic = common({ healthy_panic_threshold: { value: 0 } });

/** Checks run before the proxy is ready, so that the first request sees their result. */
const checked = (name: string, check: object, hosts: readonly object[], requests: readonly string[]): HttpCase =>
  balanced(`health: ${name}`, { ...noPanic, ...check }, hosts, requests);

const healthAs = (status: number, headers = '', body = '') => ({
  request_headers_to_add: [
    { header: { key: 'x-replies', value: encodeURIComponent(answer(status, headers, body)).replaceAll('%', '%%') } },
  ],
});

const some = [get('/1'), get('/2')];

export const balancing: readonly HttpCase[] = [
  balanced('ring hash by header', { lb_policy: 'RING_HASH' }, three, keys, byHeader),
  balanced(
    'ring hash, murmur',
    { lb_policy: 'RING_HASH', ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } },
    three,
    keys,
    byHeader,
  ),
  balanced(
    'ring hash, small ring',
    { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 7, maximum_ring_size: 10 } },
    three,
    keys,
    byHeader,
  ),
  balanced(
    'ring hash, weights',
    { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 50 } },
    [
      locality([
        host('a', { load_balancing_weight: 1 }),
        host('b', { load_balancing_weight: 3 }),
        host('c', { load_balancing_weight: 7 }),
      ]),
    ],
    keys,
    byHeader,
  ),
  balanced(
    'ring hash, localities weighted',
    { lb_policy: 'RING_HASH', ...common({ locality_weighted_lb_config: {} }) },
    [
      locality([host('a')], { locality: { zone: 'x' }, load_balancing_weight: 1 }),
      locality([host('b'), host('c')], { locality: { zone: 'y' }, load_balancing_weight: 4 }),
    ],
    keys,
    byHeader,
  ),
  balanced(
    'ring hash, host names',
    { type: 'STRICT_DNS', lb_policy: 'RING_HASH', ...byHostname },
    [
      locality([
        host('a', {}, { hostname: 'a.test' }),
        host('b', {}, { hostname: 'b.test' }),
        host('c', {}, { hostname: 'c.test' }),
      ]),
    ],
    keys,
    byHeader,
  ),
  balanced(
    'ring hash, hash_key of the endpoint',
    { lb_policy: 'RING_HASH' },
    [locality([labelled('a', { hash_key: 'one' }), labelled('b', { hash_key: 'two' }), host('c')])],
    keys,
    byHeader,
  ),
  balanced(
    'ring hash, balance factor',
    { lb_policy: 'RING_HASH', ...common({ consistent_hashing_lb_config: { hash_balance_factor: 120 } }) },
    three,
    keys,
    byHeader,
  ),
  balanced('ring hash, two policies', { lb_policy: 'RING_HASH' }, three, keys, {
    hash_policy: [
      { header: { header_name: 'x-key' } },
      { query_parameter: { name: 'q' } },
      { header: { header_name: 'host' } },
    ],
  }),
  balanced('ring hash, terminal policy', { lb_policy: 'RING_HASH' }, three, keys, {
    hash_policy: [{ header: { header_name: 'x-key' }, terminal: true }, { header: { header_name: 'host' } }],
  }),
  balanced(
    'ring hash by query parameter',
    { lb_policy: 'RING_HASH' },
    three,
    keys.map((_, i) => get(`/?user=${i * 31}`)),
    { hash_policy: [{ query_parameter: { name: 'user' } }] },
  ),
  balanced(
    'ring hash by cookie',
    { lb_policy: 'RING_HASH' },
    three,
    keys.map((_, i) => get('/', `cookie: a=1; session=${i * 17}; b=2`)),
    { hash_policy: [{ cookie: { name: 'session' } }] },
  ),
  balanced('ring hash by address', { lb_policy: 'RING_HASH' }, three, keys.slice(0, 2), {
    hash_policy: [{ connection_properties: { source_ip: true } }],
  }),
  balanced(
    'ring hash by long keys',
    { lb_policy: 'RING_HASH' },
    three,
    [...keys.map((_, i) => get('/', `x-key: ${'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(1 + (i % 4)).slice(i)}`))],
    byHeader,
  ),
  balanced('maglev', { lb_policy: 'MAGLEV' }, three, keys, byHeader),
  balanced('maglev, small table', { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 13 } }, three, keys, byHeader),
  balanced(
    'maglev, weights',
    { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 101 } },
    [
      locality([
        host('a', { load_balancing_weight: 2 }),
        host('b', { load_balancing_weight: 5 }),
        host('c', { load_balancing_weight: 11 }),
      ]),
    ],
    keys,
    byHeader,
  ),
  balanced(
    'maglev, host names',
    { type: 'STRICT_DNS', lb_policy: 'MAGLEV', ...byHostname },
    [
      locality([
        host('a', {}, { hostname: 'zzz.test' }),
        host('b', {}, { hostname: 'b.test' }),
        host('c', {}, { hostname: 'm.test' }),
      ]),
    ],
    keys,
    byHeader,
  ),
  balanced(
    'maglev, two priorities by the key',
    { lb_policy: 'MAGLEV', ...noPanic },
    [locality([host('a'), ill('b'), ill('dead')]), locality([host('c')], { priority: 1 })],
    keys,
    byHeader,
  ),
  balanced('extension ring_hash', policyOf('ring_hash', { minimum_ring_size: 99 }), three, keys, byHeader),
  balanced(
    'extension ring_hash, murmur',
    policyOf('ring_hash', { hash_function: 'MURMUR_HASH_2' }),
    three,
    keys,
    byHeader,
  ),
  balanced('extension maglev', policyOf('maglev', { table_size: 1009 }), three, keys, byHeader),
  balanced('extension round_robin', policyOf('round_robin'), [locality([host('a')])], some),
  balanced('extension least_request', policyOf('least_request', { choice_count: 3 }), [locality([host('a')])], some),
  balanced(
    'extension least_request, full scan',
    policyOf('least_request', { selection_method: 'FULL_SCAN' }),
    [locality([host('a')])],
    some,
  ),
  balanced('extension random', policyOf('random'), [locality([host('a')])], some),
  balanced(
    'extension subset',
    policyOf('subset', {
      fallback_policy: 'NO_FALLBACK',
      subset_selectors: [{ keys: ['version'] }],
      subset_lb_policy: policyOf('round_robin').load_balancing_policy,
    }),
    subsetHosts,
    some,
    asks({ version: '2' }),
  ),

  balanced('an ill host is left out', {}, [locality([host('a'), ill('b')])], some),
  balanced('panic uses ill hosts', {}, [locality([ill('a')])], some),
  balanced('without panic nobody is left', noPanic, [locality([ill('a')])], some),
  balanced('draining hosts', {}, [locality([host('a'), host('b', { health_status: 'DRAINING' })])], some),
  balanced('only a draining host', {}, [locality([host('b', { health_status: 'DRAINING' })])], some),
  balanced('only a draining host, no panic', noPanic, [locality([host('b', { health_status: 'DRAINING' })])], some),
  balanced('a host that timed out', noPanic, [locality([host('b', { health_status: 'TIMEOUT' })])], some),
  balanced(
    'a degraded host waits for the healthy to fail',
    { lb_policy: 'MAGLEV' },
    [locality([host('a'), host('b', { health_status: 'DEGRADED' })])],
    keys,
    byHeader,
  ),
  balanced(
    'only degraded hosts, by hash',
    { lb_policy: 'MAGLEV' },
    [locality([host('b', { health_status: 'DEGRADED' })])],
    keys.slice(0, 4),
    byHeader,
  ),
  balanced('only degraded hosts', {}, [locality([host('b', { health_status: 'DEGRADED' })])], some),
  balanced(
    'degraded hosts before the next priority',
    {},
    [locality([host('a', { health_status: 'DEGRADED' }), ill('b')]), locality([ill('c')], { priority: 1 })],
    some,
  ),
  balanced('the first priority', {}, [locality([host('a')]), locality([host('b')], { priority: 1 })], some),
  balanced('the second priority', {}, [locality([ill('a')]), locality([host('b')], { priority: 1 })], some),
  balanced('the first priority is empty', {}, [locality([]), locality([host('b')], { priority: 1 })], some),
  balanced('all priorities in panic', {}, [locality([ill('a')]), locality([], { priority: 1 })], some),
  {
    name: 'balancing: overprovisioning factor',
    routes: [prefix('/', to('own factor', byHeader))],
    clusters: [
      cluster('own factor', {
        lb_policy: 'MAGLEV',
        ...noPanic,
        ...assigned('own factor', [locality([host('a'), ill('b')]), locality([host('c')], { priority: 1 })], {
          overprovisioning_factor: 100,
        }),
      }),
    ],
    requests: keys,
  },
  balanced(
    'a locality without weight gets nothing',
    common({ locality_weighted_lb_config: {} }),
    [
      locality([host('a')], { locality: { zone: 'x' }, load_balancing_weight: 1 }),
      locality([host('b')], { locality: { zone: 'y' } }),
    ],
    [...some, ...some],
  ),
  balanced(
    'fail_traffic_on_panic',
    common({ zone_aware_lb_config: { fail_traffic_on_panic: true } }),
    [locality([ill('a')])],
    some,
  ),

  subset('by one label', { fallback_policy: 'NO_FALLBACK', ...versions }, { version: '2' }),
  subset('nobody, no fallback', { fallback_policy: 'NO_FALLBACK', ...versions }, { version: '9' }),
  subset('no labels asked, no fallback', { fallback_policy: 'NO_FALLBACK', ...versions }, null),
  subset('other labels asked', { fallback_policy: 'NO_FALLBACK', ...versions }, { stage: 'prod' }),
  subset(
    'more labels asked than selected by',
    { fallback_policy: 'NO_FALLBACK', ...versions },
    { stage: 'prod', version: '2' },
  ),
  subset(
    'default subset',
    { fallback_policy: 'DEFAULT_SUBSET', default_subset: { stage: 'test' }, ...versions },
    { version: '9' },
  ),
  subset(
    'default subset without labels asked',
    { fallback_policy: 'DEFAULT_SUBSET', default_subset: { stage: 'test' }, ...versions },
    null,
  ),
  subset(
    'default subset that nobody is in',
    { fallback_policy: 'DEFAULT_SUBSET', default_subset: { stage: 'none' }, ...versions },
    { version: '9' },
  ),
  subset(
    'panic to any',
    { fallback_policy: 'DEFAULT_SUBSET', default_subset: { stage: 'none' }, panic_mode_any: true, ...versions },
    { version: '9' },
    [locality([labelled('a', { version: '1' })])],
  ),
  subset('any', { fallback_policy: 'ANY_ENDPOINT', ...versions }, { version: '9' }, [
    locality([labelled('a', { version: '1' })]),
  ]),
  subset(
    'two labels',
    { fallback_policy: 'NO_FALLBACK', subset_selectors: [{ keys: ['version', 'stage'] }] },
    { stage: 'test', version: '3' },
  ),
  subset(
    'a selector without fallback',
    {
      fallback_policy: 'ANY_ENDPOINT',
      subset_selectors: [{ keys: ['version'], fallback_policy: 'NO_FALLBACK' }],
    },
    { version: '9' },
  ),
  subset(
    'a selector with the default subset',
    {
      default_subset: { stage: 'test' },
      subset_selectors: [{ keys: ['version'], fallback_policy: 'DEFAULT_SUBSET' }],
    },
    { version: '9' },
  ),
  subset(
    'a selector with fewer keys',
    {
      subset_selectors: [
        { keys: ['version', 'stage'], fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: ['stage'] },
        { keys: ['stage'] },
      ],
    },
    { version: '9', stage: 'test' },
  ),
  subset(
    'one host a subset',
    { fallback_policy: 'NO_FALLBACK', subset_selectors: [{ keys: ['version'], single_host_per_subset: true }] },
    { version: '3' },
  ),
  subset('numbers', { fallback_policy: 'NO_FALLBACK', ...versions }, { version: 2 }, [
    locality([labelled('a', { version: 1 }), labelled('b', { version: 2 })]),
  ]),
  subset('a number is no text', { fallback_policy: 'NO_FALLBACK', ...versions }, { version: '2' }, [
    locality([labelled('b', { version: 2 })]),
  ]),
  subset('a list as any', { fallback_policy: 'NO_FALLBACK', list_as_any: true, ...versions }, { version: '2' }, [
    locality([labelled('a', { version: ['1'] }), labelled('b', { version: ['2', '3'] })]),
  ]),
  subset('a list is one value', { fallback_policy: 'NO_FALLBACK', ...versions }, { version: '2' }, [
    locality([labelled('b', { version: ['2', '3'] })]),
  ]),
  subset('a subset of ill hosts', { fallback_policy: 'ANY_ENDPOINT', ...versions }, { version: '2' }, [
    locality([labelled('a', { version: '1' }), labelled('b', { version: '2' }, { health_status: 'UNHEALTHY' })]),
  ]),
  {
    name: 'balancing: subset of a weighted cluster',
    routes: [
      prefix('/', {
        route: {
          weighted_clusters: { clusters: [{ name: 'own weighted', weight: 1, ...asks({ version: '3' }) }] },
          ...asks({ version: '1', stage: 'test' }),
        },
      }),
    ],
    clusters: [
      cluster('own weighted', {
        ...assigned('own weighted', subsetHosts),
        lb_subset_config: { subset_selectors: [{ keys: ['version', 'stage'] }] },
      }),
    ],
    requests: some,
  },

  checked('well', check({}), [locality([host('a')])], some),
  checked('refused connections', check({}), [locality([host('dead'), host('b')])], some),
  checked('all fail', check({}), [locality([host('dead')])], some),
  checked('a status that is not expected', check({}, healthAs(500)), [locality([host('a')])], some),
  checked(
    'a status that is expected',
    check({}, { ...healthAs(503), expected_statuses: [{ start: 500, end: 504 }] }),
    [locality([host('a')])],
    some,
  ),
  checked(
    '200 when another is expected',
    check({}, { expected_statuses: [{ start: 201, end: 300 }] }),
    [locality([host('a')])],
    some,
  ),
  checked(
    'degraded',
    check({}, healthAs(200, 'x-envoy-degraded: 1', 'x')),
    [
      locality([host('a')]),
      locality([host('b', {}, { health_check_config: { disable_active_health_check: true } })], { priority: 1 }),
    ],
    some,
  ),
  checked(
    'body is found',
    check({}, { receive: [{ text: Buffer.from('ell').toString('hex') }] }),
    [locality([host('a')])],
    some,
  ),
  checked(
    'body is not found',
    check({}, { receive: [{ text: Buffer.from('bye').toString('hex') }] }),
    [locality([host('a')])],
    some,
  ),
  checked('HTTP/2', check({}, { codec_client_type: 'HTTP2' }), [locality([host('h2')])], [get('/')]),
  checked('HTTP/2 to a backend of HTTP/1', check({}, { codec_client_type: 'HTTP2' }), [locality([host('a')])], some),
  checked('HEAD', check({}, { method: 'HEAD' }), [locality([host('a')])], some),
  checked(
    'the service is another',
    check(
      {},
      {
        service_name_matcher: { exact: 'mine' },
        ...healthAs(200, 'x-envoy-upstream-healthchecked-cluster: other', 'x'),
      },
    ),
    [locality([host('a')])],
    some,
  ),
  checked(
    'the service is the right one',
    check(
      {},
      { service_name_matcher: { prefix: 'my' }, ...healthAs(200, 'x-envoy-upstream-healthchecked-cluster: mine', 'x') },
    ),
    [locality([host('a')])],
    some,
  ),
  checked(
    'another port',
    check({}),
    [locality([host('a', {}, { health_check_config: { address: { port: 'dead' } } }), host('b')])],
    some,
  ),
  checked(
    'switched off for one host',
    check({}),
    [locality([host('dead', {}, { health_check_config: { disable_active_health_check: true } })])],
    [get('/')],
  ),
  checked(
    'TCP',
    check({ http_health_check: undefined, tcp_health_check: {} }),
    [locality([host('a'), host('dead')])],
    some,
  ),
  checked(
    'TCP with an answer',
    check({
      http_health_check: undefined,
      tcp_health_check: {
        send: { text: Buffer.from('GET / HTTP/1.1\r\n\r\n').toString('hex') },
        receive: [{ text: Buffer.from('200').toString('hex') }, { text: Buffer.from('hello').toString('hex') }],
      },
    }),
    [locality([host('a')])],
    some,
  ),
  checked(
    'TCP with another answer',
    check({
      timeout: '0.2s',
      http_health_check: undefined,
      tcp_health_check: {
        send: { text: Buffer.from('GET / HTTP/1.1\r\n\r\n').toString('hex') },
        receive: [{ text: Buffer.from('bye').toString('hex') }],
      },
    }),
    [locality([host('a')])],
    some,
  ),
  checked(
    'gRPC of a server that has no such service',
    { ...check({ http_health_check: undefined, grpc_health_check: {} }), http2_protocol_options: {} },
    [locality([host('h2')])],
    [send('POST', '/', '', 'x')],
  ),
  ...outliers(),
  ...breakers(),
  ...aggregates(),
  ...originalDestinations(),
  ...zones(),
];

/** The proxy is in zone x, with as many of its kind as are in zone y. */
function zones(): HttpCase[] {
  const zone = (name: string, hosts: readonly object[], more: object = {}): object =>
    locality(hosts, { locality: { region: 'r', zone: name }, ...more });
  const aware = (fields: object = {}) => common({ zone_aware_lb_config: { min_cluster_size: 2, ...fields } });
  const four = [...some, ...some];
  const near = [zone('x', [host('a')]), zone('y', [host('b')])];
  return [
    balanced('zones: as many there as here', aware(), near, four),
    balanced(
      'zones: more here',
      aware(),
      [zone('x', [host('a')]), zone('y', [ill('b')]), zone('z', [host('c')])],
      four,
    ),
    balanced('zones: an ill host here', aware(), [zone('x', [ill('a')]), zone('y', [host('b')])], four),
    balanced('zones: by least request', { lb_policy: 'LEAST_REQUEST', ...aware() }, near, four),
    balanced('zones: at random', { lb_policy: 'RANDOM', ...aware() }, near, four),
    balanced('zones: not by hash', { lb_policy: 'MAGLEV', ...aware() }, near, keys, byHeader),
    balanced(
      'zones: weights of localities come first',
      common({ locality_weighted_lb_config: {} }),
      [zone('x', [host('a')]), zone('y', [host('b')], { load_balancing_weight: 1 })],
      four,
    ),
    balanced(
      'zones: by extension',
      policyOf('round_robin', { locality_lb_config: { zone_aware_lb_config: { min_cluster_size: 2 } } }),
      near,
      four,
    ),
  ];
}

function originalDestinations(): HttpCase[] {
  const type = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' };
  const of = (name: string, config: object, requests: readonly string[]): HttpCase => ({
    name: `balancing: original destination: ${name}`,
    routes: [prefix('/', to(`own ${name}`))],
    clusters: [cluster(`own ${name}`, { ...type, original_dst_lb_config: config })],
    requests,
  });
  const wrong = ['127.0.0.1', 'localhost:80', '', '127.0.0.1:99999', '[::1'];
  return [
    of('nothing says where', {}, some),
    of('a header that is not asked for', {}, [get('/', 'x-envoy-original-dst-host: 127.0.0.1:1')]),
    of(
      'a header that names no address',
      { use_http_header: true },
      wrong.map((value) => get('/', `x-envoy-original-dst-host: ${value}`)),
    ),
    of('a header that names a host that refuses', { use_http_header: true }, [
      get('/', 'x-envoy-original-dst-host: 127.0.0.1:1'),
    ]),
    of('a header of another name', { use_http_header: true, http_header_name: 'x-to' }, [
      get('/', 'x-envoy-original-dst-host: 127.0.0.1:1'),
      get('/', 'x-to: 127.0.0.1:1'),
    ]),
    of('a port of its own', { use_http_header: true, upstream_port_override: 1 }, [
      get('/', 'x-envoy-original-dst-host: 127.0.0.1:1'),
    ]),
  ];
}

function aggregates(): HttpCase[] {
  const whole = (name: string, clusters: readonly string[], more: object = {}): Json => ({
    name,
    connect_timeout: '1s',
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: extension('envoy.clusters.aggregate', 'envoy.extensions.clusters.aggregate.v3.ClusterConfig', {
      clusters,
    }),
    ...more,
  });
  const part = (name: string, localities: readonly object[], more: object = {}): Json =>
    cluster(name, { ...assigned(name, localities), ...more });
  const of = (name: string, clusters: readonly Json[], more: Partial<HttpCase> = {}): HttpCase => ({
    name: `balancing: aggregate: ${name}`,
    routes: [prefix('/', to(clusters[0].name as string, { timeout: '2s' }))],
    clusters,
    requests: some,
    ...more,
  });
  return [
    of('the first that is well', [
      whole('agg1', ['agg1 a', 'agg1 b']),
      part('agg1 a', [locality([host('a')])]),
      part('agg1 b', [locality([host('b')])]),
    ]),
    of('the second when the first is ill', [
      whole('agg2', ['agg2 a', 'agg2 b']),
      part('agg2 a', [locality([ill('a')])]),
      part('agg2 b', [locality([host('b')])]),
    ]),
    of('the second when the first is empty', [
      whole('agg3', ['agg3 a', 'agg3 b']),
      part('agg3 a', []),
      part('agg3 b', [locality([host('b')])]),
    ]),
    of('priorities of one before those of the next', [
      whole('agg4', ['agg4 a', 'agg4 b']),
      part('agg4 a', [locality([ill('a')]), locality([host('c')], { priority: 1 })]),
      part('agg4 b', [locality([host('b')])]),
    ]),
    of('all ill, without panic', [
      whole('agg5', ['agg5 a', 'agg5 b'], noPanic),
      part('agg5 a', [locality([ill('a')])], noPanic),
      part('agg5 b', [locality([ill('b')])], noPanic),
    ]),
    of('none has hosts', [whole('agg6', ['agg6 a', 'agg6 b']), part('agg6 a', []), part('agg6 b', [])]),
    of('an aggregate within another counts for nothing', [
      whole('agg7', ['agg7 a', 'agg7 inner']),
      whole('agg7 inner', ['agg7 b']),
      part('agg7 a', [locality([ill('a')])]),
      part('agg7 b', [locality([host('b')])]),
    ]),
    of('a cluster that refuses connections', [
      whole('agg8', ['agg8 a', 'agg8 b']),
      part('agg8 a', [locality([host('dead')])]),
      part('agg8 b', [locality([host('b')])]),
    ]),
    of('checks that fail the first', [
      whole('agg9', ['agg9 a', 'agg9 b']),
      part('agg9 a', [locality([host('dead')])], check({})),
      part('agg9 b', [locality([host('b')])]),
    ]),
  ];
}

function breakers(): HttpCase[] {
  const retrying = { retry_policy: { retry_on: '5xx', num_retries: 1, retry_back_off: { base_interval: '0.001s' } } };
  const none = { priority: 'HIGH', max_requests: 0 };
  const one = [locality([host('a')])];
  const limited = (name: string, thresholds: readonly object[], action: Json, requests = some): HttpCase =>
    balanced(`breaker: ${name}`, { circuit_breakers: { thresholds } }, one, requests, action);
  const failingOnce = (key: string) => [get(`/${key}`, replies(answer(503), answer(200, '', key)))];
  return [
    limited('no requests', [{ max_requests: 0 }], {}),
    limited('no pending requests', [{ max_pending_requests: 0 }], {}),
    limited('no requests of high priority, and one of default', [none], {}),
    limited('no requests of high priority', [none], { priority: 'HIGH' }),
    limited('no requests of default priority, and one of high', [{ max_requests: 0 }], { priority: 'HIGH' }),
    limited('the first of two for one priority', [{ max_requests: 5 }, { max_requests: 0 }], {}),
    limited('no retries', [{ max_retries: 0 }], retrying, failingOnce('none')),
    limited('one retry', [{ max_retries: 1 }], retrying, failingOnce('one')),
    limited(
      'a budget of none',
      [{ retry_budget: { min_retry_concurrency: 0, budget_percent: { value: 0 } } }],
      retrying,
      failingOnce('no budget'),
    ),
    limited('a budget of one', [{ retry_budget: { min_retry_concurrency: 1 } }], retrying, failingOnce('budget')),
    limited('retries of high priority', [{ max_retries: 0 }], { ...retrying, priority: 'HIGH' }, failingOnce('high')),
  ];
}

/** One host, and requests that its detection sees; without panic an ejected host leaves nobody. */
function outlier(name: string, fields: object, requests: readonly string[], more: object = {}): HttpCase {
  const detection = { base_ejection_time: '60s', max_ejection_percent: 100, ...fields };
  const hosts = [locality([host('a')])];
  const plain = balanced(`outlier: ${name}`, { ...noPanic, outlier_detection: detection, ...more }, hosts, []);
  // Envoy ejects on another thread: requests that reach no host give it the time to.
  const pause = Array.from({ length: 10 }, () => get('/pause'));
  return {
    ...plain,
    routes: [prefix('/pause', direct(200)), ...(plain.routes ?? [])],
    requests: [...requests.slice(0, -1), ...pause, ...requests.slice(-1)],
  };
}

function outliers(): HttpCase[] {
  const bad = (status: number) => get('/', replies(answer(status)));
  const good = get('/');
  return [
    outlier('consecutive 5xx', { consecutive_5xx: 2 }, [bad(500), bad(503), good]),
    outlier('an answer between', { consecutive_5xx: 2 }, [bad(500), good, bad(500), good]),
    outlier('4xx is well', { consecutive_5xx: 2 }, [bad(404), bad(429), good]),
    outlier('not enforced', { consecutive_5xx: 2, enforcing_consecutive_5xx: 0 }, [bad(500), bad(500), good]),
    outlier('one host of ten per cent', { consecutive_5xx: 2, max_ejection_percent: undefined }, [
      bad(500),
      bad(500),
      good,
    ]),
    outlier('one host, always', { consecutive_5xx: 2, max_ejection_percent: 0, always_eject_one_host: true }, [
      bad(500),
      bad(500),
      good,
    ]),
    outlier('panic brings it back', { consecutive_5xx: 2 }, [bad(500), bad(500), good], {
      common_lb_config: { healthy_panic_threshold: { value: 50 } },
    }),
    outlier('gateway failures', { consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100 }, [
      bad(502),
      bad(504),
      good,
    ]),
    outlier(
      '500 is no gateway failure',
      { consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100 },
      [bad(500), bad(500), good],
    ),
    outlier('gateway failures are not enforced unless asked for', { consecutive_gateway_failure: 2 }, [
      bad(502),
      bad(502),
      good,
    ]),
    outlier('a connection that is closed', { consecutive_5xx: 2 }, [
      get('/', replies('CLOSE')),
      get('/', replies('CLOSE')),
      good,
    ]),
    outlier(
      'split: a connection that is closed',
      { consecutive_5xx: 2, consecutive_local_origin_failure: 1, split_external_local_origin_errors: true },
      [get('/', replies('CLOSE')), good],
    ),
    outlier(
      'split: answers count apart',
      { consecutive_5xx: 2, consecutive_local_origin_failure: 1, split_external_local_origin_errors: true },
      [bad(500), bad(500), good],
    ),
    outlier('gRPC that is unavailable', { consecutive_5xx: 2 }, grpcCalls(14)),
    outlier('gRPC that denies', { consecutive_5xx: 2 }, grpcCalls(7)),
  ];
}

function grpcCalls(status: number): string[] {
  const call = (code: number) =>
    send(
      'POST',
      '/s/m',
      `content-type: application/grpc|te: trailers|${replies(answer(200, `content-type: application/grpc|grpc-status: ${code}`))}`,
      'x',
    );
  return [call(status), call(status), call(0)];
}
