/** External authorization, over gRPC and over HTTP: what the service is asked, and what becomes of its answer. */
import { answer, extension, get, type HttpCase, prefix, send, to } from '../case.ts';

const type = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';
const perRoute = (fields: object) => ({
  typed_per_filter_config: {
    authz: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute', ...fields },
  },
});
const authz = (fields: object) => extension('authz', type, fields as never);
const overGrpc = (fields: object = {}) =>
  authz({
    grpc_service: { envoy_grpc: { cluster_name: 'authz' }, timeout: '1s' },
    transport_api_version: 'V3',
    ...fields,
  });
const httpService = (fields: object = {}) => ({
  server_uri: { uri: 'http://check.test', cluster: 'check', timeout: '1s' },
  authorization_request: { allowed_headers: { patterns: [{ exact: 'x-check' }] } },
  ...fields,
});
const overHttp = (service: object = {}, fields: object = {}) =>
  authz({ http_service: httpService(service), transport_api_version: 'V3', ...fields });

/** The header that tells the gRPC service its answer. */
const grpcSays = (response: unknown) => `x-check: ${encodeURIComponent(JSON.stringify(response))}`;
const httpSays = (status: number, headers = '', body = '') =>
  `x-check: ${encodeURIComponent(answer(status, headers, body))}`;
