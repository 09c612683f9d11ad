import { direct, get, type HttpCase, prefix, send, to } from '../case.ts';

const rest = prefix('/', direct(299, 'rest'));
const hit = (match: object) => [{ match, ...direct(200, 'hit') }, rest];

const matching = (name: string, match: object, ...requests: string[]): HttpCase => ({
  name: `route match: ${name}`,
  routes: hit(match),
  requests,
});

const header = (name: string, matcher: object, ...values: Array<string | null>): HttpCase =>
  matching(
    `header ${name}`,
    { prefix: '/', headers: [{ name: 'x-h', ...matcher }] },
    ...values.map((value) => get('/', value === null ? '' : `x-h: ${value}`)),
  );

const query = (name: string, matcher: object, ...queries: string[]): HttpCase =>
  matching(
    `query ${name}`,
    { prefix: '/', query_parameters: [{ name: 'q', ...matcher }] },
    ...queries.map((text) => get(`/a${text}`)),
  );

const rewriting = (name: string, match: object, action: object, ...paths: string[]): HttpCase => ({
  name: `rewrite: ${name}`,
  routes: [{ match, ...to('a', action as never) }, rest],
  requests: paths.map((path) => get(path)),
});

const redirecting = (name: string, redirect: object, ...requests: string[]): HttpCase => ({
  name: `redirect: ${name}`,
  routes: [{ match: { prefix: '/a' }, redirect }, rest],
  requests,
});

