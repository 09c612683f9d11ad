import { answer, direct, extension, get, type HttpCase, prefix, replies, send, to } from '../case.ts';

const add = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more });

const request = (name: string, host: object, ...requests: string[]): HttpCase => ({
  name: `request headers: ${name}`,
  host: host as never,
  requests,
});

const response = (name: string, host: object, ...requests: string[]): HttpCase => ({
  name: `response headers: ${name}`,
  host: host as never,
  requests,
});

const operator = (format: string, ...requests: string[]): HttpCase => ({
  name: `operator ${format}`,
  host: {
    request_headers_to_add: [add('x-op', format)],
    response_headers_to_add: [add('x-op', format)],
  },
  requests: requests.length === 0 ? [get('/p/a?q=1', 'x-in: v|user-agent: agent')] : requests,
});

const manager = (name: string, fields: object, ...requests: string[]): HttpCase => ({
  name: `connection manager: ${name}`,
  manager: fields as never,
  requests,
});

const path = (name: string, fields: object, ...paths: string[]): HttpCase =>
  manager(`path ${name}`, fields, ...paths.map((one) => get(one)));

const paths = [
  '/a/../b',
  '/a/./b',
  '/a//b',
  '/%2e%2e/x',
  '/a%2fb',
  '/a%2Fb',
  '/a%5cb',
  '/%41',
  '/a/..',
  '/../../x',
  '/a\\b',
  '/a;b=1/c',
  '/%7Euser',
  '/a/%2e/b',
  '/a?x=/../y',
];

const cors = (name: string, policy: object, ...requests: string[]): HttpCase => ({
  name: `cors: ${name}`,
  filters: [extension('envoy.filters.http.cors', 'envoy.extensions.filters.http.cors.v3.Cors')],
  host: {
    typed_per_filter_config: {
      'envoy.filters.http.cors': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy',
        allow_origin_string_match: [{ exact: 'https://ok.test' }, { prefix: 'https://pre' }],
        ...policy,
      },
    },
  },
  requests,
});

const preflight = (origin: string, more = ''): string =>
  `OPTIONS /a HTTP/1.1\r\nHost: HOST\r\norigin: ${origin}\r\naccess-control-request-method: PUT\r\n${more}\r\n`;

