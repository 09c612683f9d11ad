/** Rate limits, by the proxy's own buckets and by a service. */
import { extension, get, type HttpCase, prefix, to } from '../case.ts';

const localType = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const full = { default_value: { numerator: 100, denominator: 'HUNDRED' } };
const bucket = (max_tokens: number) => ({ max_tokens, tokens_per_fill: 1, fill_interval: '3600s' });
const localOf = (fields: object) => ({ stat_prefix: 'local', filter_enabled: full, filter_enforced: full, ...fields });
const local = (fields: object) => extension('local', localType, localOf(fields) as never);
const typed = (type: string, fields: object) => ({ '@type': `type.googleapis.com/${type}`, ...fields });
const times = (count: number, request: string) => Array.from({ length: count }, () => request);
const generic = (descriptor_value: string, descriptor_key = '') => ({
  generic_key: { descriptor_value, ...(descriptor_key && { descriptor_key }) },
});
const limits = (...actions: object[]) => ({ rate_limits: actions.map((action) => ({ actions: [action].flat() })) });
const descriptor = (tokens: number, ...entries: Array<[string, string]>) => ({
  entries: entries.map(([key, value]) => ({ key, value })),
  token_bucket: bucket(tokens),
});

const globalOf = (fields: object) => ({
  domain: 'shop',
  timeout: '1s',
  rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: 'rls' } }, transport_api_version: 'V3' },
  ...fields,
});
const global = (fields: object = {}) =>
  extension('limit', 'envoy.extensions.filters.http.ratelimit.v3.RateLimit', globalOf(fields) as never);
