import { answer, direct, extension, get, type HttpCase, prefix, replies, send, to } from '../case.ts';

const ok = answer(200, '', 'ok');

const retrying = (
  name: string,
  policy: object,
  answers: readonly string[],
  more: Partial<HttpCase> = {},
): HttpCase => ({
  name: `retry: ${name}`,
  host: { include_request_attempt_count: true },
  routes: [prefix('/', to('a', { retry_policy: { retry_back_off: { base_interval: '0.001s' }, ...policy } }))],
  requests: [get('/', replies(...answers))],
  ...more,
});

const fault = (name: string, config: object, ...requests: string[]): HttpCase => ({
  name: `fault: ${name}`,
  filters: [extension('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault', config as never)],
  requests: requests.length === 0 ? [get('/')] : requests,
});

const all = { numerator: 100 };

const rbac = (name: string, rules: object, ...requests: string[]): HttpCase => ({
  name: `rbac: ${name}`,
  filters: [extension('envoy.filters.http.rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', { rules })],
  requests,
});

const policy = (permissions: object[], principals: object[] = [{ any: true }]) => ({
  policies: { p: { permissions, principals } },
});

const cluster = (name: string, fields: object): object => ({ name, connect_timeout: '1s', ...fields });

const endpoints = (...ports: string[]) => [
  { lb_endpoints: ports.map((port) => ({ endpoint: { address: { port } } })) },
];

const failing = (name: string, target: string, action: object = {}): HttpCase => ({
  name: `failure: ${name}`,
  routes: [prefix('/', to(target, action as never))],
  requests: [get('/'), send('POST', '/', '', 'x')],
});