export const headers: readonly HttpCase[] = [
  request('append', { request_headers_to_add: [add('x-a', '1')] }, get('/'), get('/', 'x-a: 0')),
  request(
    'overwrite',
    { request_headers_to_add: [add('x-a', '1', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })] },
    get('/'),
    get('/', 'x-a: 0'),
  ),
  request(
    'add if absent',
    { request_headers_to_add: [add('x-a', '1', { append_action: 'ADD_IF_ABSENT' })] },
    get('/'),
    get('/', 'x-a: 0'),
  ),
  request(
    'overwrite if exists',
    { request_headers_to_add: [add('x-a', '1', { append_action: 'OVERWRITE_IF_EXISTS' })] },
    get('/'),
    get('/', 'x-a: 0'),
  ),
  request('remove', { request_headers_to_remove: ['x-a'] }, get('/', 'x-a: 0|x-b: 1'), get('/')),
  request('empty value dropped', { request_headers_to_add: [add('x-a', '%REQ(x-none)%')] }, get('/')),
  request('empty value kept', { request_headers_to_add: [add('x-a', '', { keep_empty_value: true })] }, get('/')),
  request('attempt count', { include_request_attempt_count: true }, get('/'), get('/', 'x-envoy-attempt-count: 7')),
  response('append', { response_headers_to_add: [add('x-a', '1'), add('x-backend', 'more')] }, get('/')),
  response(
    'overwrite',
    { response_headers_to_add: [add('x-backend', 'new', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })] },
    get('/'),
  ),
  response(
    'add if absent',
    {
      response_headers_to_add: [
        add('x-backend', 'new', { append_action: 'ADD_IF_ABSENT' }),
        add('x-new', '1', { append_action: 'ADD_IF_ABSENT' }),
      ],
    },
    get('/'),
  ),
  response(
    'overwrite if exists',
    {
      response_headers_to_add: [
        add('x-backend', 'new', { append_action: 'OVERWRITE_IF_EXISTS' }),
        add('x-new', '1', { append_action: 'OVERWRITE_IF_EXISTS' }),
      ],
    },
    get('/'),
  ),
  response('remove', { response_headers_to_remove: ['x-backend', 'content-type'] }, get('/')),
  response('attempt count', { include_attempt_count_in_response: true }, get('/')),
  response(
    'of a direct response',
    { routes: [prefix('/', direct(200, 'x'))], response_headers_to_add: [add('x-a', '1')] },
    get('/'),
  ),
  {
    name: 'levels: route, host, table',
    table: { request_headers_to_add: [add('x-l', 'table')], response_headers_to_add: [add('x-l', 'table')] },
    host: { request_headers_to_add: [add('x-l', 'host')], response_headers_to_add: [add('x-l', 'host')] },
    routes: [
      prefix('/', to('a'), {
        request_headers_to_add: [add('x-l', 'route')],
        response_headers_to_add: [add('x-l', 'route')],
      }),
    ],
    requests: [get('/')],
  },
  {
    name: 'levels: overwriting, the least specific wins',
    table: { response_headers_to_add: [add('x-l', 'table', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })] },
    host: { response_headers_to_add: [add('x-l', 'host', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })] },
    routes: [
      prefix('/', to('a'), {
        response_headers_to_add: [add('x-l', 'route', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })],
      }),
    ],
    requests: [get('/')],
  },
  {
    name: 'levels: the most specific wins',
    table: {
      most_specific_header_mutations_wins: true,
      response_headers_to_add: [add('x-l', 'table', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })],
    },
    host: { response_headers_to_add: [add('x-l', 'host', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })] },
    routes: [
      prefix('/', to('a'), {
        response_headers_to_add: [add('x-l', 'route', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })],
      }),
    ],
    requests: [get('/')],
  },
  ...[
    '%REQ(x-in)%',
    '%REQ(x-none?x-in)%',
    '%REQ(:path)%',
    '%REQ(:method)%',
    '%REQ(:authority)%',
    '%REQ(x-in):1%',
    '%PROTOCOL%',
    '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
    '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
    '%ROUTE_NAME%',
    '%UPSTREAM_CLUSTER%',
    '%%',
    'a%REQ(x-in)%b',
    '%HOSTNAME%x'.slice(10),
    '%START_TIME(%Y)%',
    '%RESPONSE_FLAGS%',
    '%REQUESTED_SERVER_NAME%',
  ].map((format) => operator(format)),
  operator('%REQ(X-IN)%', get('/', 'x-in: a|x-in: b')),
  {
    name: 'response code in a response header',
    host: {
      response_headers_to_add: [
        add('x-code', '%RESPONSE_CODE%'),
        add('x-details', '%RESPONSE_CODE_DETAILS%'),
        add('x-resp', '%RESP(x-backend)%'),
      ],
    },
    requests: [get('/')],
  },
  manager(
    'use remote address',
    { use_remote_address: true },
    get('/'),
    get('/', 'x-forwarded-for: 1.2.3.4'),
    get('/', 'x-forwarded-proto: https|x-envoy-internal: true'),
    get('/', 'x-envoy-upstream-rq-timeout-ms: 5000'),
  ),
  manager(
    'use remote address, one hop trusted',
    { use_remote_address: true, xff_num_trusted_hops: 1 },
    get('/', 'x-forwarded-for: 1.2.3.4, 5.6.7.8'),
    get('/', 'x-forwarded-for: 1.2.3.4|x-forwarded-proto: https'),
  ),
  manager('hops trusted', { xff_num_trusted_hops: 1 }, get('/', 'x-forwarded-for: 1.2.3.4, 5.6.7.8')),
  manager(
    'skip xff append',
    { use_remote_address: true, skip_xff_append: true },
    get('/', 'x-forwarded-for: 1.2.3.4'),
    get('/'),
  ),
  manager('via', { via: 'here' }, get('/'), get('/', 'via: there')),
  manager('server name', { server_name: 'me' }, get('/')),
  manager(
    'server header passed',
    { server_header_transformation: 'PASS_THROUGH' },
    get('/', replies(answer(200, 'server: mine', 'x'))),
  ),
  manager('no request id', { generate_request_id: false }, get('/'), get('/', 'x-request-id: mine')),
  manager('request id kept', {}, get('/', 'x-request-id: 11111111-2222-4333-8444-555555555555')),
  manager(
    'request id in the response',
    { always_set_request_id_in_response: true },
    get('/', 'x-request-id: 11111111-2222-4333-8444-555555555555'),
  ),
  manager('strip port', { strip_any_host_port: true }, 'GET / HTTP/1.1\r\nHost: HOST:1234\r\n\r\n'),
  manager('strip trailing dot', { strip_trailing_host_dot: true }, 'GET / HTTP/1.1\r\nHost: HOST.\r\n\r\n'),
  manager('x-forwarded-port', { append_x_forwarded_port: true, use_remote_address: true }, get('/')),
  manager(
    'underscores refused',
    { common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' } },
    get('/', 'x_a: 1'),
    get('/', 'x-a: 1'),
  ),
  manager(
    'underscores dropped',
    { common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' } },
    get('/', 'x_a: 1|x-b: 2'),
  ),
  manager(
    'too many headers',
    { common_http_protocol_options: { max_headers_count: 4 } },
    get('/', 'a: 1|b: 2|c: 3'),
    get('/', 'a: 1|b: 2|c: 3|d: 4|e: 5'),
  ),
  manager('headers too large', { max_request_headers_kb: 1 }, get('/', `a: ${'x'.repeat(2000)}`)),
  manager(
    'no absolute url',
    { http_protocol_options: { allow_absolute_url: false } },
    'GET http://HOST/x HTTP/1.1\r\nHost: HOST\r\n\r\n',
  ),
  manager(
    'http 1.0',
    { http_protocol_options: { accept_http_10: true } },
    'GET / HTTP/1.0\r\nHost: HOST\r\n\r\n',
    'GET / HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n',
  ),
  manager('http 1.0 refused', {}, 'GET / HTTP/1.0\r\nHost: HOST\r\n\r\n'),
  path('as it came', {}, ...paths),
  path('normalised', { normalize_path: true }, ...paths),
  path('slashes merged', { normalize_path: true, merge_slashes: true }, ...paths, '/a///b//c'),
  path('escaped slashes refused', { path_with_escaped_slashes_action: 'REJECT_REQUEST' }, ...paths),
  path(
    'escaped slashes unescaped',
    { normalize_path: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD' },
    ...paths,
  ),
  path(
    'escaped slashes redirected',
    { normalize_path: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT' },
    ...paths,
  ),
  cors(
    'preflight',
    { allow_methods: 'GET, PUT', allow_headers: 'x-a', max_age: '60', allow_credentials: true },
    preflight('https://ok.test'),
    preflight('https://prefix.test'),
    preflight('https://bad.test'),
    'OPTIONS /a HTTP/1.1\r\nHost: HOST\r\norigin: https://ok.test\r\n\r\n',
  ),
  cors(
    'request',
    { expose_headers: 'x-b', allow_credentials: false },
    get('/', 'origin: https://ok.test'),
    get('/', 'origin: https://bad.test'),
    get('/'),
  ),
  cors('bare policy', {}, preflight('https://ok.test'), get('/', 'origin: https://ok.test')),
  cors(
    'switched off',
    { filter_enabled: { default_value: { numerator: 0 } } },
    preflight('https://ok.test'),
    get('/', 'origin: https://ok.test'),
  ),
  cors(
    'private network',
    { allow_private_network_access: true },
    preflight('https://ok.test', 'access-control-request-private-network: true\r\n'),
  ),
  {
    name: 'response without length',
    requests: [get('/', replies('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'))],
  },
  {
    name: 'hop-by-hop headers',
    requests: [
      get('/', 'connection: keep-alive, x-drop|x-drop: 1|keep-alive: 5|proxy-connection: x|te: trailers'),
      get(
        '/',
        replies(
          'HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\ncontent-length: 1\r\n\r\nx',
        ),
      ),
    ],
  },
  { name: 'repeated headers', requests: [get('/', 'x-a: 1|x-a: 2|cookie: a=1|cookie: b=2')] },
  { name: 'empty header', requests: [get('/', 'x-a:')] },
  { name: 'spaces around a value', requests: ['GET / HTTP/1.1\r\nHost: HOST\r\nx-a: \t v \t\r\n\r\n'] },
  {
    name: 'x-forwarded from inside',
    requests: [get('/', 'x-forwarded-for: 1.2.3.4|x-forwarded-proto: https|x-forwarded-host: h')],
  },
  {
    name: 'envoy headers from a caller',
    requests: [get('/', 'x-envoy-internal: true|x-envoy-original-path: /x|x-envoy-expected-rq-timeout-ms: 5')],
  },
  { name: 'client certificate header sanitised', requests: [get('/', 'x-forwarded-client-cert: By=x')] },
  {
    name: 'several set-cookie',
    requests: [get('/', replies('HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n'))],
  },
  {
    name: 'status codes',
    requests: [200, 201, 204, 206, 304, 301, 400, 404, 418, 500, 503].map((status) =>
      get('/', replies(status === 204 || status === 304 ? `HTTP/1.1 ${status} X\r\n\r\n` : answer(status, '', 'x'))),
    ),
  },
  {
    name: 'head',
    requests: [
      'HEAD / HTTP/1.1\r\nHost: HOST\r\n\r\n',
      `HEAD / HTTP/1.1\r\nHost: HOST\r\n${replies('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n')}\r\n\r\n`,
    ],
  },
  {
    name: 'methods',
    requests: ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'].map((method) => send(method, '/')),
  },
  {
    name: 'interim responses',
    differs: { parts: ['headers'], why: 'Envoy drops them; a proxy must pass them on (RFC 9110 §15.2)' },
    requests: [
      get('/', replies('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')),
    ],
  },
  {
    name: 'expect',
    requests: ['POST / HTTP/1.1\r\nHost: HOST\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nok'],
  },
  {
    name: 'chunked request with trailers',
    differs: {
      parts: ['upstream'],
      why: 'Envoy drops trailers of HTTP/1 unless enable_trailers is set; Lateen passes them on',
    },
    requests: [
      'POST / HTTP/1.1\r\nHost: HOST\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: HOST\r\ntransfer-encoding: chunked\r\n\r\n2;ext=1\r\nok\r\n0\r\n\r\n',
    ],
  },
  {
    name: 'absolute form',
    requests: [
      'GET http://HOST/x?y HTTP/1.1\r\nHost: other\r\n\r\n',
      'GET https://HOST/x HTTP/1.1\r\nHost: HOST\r\n\r\n',
      'GET http://HOST HTTP/1.1\r\nHost: HOST\r\n\r\n',
    ],
  },
  { name: 'options star', requests: ['OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n'] },
  {
    name: 'websocket not allowed',
    requests: ['GET / HTTP/1.1\r\nHost: HOST\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'],
  },
  {
    name: 'websocket',
    manager: { upgrade_configs: [{ upgrade_type: 'websocket' }] },
    requests: [
      `GET / HTTP/1.1\r\nHost: HOST\r\nconnection: upgrade\r\nupgrade: websocket\r\n${replies('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')}\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: HOST\r\nconnection: upgrade\r\nupgrade: websocket\r\n${replies(answer(400, '', 'no'))}\r\n\r\n`,
    ],
  },
];