const ok = (more: object = {}) => grpcSays({ status: {}, okResponse: more });
const denied = (more: object = {}) => grpcSays({ status: { code: 7 }, deniedResponse: more });
const option = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more });
const actions = ['APPEND_IF_EXISTS_OR_ADD', 'ADD_IF_ABSENT', 'OVERWRITE_IF_EXISTS_OR_ADD', 'OVERWRITE_IF_EXISTS'];
const every = (name: string) => [
  ...actions.flatMap((appendAction) => [
    option(`x-has-${appendAction.toLowerCase()}`, 'new', { appendAction }),
    option(`x-none-${appendAction.toLowerCase()}`, 'new', { appendAction }),
  ]),
  option(`${name}-append-true`, 'new', { append: true }),
  option(`${name}-append-false`, 'new', { append: false }),
];
const had = actions.map((action) => `x-has-${action.toLowerCase()}: old`).join('|');
const one = (name: string, filter: object, ...requests: HttpCase['requests'][number][]): HttpCase => ({
  name: `ext_authz: ${name}`,
  filters: [filter as never],
  requests,
});
const shows = (format: string) => ({
  host: {
    response_headers_to_add: [
      { header: { key: 'x-shown', value: format }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
    ],
  },
});

export const extAuthz: readonly HttpCase[] = [
  one(
    'gRPC allows, refuses and fails',
    overGrpc(),
    get('/p?q=1', ok()),
    get('/', denied()),
    get('/', grpcSays(13)),
    get('/', grpcSays({ status: {} })),
    get('/', grpcSays({ status: { code: 16 } })),
  ),
  one(
    'gRPC refusal with status, headers and body',
    overGrpc(),
    get(
      '/',
      denied({
        status: { code: 'Unauthorized' },
        body: '<b>no</b>',
        headers: [
          option('content-type', 'text/html'),
          option('set-cookie', 'a=1'),
          option('set-cookie', 'b=2'),
          option('www-authenticate', 'Basic'),
        ],
      }),
    ),
    {
      headers: {
        ':path': '/a.B/C',
        ':method': 'POST',
        'content-type': 'application/grpc',
        'x-check': encodeURIComponent(JSON.stringify({ status: { code: 7 } })),
      },
      body: 'x',
    },
  ),
  one(
    'gRPC headers for the upstream, by every action',
    overGrpc(),
    get('/', `${ok({ headers: every('x-has') })}|${had}|x-has-append-true: old|x-has-append-false: old`),
    get('/', ok({ headers: every('x-none') })),
  ),
  one(
    'gRPC headers for the caller',
    overGrpc(),
    get(
      '/',
      ok({
        responseHeadersToAdd: [
          option('x-one', '1'),
          option('x-one', '2'),
          option('x-backend', 'over', { appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }),
        ],
      }),
    ),
  ),
  one(
    'gRPC headers and parameters to remove',
    overGrpc(),
    get(
      '/p?a=1&b=2&c=3',
      `${ok({
        headersToRemove: ['x-gone', 'host', ':path'],
        queryParametersToRemove: ['a'],
        queryParametersToSet: [
          { key: 'b', value: 'new' },
          { key: 'd', value: '4' },
        ],
      })}|x-gone: yes`,
    ),
  ),
  one(
    'gRPC is told all headers, cookies and repeated ones',
    overGrpc(),
    get('/', `${ok()}|cookie: a=1|x-twice: 1|x-twice: 2|connection: x-hop|x-hop: 1`),
    send('POST', '/', ok(), 'hello'),
  ),
  one(
    'gRPC is told some headers',
    overGrpc({
      allowed_headers: { patterns: [{ exact: 'x-check' }, { prefix: 'x-a' }] },
      disallowed_headers: { patterns: [{ exact: 'x-ab' }] },
    }),
    get('/', `${ok()}|x-a: 1|x-ab: 2|x-b: 3`),
  ),
  one(
    'gRPC is told the body',
    overGrpc({ with_request_body: { max_request_bytes: 10 } }),
    send('POST', '/', ok(), 'hello'),
    send('POST', '/', ok(), '0123456789'),
    send('POST', '/', ok(), '0123456789a'),
    get('/', ok()),
  ),
  one(
    'gRPC is told the beginning of the body',
    overGrpc({ with_request_body: { max_request_bytes: 10, allow_partial_message: true } }),
    send('POST', '/', ok(), 'hello'),
    send('POST', '/', ok(), '0123456789abc'),
    send('POST', '/', denied(), '0123456789abc'),
  ),
  one(
    'gRPC is told the body as bytes',
    overGrpc({ with_request_body: { max_request_bytes: 10, pack_as_bytes: true } }),
    send('POST', '/', ok(), 'hello'),
  ),
  one('a failure lets through', overGrpc({ failure_mode_allow: true }), get('/', grpcSays(13))),
  one(
    'a failure lets through and says so',
    overGrpc({ failure_mode_allow: true, failure_mode_allow_header_add: true }),
    get('/', grpcSays(13)),
  ),
  one(
    'a failure with a status of its own',
    overGrpc({ status_on_error: { code: 'ServiceUnavailable' } }),
    get('/', grpcSays(13)),
  ),
  one(
    'no answer in time',
    overGrpc({ grpc_service: { envoy_grpc: { cluster_name: 'authz' }, timeout: '0.1s' } }),
    get('/', grpcSays('silent')),
  ),
  one(
    'a service that is not there',
    overGrpc({ grpc_service: { envoy_grpc: { cluster_name: 'dead' }, timeout: '1s' } }),
    get('/'),
  ),
  one('not enabled', overGrpc({ filter_enabled: { default_value: { numerator: 0 } } }), get('/', denied())),
  one(
    'not enabled, and refused for it',
    overGrpc({
      filter_enabled: { default_value: { numerator: 0 } },
      deny_at_disable: { default_value: true, runtime_key: 'k' },
    }),
    get('/', ok()),
  ),
  {
    name: 'ext_authz: routes without it, and with a context of their own',
    filters: [overGrpc() as never],
    host: perRoute({ check_settings: { context_extensions: { host: 'h', both: 'host' } } }),
    routes: [
      prefix('/off', to('a'), perRoute({ disabled: true })),
      prefix('/own', to('a'), perRoute({ check_settings: { context_extensions: { route: 'r', both: 'route' } } })),
      prefix('/', to('a')),
    ],
    requests: [get('/off', denied()), get('/own', ok()), get('/', ok())],
  },
  {
    name: 'ext_authz: a route without a body',
    filters: [overGrpc({ with_request_body: { max_request_bytes: 100 } }) as never],
    routes: [
      prefix('/none', to('a'), perRoute({ check_settings: { disable_request_body_buffering: true } })),
      prefix(
        '/less',
        to('a'),
        perRoute({ check_settings: { with_request_body: { max_request_bytes: 3, allow_partial_message: true } } }),
      ),
      prefix('/', to('a')),
    ],
    requests: [
      send('POST', '/none', ok(), 'hello'),
      send('POST', '/less', ok(), 'hello'),
      send('POST', '/', ok(), 'hello'),
    ],
  },
  {
    name: 'ext_authz: requests that no route takes are not asked about',
    filters: [overGrpc() as never],
    routes: [prefix('/only', to('a'))],
    requests: [get('/other', denied())],
  },
  {
    name: 'ext_authz: another route for what it changed',
    filters: [overGrpc({ clear_route_cache: true }) as never],
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-tier', string_match: { exact: 'gold' } }] }, ...to('b') },
      prefix('/', to('a')),
    ],
    requests: [get('/', ok({ headers: [option('x-tier', 'gold')] })), get('/', ok())],
  },
  {
    name: 'ext_authz: the route stays without being told',
    filters: [overGrpc() as never],
    routes: [
      { match: { prefix: '/', headers: [{ name: 'x-tier', string_match: { exact: 'gold' } }] }, ...to('b') },
      prefix('/', to('a')),
    ],
    requests: [get('/', ok({ headers: [option('x-tier', 'gold')] }))],
  },
  {
    name: 'ext_authz: metadata from the service',
    filters: [overGrpc() as never],
    ...shows('%DYNAMIC_METADATA(envoy.filters.http.ext_authz:who)%'),
    requests: [
      get('/', grpcSays({ status: {}, dynamicMetadata: { who: 'ann' } })),
      get('/', grpcSays({ status: { code: 7 }, dynamicMetadata: { who: 'bob' } })),
    ],
  },
  {
    name: 'ext_authz: asked only where RBAC’s shadow rules match (Istio: CUSTOM)',
    filters: [
      extension('rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
        shadow_rules: {
          action: 'DENY',
          policies: {
            'istio-ext-authz-ns[x]-policy[y]-rule[0]': {
              permissions: [{ url_path: { path: { prefix: '/guarded' } } }],
              principals: [{ any: true }],
            },
          },
        },
        shadow_rules_stat_prefix: 'istio_ext_authz_',
      }),
      overGrpc({
        filter_enabled_metadata: {
          filter: 'envoy.filters.http.rbac',
          path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
          value: { string_match: { prefix: 'istio-ext-authz' } },
        },
      }) as never,
    ],
    requests: [get('/guarded', denied()), get('/guarded', ok()), get('/open', denied())],
  },
  {
    name: 'ext_authz: metadata for the service',
    filters: [
      extension('rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
        shadow_rules: {
          action: 'DENY',
          policies: { p: { permissions: [{ any: true }], principals: [{ any: true }] } },
        },
      }),
      overGrpc({ metadata_context_namespaces: ['envoy.filters.http.rbac', 'nothing'] }) as never,
    ],
    requests: [get('/', ok())],
  },
  one(
    'HTTP allows, refuses and fails',
    overHttp(),
    get('/p?q=1', httpSays(200)),
    get('/', httpSays(403, 'x-why: no|content-type: text/html', '<b>no</b>')),
    get('/', httpSays(401, 'www-authenticate: Basic|set-cookie: a=1|set-cookie: b=2')),
    get('/', httpSays(302, 'location: /login')),
    get('/', httpSays(500)),
    get('/', httpSays(201)),
  ),
  one('HTTP with a path before', overHttp({ path_prefix: '/check' }), get('/p?q=1', httpSays(200))),
  one(
    'HTTP is told some headers',
    overHttp({
      authorization_request: {
        allowed_headers: { patterns: [{ exact: 'x-check' }, { prefix: 'x-a' }] },
        headers_to_add: [
          { key: 'x-a-added', value: 'yes' },
          { key: 'x-key', value: 'secret' },
        ],
      },
    }),
    get('/', `${httpSays(200)}|x-a: 1|x-b: 2|authorization: Bearer x|cookie: c=1`),
  ),
  one(
    'HTTP headers for the upstream and the caller',
    overHttp({
      authorization_response: {
        allowed_upstream_headers: { patterns: [{ exact: 'x-user' }, { exact: 'x-new' }] },
        allowed_upstream_headers_to_append: { patterns: [{ exact: 'x-more' }] },
        allowed_client_headers_on_success: { patterns: [{ exact: 'x-client' }] },
      },
    }),
    get('/', `${httpSays(200, 'x-user: ann|x-new: 1|x-more: b|x-client: yes|x-other: no')}|x-user: forged|x-more: a`),
  ),
  one(
    'HTTP headers of a refusal',
    overHttp({ authorization_response: { allowed_client_headers: { patterns: [{ exact: 'x-why' }] } } }),
    get('/', httpSays(403, 'x-why: no|x-other: hidden|location: /x|www-authenticate: Basic', 'no')),
  ),
  one(
    'HTTP headers to remove',
    overHttp(),
    get('/', `${httpSays(200, 'x-envoy-auth-headers-to-remove: x-gone, x-too')}|x-gone: 1|x-too: 2|x-stays: 3`),
  ),
  one(
    'HTTP is told the body',
    overHttp({}, { with_request_body: { max_request_bytes: 10, allow_partial_message: true } }),
    send('POST', '/', httpSays(200), 'hello'),
    send('POST', '/', httpSays(200), '0123456789abc'),
  ),
  one(
    'HTTP that is not there',
    overHttp({ server_uri: { uri: 'http://dead.test', cluster: 'dead', timeout: '1s' } }),
    get('/', httpSays(200)),
  ),
];