export const traffic: readonly HttpCase[] = [
  retrying('5xx', { retry_on: '5xx', num_retries: 2 }, [answer(500), answer(503), ok]),
  retrying('5xx, used up', { retry_on: '5xx', num_retries: 2 }, [answer(500), answer(503), answer(502)]),
  retrying('not asked for', { retry_on: 'connect-failure', num_retries: 2 }, [answer(503), ok]),
  retrying('gateway error', { retry_on: 'gateway-error', num_retries: 1 }, [answer(502), ok]),
  retrying('gateway error is not 500', { retry_on: 'gateway-error', num_retries: 1 }, [answer(500), ok]),
  retrying('retriable 4xx', { retry_on: 'retriable-4xx', num_retries: 1 }, [answer(409), ok]),
  retrying('retriable 4xx is not 404', { retry_on: 'retriable-4xx', num_retries: 1 }, [answer(404), ok]),
  retrying('status codes', { retry_on: 'retriable-status-codes', retriable_status_codes: [418], num_retries: 1 }, [
    answer(418),
    ok,
  ]),
  retrying('reset', { retry_on: 'reset', num_retries: 1 }, ['CLOSE', ok], {
    differs: {
      parts: ['upstream'],
      why: 'a kept connection that its host closed is no attempt of the request: it is not counted',
    },
  }),
  retrying('reset before request', { retry_on: 'reset-before-request', num_retries: 1 }, ['CLOSE', ok], {
    requests: [send('POST', '/', replies('CLOSE', ok), 'x')],
  }),
  retrying('default count', { retry_on: '5xx' }, [answer(500), answer(500), ok]),
  retrying('envoy-ratelimited', { retry_on: 'envoy-ratelimited', num_retries: 1 }, [
    answer(429, 'x-envoy-ratelimited: true'),
    ok,
  ]),
  retrying(
    'retriable headers',
    { retry_on: 'retriable-headers', retriable_headers: [{ name: 'x-again', present_match: true }], num_retries: 1 },
    [answer(200, 'x-again: 1'), ok],
  ),
  retrying('by request header', { retry_on: 'connect-failure' }, [answer(503), ok], {
    requests: [get('/', `x-envoy-retry-on: 5xx|x-envoy-max-retries: 2|${replies(answer(503), answer(503), ok)}`)],
  }),
  retrying('with a body', { retry_on: '5xx', num_retries: 1 }, [], {
    requests: [send('POST', '/', replies(answer(503), ok), 'the body')],
  }),
  retrying('grpc status', { retry_on: 'unavailable', num_retries: 1 }, [], {
    requests: [
      send(
        'POST',
        '/',
        `content-type: application/grpc|${replies(answer(200, 'grpc-status: 14'), answer(200, 'grpc-status: 0'))}`,
      ),
    ],
  }),
  retrying('per try timeout', { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.1s' }, ['SILENT', ok]),
  retrying('per try timeout, used up', { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.1s' }, [
    'SILENT',
    'SILENT',
  ]),
  retrying(
    'for some requests',
    { retry_on: '5xx', num_retries: 1, retriable_request_headers: [{ name: 'x-yes', present_match: true }] },
    [],
    { requests: [get('/', `x-yes: 1|${replies(answer(503), ok)}`), get('/', replies(answer(503), ok, '1'))] },
  ),
  {
    name: 'timeout',
    routes: [prefix('/', to('a', { timeout: '0.1s' }))],
    requests: [get('/', replies('SILENT')), get('/', replies('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab'))],
  },
  {
    name: 'timeout by header',
    routes: [prefix('/', to('a'))],
    requests: [get('/', `x-envoy-upstream-rq-timeout-ms: 100|${replies('SILENT')}`)],
  },
  { name: 'timeout off', routes: [prefix('/', to('a', { timeout: '0s' }))], requests: [get('/')] },
  { name: 'timeout told', routes: [prefix('/', to('a', { timeout: '7s' }))], requests: [get('/')] },
  {
    name: 'max stream duration',
    routes: [prefix('/', to('a', { timeout: '0s', max_stream_duration: { max_stream_duration: '0.1s' } }))],
    requests: [get('/', replies('SILENT'))],
  },
  {
    name: 'idle timeout',
    routes: [prefix('/', to('a', { timeout: '0s', idle_timeout: '0.2s' }))],
    requests: [get('/', replies('SILENT'))],
  },
  failing('no host', 'empty'),
  failing('refused', 'dead'),
  {
    name: 'failure: closed before an answer',
    requests: [get('/', replies('CLOSE')), send('POST', '/', replies('CLOSE', '2'), 'x')],
  },
  { name: 'failure: garbage', requests: [get('/', replies('garbage\r\n\r\n'))] },
  {
    name: 'failure: broken off in the body',
    requests: [get('/', replies('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 10\r\n\r\nabc'))],
    differs: { parts: ['body', 'status'], why: 'the backend leaves the connection open; both wait' },
  },
  {
    name: 'failure: two lengths',
    requests: [get('/', replies('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'))],
  },
  {
    name: 'failure: length and chunks',
    requests: [
      get(
        '/',
        replies('HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n'),
      ),
    ],
  },
  {
    name: 'failure: unknown version',
    differs: { parts: ['status', 'headers', 'body'], why: 'Envoy takes a version that does not exist' },
    requests: [get('/', replies('HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n'))],
  },
  {
    name: 'failure in gRPC terms',
    routes: [prefix('/', to('dead'))],
    requests: [send('POST', '/', 'content-type: application/grpc')],
  },
  {
    name: 'no route in gRPC terms',
    routes: [prefix('/x', to('a'))],
    requests: [send('POST', '/', 'content-type: application/grpc')],
  },
  {
    name: 'direct response in gRPC terms',
    routes: [prefix('/', direct(503, 'sorry'))],
    requests: [send('POST', '/', 'content-type: application/grpc')],
  },
  fault('abort', { abort: { http_status: 418, percentage: all } }),
  fault(
    'abort in gRPC terms',
    { abort: { grpc_status: 7, percentage: all } },
    send('POST', '/', 'content-type: application/grpc'),
    get('/'),
  ),
  fault('never', { abort: { http_status: 500, percentage: { numerator: 0 } } }),
  fault('delay', { delay: { fixed_delay: '0.05s', percentage: all } }, get('/'), send('POST', '/', '', 'body')),
  fault('delay and abort', {
    delay: { fixed_delay: '0.05s', percentage: all },
    abort: { http_status: 503, percentage: all },
  }),
  fault(
    'for some',
    { abort: { http_status: 500, percentage: all }, headers: [{ name: 'x-f', string_match: { exact: '1' } }] },
    get('/', 'x-f: 1'),
    get('/'),
  ),
  fault(
    'asked for by header',
    { abort: { header_abort: {}, percentage: all } },
    get('/', 'x-envoy-fault-abort-request: 503'),
    get('/'),
    get('/', 'x-envoy-fault-abort-request: 503|x-envoy-fault-abort-request-percentage: 0'),
  ),
  fault(
    'delay asked for by header',
    { delay: { header_delay: {}, percentage: all } },
    get('/', 'x-envoy-fault-delay-request: 20'),
    get('/'),
  ),
  {
    ...fault('on a route', {}),
    routes: [
      prefix('/f', to('a'), {
        typed_per_filter_config: {
          'envoy.filters.http.fault': {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
            abort: { http_status: 555, percentage: all },
          },
        },
      }),
      prefix('/', to('a')),
    ],
    requests: [get('/f'), get('/')],
  },
  rbac(
    'allow a path',
    { action: 'ALLOW', ...policy([{ url_path: { path: { prefix: '/ok' } } }]) },
    get('/ok'),
    get('/no'),
    get('/ok/../no'),
    get('/ok?x'),
  ),
  rbac(
    'deny a path',
    { action: 'DENY', ...policy([{ url_path: { path: { exact: '/no' } } }]) },
    get('/ok'),
    get('/no'),
    get('/no?x'),
    get('/NO'),
  ),
  rbac(
    'allow a method',
    { action: 'ALLOW', ...policy([{ header: { name: ':method', string_match: { exact: 'GET' } } }]) },
    get('/'),
    send('POST', '/'),
  ),
  rbac('allow nobody', { action: 'ALLOW', policies: {} }, get('/')),
  rbac('deny nobody', { action: 'DENY', policies: {} }, get('/')),
  rbac(
    'and, or, not',
    {
      action: 'ALLOW',
      ...policy([
        {
          and_rules: {
            rules: [
              {
                or_rules: {
                  rules: [{ url_path: { path: { prefix: '/a' } } }, { url_path: { path: { prefix: '/b' } } }],
                },
              },
              { not_rule: { header: { name: 'x-no', present_match: true } } },
            ],
          },
        },
      ]),
    },
    get('/a'),
    get('/b'),
    get('/c'),
    get('/a', 'x-no: 1'),
  ),
  rbac(
    'source',
    {
      action: 'ALLOW',
      ...policy([{ any: true }], [{ direct_remote_ip: { address_prefix: '127.0.0.0', prefix_len: 8 } }]),
    },
    get('/'),
  ),
  rbac(
    'other source',
    {
      action: 'ALLOW',
      ...policy([{ any: true }], [{ direct_remote_ip: { address_prefix: '10.0.0.0', prefix_len: 8 } }]),
    },
    get('/'),
  ),
  rbac(
    'remote by x-forwarded-for',
    { action: 'ALLOW', ...policy([{ any: true }], [{ remote_ip: { address_prefix: '1.2.3.4', prefix_len: 32 } }]) },
    get('/', 'x-forwarded-for: 1.2.3.4'),
    get('/'),
  ),
  rbac('authenticated', { action: 'ALLOW', ...policy([{ any: true }], [{ authenticated: {} }]) }, get('/')),
  rbac(
    'header present',
    { action: 'ALLOW', ...policy([{ any: true }], [{ header: { name: 'x-who', string_match: { suffix: '@x' } } }]) },
    get('/', 'x-who: a@x'),
    get('/', 'x-who: a@y'),
    get('/'),
  ),
  rbac(
    'several policies',
    {
      action: 'ALLOW',
      policies: {
        one: { permissions: [{ url_path: { path: { exact: '/1' } } }], principals: [{ any: true }] },
        two: { permissions: [{ url_path: { path: { exact: '/2' } } }], principals: [{ any: true }] },
      },
    },
    get('/1'),
    get('/2'),
    get('/3'),
  ),
  rbac('log', { action: 'LOG', ...policy([{ any: true }]) }, get('/')),
  rbac('server name', { action: 'ALLOW', ...policy([{ requested_server_name: { exact: 'x' } }]) }, get('/')),
  rbac('port range', { action: 'ALLOW', ...policy([{ destination_port_range: { start: 1, end: 65536 } }]) }, get('/')),
  {
    name: 'mirror',
    routes: [prefix('/', to('a', { request_mirror_policies: [{ cluster: 'empty' }] }))],
    requests: [get('/')],
  },
  {
    name: 'circuit: no requests',
    clusters: [
      cluster('none', {
        circuit_breakers: { thresholds: [{ max_requests: 0 }] },
        load_assignment: { cluster_name: 'x', endpoints: endpoints('a') },
      }) as never,
    ],
    routes: [prefix('/', to('none'))],
    requests: [get('/')],
  },
  {
    name: 'circuit: no pending',
    clusters: [
      cluster('no pending', {
        circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] },
        load_assignment: { cluster_name: 'x', endpoints: endpoints('a') },
      }) as never,
    ],
    routes: [prefix('/', to('no pending'))],
    requests: [get('/')],
  },
  {
    name: 'unhealthy hosts, panic',
    clusters: [
      cluster('panic', {
        load_assignment: {
          cluster_name: 'x',
          endpoints: [{ lb_endpoints: [{ health_status: 'UNHEALTHY', endpoint: { address: { port: 'a' } } }] }],
        },
      }) as never,
    ],
    routes: [prefix('/', to('panic'))],
    requests: [get('/')],
  },
  {
    name: 'unhealthy hosts, no panic',
    clusters: [
      cluster('no panic', {
        common_lb_config: { healthy_panic_threshold: { value: 0 } },
        load_assignment: {
          cluster_name: 'x',
          endpoints: [{ lb_endpoints: [{ health_status: 'UNHEALTHY', endpoint: { address: { port: 'a' } } }] }],
        },
      }) as never,
    ],
    routes: [prefix('/', to('no panic'))],
    requests: [get('/')],
  },
  {
    name: 'healthy before unhealthy',
    clusters: [
      cluster('mixed', {
        common_lb_config: { healthy_panic_threshold: { value: 0 } },
        load_assignment: {
          cluster_name: 'x',
          endpoints: [
            {
              lb_endpoints: [
                { health_status: 'UNHEALTHY', endpoint: { address: { port: 'a' } } },
                { health_status: 'HEALTHY', endpoint: { address: { port: 'b' } } },
              ],
            },
          ],
        },
      }) as never,
    ],
    routes: [prefix('/', to('mixed'))],
    requests: [get('/'), get('/'), get('/')],
  },
  {
    name: 'priorities: the first',
    clusters: [
      cluster('first', {
        load_assignment: {
          cluster_name: 'x',
          endpoints: [
            { priority: 0, ...endpoints('a')[0] },
            { priority: 1, ...endpoints('b')[0] },
          ],
        },
      }) as never,
    ],
    routes: [prefix('/', to('first'))],
    requests: [get('/'), get('/')],
  },
  {
    name: 'priorities: failed over',
    clusters: [
      cluster('second', {
        load_assignment: {
          cluster_name: 'x',
          endpoints: [
            { priority: 0, lb_endpoints: [{ health_status: 'UNHEALTHY', endpoint: { address: { port: 'a' } } }] },
            { priority: 1, ...endpoints('b')[0] },
          ],
        },
      }) as never,
    ],
    routes: [prefix('/', to('second'))],
    requests: [get('/'), get('/')],
  },
  {
    name: 'draining hosts',
    clusters: [
      cluster('draining', {
        load_assignment: {
          cluster_name: 'x',
          endpoints: [
            {
              lb_endpoints: [
                { health_status: 'DRAINING', endpoint: { address: { port: 'a' } } },
                { endpoint: { address: { port: 'b' } } },
              ],
            },
          ],
        },
      }) as never,
    ],
    routes: [prefix('/', to('draining'))],
    requests: [get('/'), get('/'), get('/')],
  },
  {
    name: 'name resolved',
    clusters: [
      cluster('by name', {
        type: 'STRICT_DNS',
        dns_lookup_family: 'V4_ONLY',
        load_assignment: { cluster_name: 'x', endpoints: endpoints('a') },
      }) as never,
    ],
    routes: [prefix('/', to('by name', { auto_host_rewrite: true }))],
    requests: [get('/')],
  },
];