/** Tells the service what to do. */
const doing = (answer: unknown) => generic(JSON.stringify(answer), 'do');
const asked = (name: string, answer: unknown, filter: object = {}, ...requests: string[]): HttpCase => ({
  name: `rate limit service: ${name}`,
  filters: [global(filter)],
  routes: [prefix('/', to('a', limits(doing(answer))))],
  requests: requests.length > 0 ? requests : [get('/')],
});
const grpc = { headers: { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' }, body: 'x' };
/** One rule of several actions. */
const rule = (...actions: object[]) => ({ rate_limits: [{ actions }] });
const described = (name: string, route: object, ...requests: string[]): HttpCase => ({
  name: `descriptors: ${name}`,
  filters: [global()],
  routes: [prefix('/', to('a', route as never))],
  requests: requests.length > 0 ? requests : [get('/')],
});

export const rateLimits: readonly HttpCase[] = [
  {
    name: 'local limit: two requests and no more',
    filters: [local({ token_bucket: bucket(2) })],
    requests: [...times(3, get('/')), grpc],
  },
  {
    name: 'local limit: status, headers and gRPC status of its own',
    filters: [
      local({
        token_bucket: bucket(0),
        status: { code: 'ServiceUnavailable' },
        rate_limited_as_resource_exhausted: true,
        response_headers_to_add: [
          { header: { key: 'x-limited', value: 'yes' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        ],
      }),
    ],
    requests: [get('/'), grpc],
  },
  {
    name: 'local limit: a status below 400 stands for 429',
    filters: [local({ token_bucket: bucket(0), status: { code: 'OK' } })],
    requests: [get('/')],
  },
  {
    name: 'local limit: counted and not enforced',
    filters: [
      local({
        token_bucket: bucket(1),
        filter_enforced: { default_value: { numerator: 0 } },
        request_headers_to_add_when_not_enforced: [{ header: { key: 'x-over', value: 'yes' } }],
      }),
    ],
    requests: times(2, get('/')),
  },
  {
    name: 'local limit: not enabled',
    filters: [extension('local', localType, { stat_prefix: 'l', token_bucket: bucket(0) } as never)],
    requests: [get('/')],
  },
  { name: 'local limit: without a bucket', filters: [local({})], requests: [get('/')] },
  {
    name: 'local limit: told in headers',
    filters: [local({ token_bucket: bucket(2), enable_x_ratelimit_headers: 'DRAFT_VERSION_03' })],
    requests: times(2, get('/')),
  },
  {
    name: 'local limit: of a route',
    filters: [local({})],
    routes: [
      prefix('/one', to('a'), {
        typed_per_filter_config: { local: typed(localType, localOf({ token_bucket: bucket(1) })) },
      }),
      prefix('/two', to('a'), {
        typed_per_filter_config: { local: typed(localType, localOf({ token_bucket: bucket(2) })) },
      }),
      prefix('/', to('a')),
    ],
    requests: [...times(2, get('/one')), ...times(3, get('/two')), get('/')],
  },
  {
    name: 'local limit: by descriptors',
    filters: [
      local({
        token_bucket: bucket(4),
        descriptors: [descriptor(1, ['who', 'ann']), descriptor(2, ['who', 'bob'], ['generic_key', 'all'])],
      }),
    ],
    routes: [
      prefix(
        '/',
        to('a', {
          rate_limits: [
            { actions: [{ request_headers: { header_name: 'x-who', descriptor_key: 'who' } }] },
            { actions: [{ request_headers: { header_name: 'x-who', descriptor_key: 'who' } }, generic('all')] },
          ],
        }),
      ),
    ],
    requests: [
      ...times(2, get('/', 'x-who: ann')),
      ...times(3, get('/', 'x-who: bob')),
      ...times(2, get('/', 'x-who: eve')),
    ],
  },
  {
    name: 'local limit: descriptors instead of the common bucket',
    filters: [
      local({
        token_bucket: bucket(1),
        always_consume_default_token_bucket: false,
        descriptors: [descriptor(2, ['who', 'ann'])],
      }),
    ],
    routes: [prefix('/', to('a', limits({ request_headers: { header_name: 'x-who', descriptor_key: 'who' } })))],
    requests: [...times(3, get('/', 'x-who: ann')), ...times(2, get('/'))],
  },
  {
    name: 'local limit: a virtual host’s descriptors with the route’s, by stage',
    filters: [
      local({
        token_bucket: bucket(100),
        vh_rate_limits: 'INCLUDE',
        stage: 1,
        descriptors: [descriptor(1, ['generic_key', 'host']), descriptor(2, ['generic_key', 'zero'])],
      }),
    ],
    host: { rate_limits: [{ stage: 1, actions: [generic('host')] }] },
    routes: [prefix('/', to('a', { rate_limits: [{ stage: 0, actions: [generic('zero')] }] }))],
    requests: times(2, get('/')),
  },
  asked('within the limit', { overallCode: 'OK' }),
  asked('over the limit', { overallCode: 'OVER_LIMIT' }),
  asked('headers for the upstream and the caller', {
    overallCode: 'OK',
    requestHeadersToAdd: [{ key: 'x-up', value: 'one' }],
    responseHeadersToAdd: [{ key: 'x-down', value: 'two' }],
  }),
  asked('a refusal in the service’s words', {
    overallCode: 'OVER_LIMIT',
    rawBody: Buffer.from('<p>slow down</p>').toString('base64'),
    responseHeadersToAdd: [
      { key: 'content-type', value: 'text/html' },
      { key: 'x-down', value: 'two' },
    ],
  }),
  asked(
    'status and headers of the filter',
    { overallCode: 'OVER_LIMIT' },
    {
      rate_limited_status: { code: 'ServiceUnavailable' },
      disable_x_envoy_ratelimited_header: true,
      response_headers_to_add: [{ header: { key: 'x-limited', value: 'yes' } }],
    },
  ),
  asked(
    'told in headers',
    {
      overallCode: 'OK',
      statuses: [
        {
          code: 'OK',
          currentLimit: { requestsPerUnit: 10, unit: 'MINUTE', name: 'first' },
          limitRemaining: 7,
          durationUntilReset: '30s',
        },
        {
          code: 'OK',
          currentLimit: { requestsPerUnit: 100, unit: 'HOUR' },
          limitRemaining: 3,
          durationUntilReset: '300s',
        },
        { code: 'OK' },
      ],
    },
    { enable_x_ratelimit_headers: 'DRAFT_VERSION_03' },
  ),
  asked('an error lets through', 13),
  asked('an error refuses', 13, { failure_mode_deny: true }),
  asked('an error refuses with a status of its own', 13, {
    failure_mode_deny: true,
    status_on_error: { code: 'ServiceUnavailable' },
  }),
  asked('no answer in time lets through', 'silent', { timeout: '0.1s' }),
  asked('a code that says nothing', { overallCode: 'UNKNOWN' }, { failure_mode_deny: true }),
  {
    name: 'rate limit service: that is not there',
    filters: [
      global({
        failure_mode_deny: true,
        rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: 'dead' } }, transport_api_version: 'V3' },
      }),
    ],
    routes: [prefix('/', to('a', limits(generic('x'))))],
    requests: [get('/')],
  },
  {
    name: 'rate limit service: gRPC callers',
    filters: [global({ rate_limited_as_resource_exhausted: true })],
    routes: [prefix('/', to('a', limits(doing({ overallCode: 'OVER_LIMIT' }))))],
    requests: [grpc],
  },
  {
    name: 'rate limit service: gRPC callers, unavailable',
    filters: [global()],
    routes: [prefix('/', to('a', limits(doing({ overallCode: 'OVER_LIMIT' }))))],
    requests: [grpc],
  },
  {
    name: 'rate limit service: external requests only',
    filters: [global({ request_type: 'external' })],
    routes: [prefix('/', to('a', limits(generic('x'))))],
    requests: [get('/'), get('/', 'x-envoy-internal: true')],
  },
  { name: 'rate limit service: no rules, no question', filters: [global()], requests: [get('/')] },
  described(
    'of every kind',
    rule(
      { source_cluster: {} },
      { destination_cluster: {} },
      generic('value'),
      generic('value', 'key'),
      { request_headers: { header_name: ':path', descriptor_key: 'path' } },
      {
        header_value_match: {
          descriptor_value: 'gets',
          headers: [{ name: ':method', string_match: { exact: 'GET' } }],
        },
      },
      {
        query_parameter_value_match: {
          descriptor_value: 'has q',
          query_parameters: [{ name: 'q', string_match: { exact: '1' } }],
        },
      },
    ),
    get('/?q=1'),
    get('/'),
  ),
  described(
    'a header that may be absent',
    rule(generic('x'), { request_headers: { header_name: 'x-who', descriptor_key: 'who', skip_if_absent: true } }),
    get('/'),
    get('/', 'x-who: ann'),
  ),
  described(
    'a header that must be there',
    rule(generic('x'), { request_headers: { header_name: 'x-who', descriptor_key: 'who' } }),
    get('/'),
    get('/', 'x-who: ann'),
    get('/', 'x-who: ann|x-who: bob'),
  ),
  described(
    'headers that must not match',
    rule({
      header_value_match: {
        descriptor_value: 'other',
        expect_match: false,
        headers: [{ name: 'x-who', string_match: { exact: 'ann' } }],
      },
    }),
    get('/'),
    get('/', 'x-who: ann'),
  ),
  described(
    'several rules',
    limits(generic('one'), generic('two'), { request_headers: { header_name: 'x-none', descriptor_key: 'none' } }),
  ),
  described(
    'metadata that is not there',
    rule(generic('x'), {
      metadata: { descriptor_key: 'm', metadata_key: { key: 'a', path: [{ key: 'b' }] }, default_value: 'fallback' },
    }),
  ),
  {
    name: 'descriptors: metadata of the route',
    filters: [global()],
    routes: [
      prefix(
        '/',
        to(
          'a',
          rule({
            metadata: { descriptor_key: 'm', source: 'ROUTE_ENTRY', metadata_key: { key: 'a', path: [{ key: 'b' }] } },
          }),
        ),
        { metadata: { filter_metadata: { a: { b: 'value' } } } },
      ),
    ],
    requests: [get('/')],
  },
  {
    name: 'descriptors: of the virtual host, in the place of none',
    filters: [global()],
    host: limits(generic('host')),
    routes: [
      prefix('/own', to('a', limits(generic('route')))),
      prefix('/both', to('a', { ...limits(generic('route')), include_vh_rate_limits: true })),
      prefix('/ignore', to('a'), {
        typed_per_filter_config: {
          limit: typed('envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute', { vh_rate_limits: 'IGNORE' }),
        },
      }),
      prefix('/include', to('a', limits(generic('route'))), {
        typed_per_filter_config: {
          limit: typed('envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute', {
            vh_rate_limits: 'INCLUDE',
            domain: 'other',
          }),
        },
      }),
      prefix('/', to('a')),
    ],
    requests: [get('/'), get('/own'), get('/both'), get('/ignore'), get('/include')],
  },
];
