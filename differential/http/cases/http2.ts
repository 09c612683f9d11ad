import { answer, direct, get, type Http2Request, type HttpCase, prefix, replies, send, to } from '../case.ts';

const h2 = (path: string, headers: Record<string, string> = {}, body?: string): Http2Request => ({
  headers: { ':path': path, ...headers },
  ...(body !== undefined && { body }),
});

const post = (path: string, headers: Record<string, string> = {}, body = 'body'): Http2Request =>
  h2(path, { ':method': 'POST', ...headers }, body);

const told = (...answers: string[]): Record<string, string> => ({
  'x-replies': replies(...answers).slice('x-replies: '.length),
});

const toH2 = [prefix('/', to('h2'))];
const grpc = { 'content-type': 'application/grpc', te: 'trailers' };

export const http2: readonly HttpCase[] = [
  { name: 'h2 → h1', requests: [h2('/a?b=c', { 'x-a': '1' }), post('/p'), post('/p', { 'content-length': '4' })] },
  {
    name: 'h2 → h2',
    routes: toH2,
    requests: [h2('/a?b=c', { 'x-a': '1' }), post('/p'), post('/p', { 'content-length': '4' })],
  },
  {
    name: 'h1 → h2',
    differs: {
      parts: ['body'],
      why: 'Envoy drops trailers towards HTTP/1 callers unless enable_trailers is set; Lateen passes them on in chunks',
    },
    routes: toH2,
    requests: [
      get('/a?b=c', 'x-a: 1|connection: keep-alive'),
      send('POST', '/p', '', 'body'),
      'POST / HTTP/1.1\r\nHost: HOST\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
    ],
  },
  { name: 'h2 head', requests: [h2('/', { ':method': 'HEAD' })] },
  { name: 'h2 → h2 head', routes: toH2, requests: [h2('/', { ':method': 'HEAD' })] },
  {
    name: 'h2 methods',
    requests: ['PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((method) => h2('/', { ':method': method })),
  },
  {
    name: 'h2 status codes',
    requests: [201, 204, 304, 404, 503].map((status) =>
      h2('/', told(status === 204 || status === 304 ? `HTTP/1.1 ${status} X\r\n\r\n` : answer(status, '', 'x'))),
    ),
  },
  { name: 'h2 no route', routes: [prefix('/x', to('a'))], requests: [h2('/'), post('/', grpc)] },
  { name: 'h2 direct response', routes: [prefix('/', direct(200, 'hello'))], requests: [h2('/'), post('/', grpc)] },
  {
    name: 'h2 redirect',
    routes: [{ match: { prefix: '/' }, redirect: { https_redirect: true } }],
    requests: [h2('/a?b')],
  },
  { name: 'h2 refused', routes: [prefix('/', to('dead'))], requests: [h2('/'), post('/', grpc)] },
  { name: 'h2 no host', routes: [prefix('/', to('empty'))], requests: [h2('/'), post('/', grpc)] },
  {
    name: 'h2 timeout',
    routes: [prefix('/', to('a', { timeout: '0.1s' }))],
    requests: [h2('/', told('SILENT')), post('/', { ...grpc, ...told('SILENT') })],
  },
  { name: 'h2 closed by the host', requests: [h2('/', told('CLOSE'))] },
  {
    name: 'h2 headers added',
    host: {
      request_headers_to_add: [{ header: { key: 'x-q', value: '%REQ(:path)%' } }],
      response_headers_to_add: [{ header: { key: 'x-p', value: '%PROTOCOL%' } }],
    },
    requests: [h2('/a')],
  },
  { name: 'h2 cookies', requests: [h2('/', { cookie: 'a=1; b=2' })] },
  {
    name: 'h2 hop headers of a host',
    requests: [
      h2('/', told('HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: x\r\ncontent-length: 1\r\n\r\nx')),
    ],
  },
  {
    name: 'h2 chunked answer',
    requests: [h2('/', told('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'))],
  },
  {
    name: 'h2 answer trailers',
    requests: [h2('/', told('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n'))],
    differs: {
      parts: ['headers'],
      why: 'Envoy drops trailers of HTTP/1 unless enable_trailers is set; Lateen passes them on',
    },
  },
  { name: 'grpc → h2', routes: toH2, requests: [post('/s/m', grpc), post('/s/m', { ...grpc, 'grpc-timeout': '1S' })] },
  { name: 'grpc refused', routes: [prefix('/', to('dead'))], requests: [post('/s/m', grpc)] },
  {
    name: 'h2 reset by the host',
    routes: toH2,
    requests: [
      h2('/', told('RESET 2')),
      h2('/', told('RESET 7', '1')),
      post('/', { ...grpc, ...told('RESET 2', '2') }),
    ],
  },
  {
    name: 'h2 retried after a reset',
    routes: [
      prefix(
        '/',
        to('h2', { retry_policy: { retry_on: 'reset', num_retries: 1, retry_back_off: { base_interval: '0.001s' } } }),
      ),
    ],
    requests: [h2('/', told('RESET 2', answer(200, '', 'ok')))],
  },
  {
    name: 'h2 retried when refused',
    routes: [
      prefix(
        '/',
        to('h2', {
          retry_policy: { retry_on: 'refused-stream', num_retries: 1, retry_back_off: { base_interval: '0.001s' } },
        }),
      ),
    ],
    requests: [h2('/', told('RESET 7', answer(200, '', 'ok')))],
  },
  {
    name: 'h2 retried 5xx',
    routes: [
      prefix(
        '/',
        to('h2', { retry_policy: { retry_on: '5xx', num_retries: 1, retry_back_off: { base_interval: '0.001s' } } }),
      ),
    ],
    requests: [post('/', told(answer(503), answer(200, '', 'ok')))],
  },
  { name: 'h2 path normalised', manager: { normalize_path: true }, requests: [h2('/a/../b'), h2('/a/./b')] },
  {
    name: 'h2 remote address',
    manager: { use_remote_address: true },
    requests: [h2('/', { 'x-forwarded-for': '1.2.3.4' })],
  },
  {
    name: 'h2 rbac',
    filters: [
      {
        name: 'envoy.filters.http.rbac',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
          rules: {
            action: 'ALLOW',
            policies: { p: { permissions: [{ url_path: { path: { prefix: '/ok' } } }], principals: [{ any: true }] } },
          },
        },
      },
    ],
    requests: [h2('/ok'), h2('/no'), post('/no', grpc)],
  },
];
