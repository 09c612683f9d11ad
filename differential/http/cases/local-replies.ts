/** Answers of the proxy's own, rewritten (local_reply_config), and connections that take so many requests. */
import { direct, get, type Http2Request, type HttpCase, prefix, replies, send, to } from '../case.ts';

const status = (op: 'EQ' | 'GE' | 'LE', value: number) => ({
  status_code_filter: { comparison: { op, value: { default_value: value, runtime_key: 'none' } } },
});
const flag = (...flags: string[]) => ({ response_flag_filter: { flags } });
const header = (name: string, exact: string) => ({
  header_filter: { header: { name, string_match: { exact } } },
});
const add = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more });

const routes = [
  prefix('/gone', { route: { cluster_header: 'x-cluster' } }),
  prefix('/dead', to('dead')),
  prefix('/direct', direct(404, 'direct')),
  prefix('/moved', { redirect: { path_redirect: '/x' } }),
  prefix('/up', to('a')),
];
const grpc: Http2Request = {
  headers: {
    ':method': 'POST',
    ':path': '/gone',
    'content-type': 'application/grpc',
    te: 'trailers',
    'x-cluster': 'none',
  },
};
const all = [
  get('/gone', 'x-cluster: none'),
  get('/dead'),
  get('/direct'),
  get('/moved'),
  get('/up', replies('HTTP/1.1 404 X\r\ncontent-length: 2\r\n\r\nup')),
  get('/nowhere', 'x-why: test'),
  send('HEAD', '/gone', 'x-cluster: none|'),
  grpc,
];

const rewriting = (name: string, config: object, requests: HttpCase['requests'] = all): HttpCase => ({
  name: `local replies: ${name}`,
  routes,
  manager: { local_reply_config: config },
  requests,
});

export const localReplyCases: readonly HttpCase[] = [
  rewriting('nothing said', {}),
  rewriting('another status', { mappers: [{ filter: status('EQ', 503), status_code: 418 }] }),
  rewriting('the first that fits', {
    mappers: [
      { filter: flag('NR'), status_code: 410, body: { inline_string: 'no route' } },
      { filter: status('GE', 400), body: { inline_string: 'some fault' } },
    ],
  }),
  rewriting('headers', {
    mappers: [
      {
        filter: status('GE', 300),
        headers_to_add: [
          add('x-a', '%RESPONSE_CODE%'),
          add('x-b', '%RESPONSE_FLAGS%'),
          add('location', '/elsewhere', { append_action: 'OVERWRITE_IF_EXISTS' }),
          add('content-type', 'text/html'),
        ],
      },
    ],
  }),
  rewriting('a text for all', { body_format: { text_format: '%LOCAL_REPLY_BODY%|%RESPONSE_CODE%|%REQ(:path)%' } }),
  rewriting('with a content type', {
    body_format: {
      text_format_source: { inline_string: '<p>%LOCAL_REPLY_BODY%</p>' },
      content_type: 'text/html; charset=UTF-8',
    },
  }),
  rewriting('json', {
    body_format: {
      json_format: {
        status: '%RESPONSE_CODE%',
        why: '%LOCAL_REPLY_BODY%',
        path: '%REQ(:path)%',
        none: '%REQ(x-none)%',
      },
    },
  }),
  rewriting('a format of its own', {
    mappers: [
      {
        filter: header('x-why', 'test'),
        status_code: 500,
        body: { inline_string: 'own' },
        body_format_override: { json_format: { body: '%LOCAL_REPLY_BODY%', code: '%RESPONSE_CODE%' } },
      },
      { filter: status('EQ', 404), body_format_override: { text_format: 'not %REQ(:path)%' } },
    ],
    body_format: { text_format: '[%LOCAL_REPLY_BODY%]' },
  }),
  rewriting('an empty body becomes one', {
    mappers: [{ filter: flag('NR', 'NC'), body: { inline_string: 'x' }, body_format_override: { text_format: '' } }],
  }),
  {
    name: 'connection manager: max_requests_per_connection',
    manager: { common_http_protocol_options: { max_requests_per_connection: 1 } },
    requests: [get('/1'), get('/2')],
  },
];
