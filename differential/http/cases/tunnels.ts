/** CONNECT, and redirects that the proxy follows itself. */
import { answer, direct, extension, get, type HttpCase, prefix, replies, send, to } from '../case.ts';

const connect = (headers = '', inner = '') =>
  `CONNECT inner.test:443 HTTP/1.1\r\nHost: inner.test:443\r\n${headers ? `${headers}\r\n` : ''}\r\n${inner}`;
const innerGet = 'GET /inner HTTP/1.1\r\nhost: inner.test\r\n\r\n';
const connectRoute = (action: object) => ({ match: { connect_matcher: {} }, ...action });
const any = { domains: ['*'] };
const allows = { upgrade_configs: [{ upgrade_type: 'CONNECT' }] };
const terminates = { upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }] };
const own = (name: string, routes: object[], requests: HttpCase['requests'], more: object = {}): HttpCase => ({
  name,
  manager: {},
  host: any,
  routes: routes as never,
  requests,
  ...more,
});

const redirect = (status: number, location: string) =>
  replies(answer(status, `location: ${location}`), answer(200, '', 'there'));
const follows = (policy: object = {}) => ({ internal_redirect_policy: policy });
const internal = (name: string, policy: object, requests: HttpCase['requests'], more: object[] = []): HttpCase => ({
  name: `internal redirect: ${name}`,
  routes: [...(more as never[]), prefix('/', to('a', follows(policy)))],
  requests,
});

export const tunnels: readonly HttpCase[] = [
  own('connect: no route is for it', [prefix('/', to('a'))], [connect()]),
  own('connect: a route for it, and not allowed', [connectRoute(to('a'))], [connect()]),
  own(
    'connect: passed on',
    [connectRoute(to('a', allows)), prefix('/', to('b'))],
    [connect(replies('HTTP/1.1 200 OK\r\n\r\n')), get('/'), connect(replies(answer(403, '', 'no')))],
  ),
  own(
    'connect: passed on, and a request within',
    [connectRoute(to('a', allows))],
    [connect(replies('HTTP/1.1 200 OK\r\nx-tunnel: yes\r\n\r\n'), innerGet)],
  ),
  own('connect: ends here, and a request within', [connectRoute(to('a', terminates))], [connect('', innerGet)]),
  own('connect: ends here, at nobody', [connectRoute(to('dead', terminates))], [connect()]),
  own('connect: ends here, in an empty cluster', [connectRoute(to('empty', terminates))], [connect()]),
  own(
    'connect: allowed by the connection manager',
    [connectRoute(to('a'))],
    [connect(replies('HTTP/1.1 200 OK\r\n\r\n'))],
    { manager: allows },
  ),
  own(
    'connect: switched off on the route',
    [connectRoute(to('a', { upgrade_configs: [{ upgrade_type: 'CONNECT', enabled: false }] }))],
    [connect()],
    { manager: allows },
  ),
  own('connect: to a direct response', [connectRoute(direct(200, 'hi'))], [connect()]),
  own('connect: RBAC sees it', [connectRoute(to('a', terminates))], [connect()], {
    filters: [
      extension('rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
        rules: {
          action: 'DENY',
          policies: {
            p: {
              permissions: [{ header: { name: ':method', string_match: { exact: 'CONNECT' } } }],
              principals: [{ any: true }],
            },
          },
        },
      }),
    ],
  }),
  internal('a path', {}, [get('/', redirect(302, 'http://HOST/other?q=1'))]),
  internal('a path alone', {}, [get('/', replies(answer(302, 'location: /other'), answer(200)))]),
  internal('a URL elsewhere', {}, [get('/', redirect(302, 'http://elsewhere.test/x'))]),
  internal('the host itself, by URL', {}, [get('/', redirect(302, 'http://HOST/x'))]),
  internal('a status that is not followed', {}, [get('/', redirect(301, 'http://HOST/other'))]),
  internal('statuses as told', { redirect_response_codes: [301, 303, 307] }, [
    get('/', redirect(301, 'http://HOST/other')),
    get('/', redirect(302, 'http://HOST/other')),
    send('POST', '/', redirect(303, 'http://HOST/other'), 'hello'),
    send('POST', '/', redirect(307, 'http://HOST/other'), 'hello'),
  ]),
  internal('no location', {}, [get('/', replies(answer(302), answer(200, '', 'there')))]),
  internal('a location that is none', {}, [get('/', redirect(302, 'nowhere'))]),
  internal('another scheme', {}, [get('/', redirect(302, 'https://HOST/x'))]),
  internal('another scheme that may be', { allow_cross_scheme_redirect: true }, [
    get('/', redirect(302, 'https://HOST/x')),
  ]),
  internal('twice where once is allowed', {}, [
    get(
      '/',
      replies(
        answer(302, 'location: http://HOST/one'),
        answer(302, 'location: http://HOST/two'),
        answer(200, '', 'there'),
      ),
    ),
  ]),
  internal('twice where that is allowed', { max_internal_redirects: 3 }, [
    get(
      '/',
      replies(
        answer(302, 'location: http://HOST/one'),
        answer(302, 'location: http://HOST/two'),
        answer(200, '', 'there'),
      ),
    ),
  ]),
  internal('headers that go along', { response_headers_to_copy: ['x-token', 'x-none'] }, [
    get(
      '/',
      `x-none: forged|${replies(answer(302, 'location: http://HOST/one|x-token: t'), answer(200, '', 'there'))}`,
    ),
  ]),
  internal('to another route', {}, [get('/', redirect(302, 'http://HOST/b/x'))], [prefix('/b', to('b'))]),
  internal(
    'to a direct response',
    {},
    [get('/', redirect(302, 'http://HOST/direct'))],
    [prefix('/direct', direct(200, 'direct'))],
  ),
  internal(
    'not to a route that was left',
    {
      max_internal_redirects: 3,
      predicates: [
        {
          name: 'p',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.internal_redirect.previous_routes.v3.PreviousRoutesConfig',
          },
        },
      ],
    },
    [get('/', redirect(302, 'http://HOST/other')), get('/', redirect(302, 'http://HOST/b/x'))],
    [prefix('/b', to('b'))],
  ),
  internal(
    'only to routes of a list',
    {
      predicates: [
        {
          name: 'p',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.internal_redirect.allow_listed_routes.v3.AllowListedRoutesConfig',
            allowed_route_names: ['good'],
          },
        },
      ],
    },
    [get('/', redirect(302, 'http://HOST/good')), get('/', redirect(302, 'http://HOST/bad'))],
    [prefix('/good', to('b'), { name: 'good' }), prefix('/bad', to('b'), { name: 'bad' })],
  ),
];