export const routing: readonly HttpCase[] = [
  { name: 'everything to a', requests: [get('/'), get('/a?b=c'), send('POST', '/p', '', 'body')] },
  { name: 'no route', routes: [prefix('/only', to('a'))], requests: [get('/none'), get('/only')] },
  { name: 'no virtual host', manager: {}, host: { domains: ['other.test'] }, requests: [get('/')] },
  matching('prefix', { prefix: '/a' }, get('/a'), get('/ab'), get('/b'), get('/a/b'), get('/A')),
  matching('prefix in any case', { prefix: '/aB', case_sensitive: false }, get('/Ab'), get('/ABC'), get('/x')),
  matching('exact', { path: '/a/b' }, get('/a/b'), get('/a/b/'), get('/a/b?q'), get('/A/b')),
  matching('exact in any case', { path: '/a/B', case_sensitive: false }, get('/A/b'), get('/a/b/c')),
  matching(
    'separated prefix',
    { path_separated_prefix: '/a' },
    get('/a'),
    get('/a/'),
    get('/ab'),
    get('/a?x'),
    get('/a/b'),
  ),
  matching('regex', { safe_regex: { regex: '/a[0-9]+' } }, get('/a1'), get('/a'), get('/a12?x=1'), get('/a1/b')),
  matching('regex with alternatives', { safe_regex: { regex: '/(a|b)/.*' } }, get('/a/'), get('/b/c'), get('/c/')),
  matching(
    'grpc',
    { prefix: '/', grpc: {} },
    get('/', 'content-type: application/grpc'),
    get('/', 'content-type: application/grpc+proto'),
    get('/', 'content-type: application/grpc-web'),
    get('/'),
  ),
  header('exact', { exact_match: 'v' }, 'v', 'V', 'vv', null),
  header('string exact in any case', { string_match: { exact: 'AbC', ignore_case: true } }, 'abc', 'ABC', 'abcd', null),
  header('string prefix', { string_match: { prefix: 'ab' } }, 'ab', 'abc', 'xab', null),
  header('string suffix', { string_match: { suffix: 'ab' } }, 'ab', 'cab', 'abx', null),
  header('string contains', { string_match: { contains: 'b' } }, 'abc', 'ac', null),
  header('regex', { string_match: { safe_regex: { regex: '[a-c]+' } } }, 'abc', 'abcd', '', null),
  header('present', { present_match: true }, 'x', '', null),
  header('absent', { present_match: false }, 'x', null),
  header('present, inverted', { present_match: true, invert_match: true }, 'x', null),
  header('exact, inverted', { string_match: { exact: 'v' }, invert_match: true }, 'v', 'w', null),
  header('range', { range_match: { start: '-10', end: '10' } }, '0', '-10', '10', '9', 'x', '1.5', null),
  header('missing as empty', { string_match: { exact: '' }, treat_missing_header_as_empty: true }, '', 'x', null),
  header(
    'missing as empty, inverted',
    { string_match: { exact: 'v' }, invert_match: true, treat_missing_header_as_empty: true },
    'v',
    null,
  ),
  matching(
    'header twice',
    { prefix: '/', headers: [{ name: 'x-h', string_match: { exact: 'a,b' } }] },
    get('/', 'x-h: a|x-h: b'),
    get('/', 'x-h: a'),
  ),
  matching(
    'method',
    { prefix: '/', headers: [{ name: ':method', string_match: { exact: 'POST' } }] },
    get('/'),
    send('POST', '/'),
  ),
  matching('authority', { prefix: '/', headers: [{ name: ':authority', string_match: { prefix: 'case' } }] }, get('/')),
  matching(
    'path header',
    { prefix: '/', headers: [{ name: ':path', string_match: { suffix: '?x=1' } }] },
    get('/a?x=1'),
    get('/a'),
  ),
  matching(
    'several headers',
    {
      prefix: '/',
      headers: [
        { name: 'x-a', present_match: true },
        { name: 'x-b', present_match: true },
      ],
    },
    get('/', 'x-a: 1|x-b: 2'),
    get('/', 'x-a: 1'),
  ),
  query('exact', { string_match: { exact: '1' } }, '?q=1', '?q=2', '?x=1', '', '?q=1&q=2', '?q=2&q=1', '?q'),
  query('prefix', { string_match: { prefix: 'a' } }, '?q=ab', '?q=ba', '?q='),
  query('regex', { string_match: { safe_regex: { regex: '[0-9]+' } } }, '?q=12', '?q=1x', '?q='),
  query('present', { present_match: true }, '?q', '?q=1', '?p=1', ''),
  query('encoded', { string_match: { exact: 'a b' } }, '?q=a%20b', '?q=a+b', '?q=a b'.replace(' ', '%2520')),
  matching('none of a fraction', { prefix: '/', runtime_fraction: { default_value: { numerator: 0 } } }, get('/')),
  matching('all of a fraction', { prefix: '/', runtime_fraction: { default_value: { numerator: 100 } } }, get('/')),
  rewriting('prefix', { prefix: '/a' }, { prefix_rewrite: '/z' }, '/a', '/a/b', '/ab?q=1'),
  rewriting('prefix to root', { prefix: '/a/' }, { prefix_rewrite: '/' }, '/a/', '/a/b', '/a/?x'),
  rewriting('exact', { path: '/a' }, { prefix_rewrite: '/z' }, '/a', '/a?b'),
  rewriting('separated prefix', { path_separated_prefix: '/a' }, { prefix_rewrite: '/z' }, '/a', '/a/b', '/a?b'),
  rewriting(
    'regex',
    { prefix: '/' },
    { regex_rewrite: { pattern: { regex: '^/s/([^/]+)(/.*)$' }, substitution: '\\2/i/\\1' } },
    '/s/foo/v1',
    '/s/foo/v1?q=1',
    '/other',
  ),
  rewriting(
    'regex everywhere',
    { prefix: '/' },
    { regex_rewrite: { pattern: { regex: 'one' }, substitution: 'two' } },
    '/one/one',
    '/xone',
  ),
  rewriting('host', { prefix: '/' }, { host_rewrite_literal: 'new.test' }, '/'),
  rewriting('host from a header', { prefix: '/' }, { host_rewrite_header: 'x-host' }, '/'),
  rewriting(
    'host from the path',
    { prefix: '/' },
    { host_rewrite_path_regex: { pattern: { regex: '^/(.+)/.+$' }, substitution: '\\1.test' } },
    '/api/x',
    '/none',
  ),
  rewriting(
    'host, telling the original',
    { prefix: '/' },
    { host_rewrite_literal: 'new.test', append_x_forwarded_host: true },
    '/',
  ),
  redirecting('https', { https_redirect: true }, get('/a'), get('/a?b=c')),
  redirecting('scheme', { scheme_redirect: 'ftp' }, get('/a')),
  redirecting('host', { host_redirect: 'other.test' }, get('/a/b?c'), get('/a')),
  redirecting('port', { port_redirect: 8443 }, get('/a')),
  redirecting('path', { path_redirect: '/new' }, get('/a/b'), get('/a?x=1')),
  redirecting('path with query', { path_redirect: '/new?y=2' }, get('/a?x=1'), get('/a')),
  redirecting('prefix', { prefix_rewrite: '/new' }, get('/a'), get('/a/b?c'), get('/ab')),
  redirecting('without query', { path_redirect: '/new', strip_query: true }, get('/a?x=1')),
  redirecting('regex', { regex_rewrite: { pattern: { regex: '^/a/(.*)' }, substitution: '/b/\\1' } }, get('/a/x?y')),
  ...(['FOUND', 'SEE_OTHER', 'TEMPORARY_REDIRECT', 'PERMANENT_REDIRECT'] as const).map((code) =>
    redirecting(code, { path_redirect: '/x', response_code: code }, get('/a'), send('POST', '/a', '', 'x')),
  ),
  redirecting('https and port', { https_redirect: true, port_redirect: 8443 }, get('/a')),
  { name: 'host with port', requests: ['GET / HTTP/1.1\r\nHost: HOST:1234\r\n\r\n'] },
  {
    name: 'host in capitals',
    manager: {},
    host: { domains: ['shop.test'] },
    requests: ['GET / HTTP/1.1\r\nHost: SHOP.test\r\n\r\n'],
  },
  {
    name: 'domains: longest suffix',
    manager: {},
    host: { domains: ['*.b.test'] },
    requests: ['GET / HTTP/1.1\r\nHost: a.b.test\r\n\r\n', 'GET / HTTP/1.1\r\nHost: b.test\r\n\r\n'],
  },
  {
    name: 'domains: prefix',
    manager: {},
    host: { domains: ['b.*'] },
    requests: ['GET / HTTP/1.1\r\nHost: b.test\r\n\r\n', 'GET / HTTP/1.1\r\nHost: b\r\n\r\n'],
  },
  {
    name: 'domains: port ignored',
    table: { ignore_port_in_host_matching: true },
    host: { domains: ['b.test'] },
    requests: ['GET / HTTP/1.1\r\nHost: b.test:99\r\n\r\n'],
  },
  { name: 'tls required', host: { require_tls: 'ALL' }, requests: [get('/a?b'), get('/', 'x-forwarded-proto: https')] },
  {
    name: 'tls required from outside',
    host: { require_tls: 'EXTERNAL_ONLY' },
    requests: [get('/a'), get('/', 'x-envoy-internal: true')],
  },
  {
    name: 'cluster by header',
    routes: [prefix('/', { route: { cluster_header: 'x-to' } })],
    requests: [get('/', 'x-to: b'), get('/', 'x-to: nowhere'), get('/')],
  },
  {
    name: 'unknown cluster',
    routes: [prefix('/', { route: { cluster_header: 'x-to', cluster_not_found_response_code: 'NOT_FOUND' } })],
    requests: [get('/', 'x-to: nowhere')],
  },
  {
    name: 'weights 0 and 1',
    routes: [
      prefix('/', {
        route: {
          weighted_clusters: {
            clusters: [
              { name: 'a', weight: 0 },
              { name: 'b', weight: 1 },
            ],
          },
        },
      }),
    ],
    requests: [get('/'), get('/')],
  },
  {
    name: 'weighted cluster headers',
    routes: [
      prefix('/', {
        route: {
          weighted_clusters: {
            clusters: [
              {
                name: 'b',
                weight: 1,
                request_headers_to_add: [{ header: { key: 'x-w', value: '1' } }],
                response_headers_to_add: [{ header: { key: 'x-wr', value: '2' } }],
                request_headers_to_remove: ['x-gone'],
              },
            ],
          },
        },
      }),
    ],
    requests: [get('/', 'x-gone: 1')],
  },
  {
    name: 'direct responses',
    routes: [prefix('/empty', direct(204)), prefix('/teapot', direct(418, 'short')), prefix('/', direct(200, 'hello'))],
    requests: [
      get('/'),
      get('/empty'),
      get('/teapot'),
      'HEAD / HTTP/1.1\r\nHost: HOST\r\n\r\n',
      send('POST', '/', '', 'x'),
    ],
  },
];
