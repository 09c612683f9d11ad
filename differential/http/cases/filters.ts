/** Filters in the order of their chain, and what routes say about them. */
import { direct, extension, get, type HttpCase, prefix, send, to } from '../case.ts';

const types = 'envoy.extensions.filters.http';
const rbacOf = (action: string, policies: object, more: object = {}) => ({ rules: { action, policies }, ...more });
const rbac = (name: string, fields: Readonly<Record<string, unknown>>) =>
  extension(name, `${types}.rbac.v3.RBAC`, fields);
const policy = (permission: object, principal: object = { any: true }) => ({
  permissions: [permission],
  principals: [principal],
});
const header = (name: string, exact: string) => ({ header: { name, string_match: { exact } } });
const denies = rbac('rbac', rbacOf('DENY', { secret: policy(header('x-secret', 'yes')) }));
const cors = extension('cors', `${types}.cors.v3.Cors`);
const fault = extension('fault', `${types}.fault.v3.HTTPFault`);
const mutation = extension('mutation', `${types}.header_mutation.v3.HeaderMutation`);
const typed = (type: string, fields: object = {}) => ({ '@type': `type.googleapis.com/${type}`, ...fields });
const corsPolicy = (fields: object = {}) =>
  typed(`${types}.cors.v3.CorsPolicy`, {
    allow_origin_string_match: [{ exact: 'https://shop.test' }],
    allow_methods: 'GET,PUT',
    ...fields,
  });
const faultOf = (status: number) =>
  typed(`${types}.fault.v3.HTTPFault`, { abort: { http_status: status, percentage: { numerator: 100 } } });
const says = (filters: object) => ({ typed_per_filter_config: filters });
const toA = to('a');
const disabled = typed('envoy.config.route.v3.FilterConfig', { disabled: true });
const append = (key: string, value: string, append_action = 'APPEND_IF_EXISTS_OR_ADD') => ({
  append: { header: { key, value }, append_action },
});
const preflight =
  'OPTIONS / HTTP/1.1\r\nHost: HOST\r\norigin: https://shop.test\r\naccess-control-request-method: PUT\r\naccess-control-request-headers: x-one\r\n';
/** Shows what filters noted about the request. */
const shows = (format: string) => ({
  response_headers_to_add: [{ header: { key: 'x-shown', value: format }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }],
});
const shadowOf = (action: string, policies: object) => ({ action, policies });

export const filters: readonly HttpCase[] = [
  {
    name: 'RBAC before CORS refuses a preflight without CORS headers',
    filters: [denies, cors],
    routes: [prefix('/', toA, says({ cors: corsPolicy() }))],
    requests: [
      `${preflight}x-secret: yes\r\n\r\n`,
      `${preflight}\r\n`,
      get('/', 'origin: https://shop.test|x-secret: yes'),
    ],
  },
  {
    name: 'CORS before RBAC answers a preflight, and its headers are on the refusal',
    filters: [cors, denies],
    routes: [prefix('/', toA, says({ cors: corsPolicy() }))],
    requests: [`${preflight}x-secret: yes\r\n\r\n`, get('/', 'origin: https://shop.test|x-secret: yes')],
  },
  {
    name: 'faults before and after RBAC',
    filters: [fault, denies],
    routes: [prefix('/fault', toA, says({ fault: faultOf(418) })), prefix('/', toA)],
    requests: [get('/fault', 'x-secret: yes'), get('/', 'x-secret: yes'), get('/')],
  },
  {
    name: 'RBAC refuses what no route takes and what a route would redirect',
    filters: [denies],
    routes: [
      prefix('/redirect', { redirect: { host_redirect: 'other.test' } }),
      prefix('/direct', direct(200, 'direct')),
    ],
    requests: [
      get('/nowhere', 'x-secret: yes'),
      get('/nowhere'),
      get('/redirect', 'x-secret: yes'),
      get('/redirect'),
      get('/direct', 'x-secret: yes'),
      get('/direct'),
    ],
  },
  {
    name: 'a route replaces RBAC rules, or leaves them out',
    filters: [denies],
    routes: [
      prefix(
        '/own',
        toA,
        says({
          rbac: typed(`${types}.rbac.v3.RBACPerRoute`, {
            rbac: rbacOf('ALLOW', { get: policy(header(':method', 'GET')) }),
          }),
        }),
      ),
      prefix('/none', toA, says({ rbac: typed(`${types}.rbac.v3.RBACPerRoute`) })),
      prefix('/off', toA, says({ rbac: disabled })),
      prefix('/', toA),
    ],
    requests: [
      get('/own', 'x-secret: yes'),
      send('POST', '/own'),
      get('/none', 'x-secret: yes'),
      get('/off', 'x-secret: yes'),
      get('/', 'x-secret: yes'),
    ],
  },
  {
    name: 'filters are addressed by their own names',
    filters: [
      rbac('first', rbacOf('DENY', { one: policy(header('x-one', '1')) })),
      rbac('second', rbacOf('DENY', { two: policy(header('x-two', '2')) })),
    ],
    routes: [
      prefix('/first-off', toA, says({ first: disabled })),
      prefix('/second-off', toA, says({ second: disabled })),
      prefix('/', toA),
    ],
    requests: [
      get('/', 'x-one: 1'),
      get('/', 'x-two: 2'),
      get('/first-off', 'x-one: 1'),
      get('/first-off', 'x-two: 2'),
      get('/second-off', 'x-two: 2'),
      get('/second-off', 'x-one: 1'),
    ],
  },
  {
    name: 'the most specific level counts: table, virtual host, route, cluster',
    filters: [fault],
    table: says({ fault: faultOf(501) }),
    host: says({ fault: faultOf(502) }),
    routes: [
      prefix('/route', toA, says({ fault: faultOf(503) })),
      prefix('/cluster', {
        route: {
          weighted_clusters: {
            clusters: [{ name: 'a', weight: 1, ...says({ fault: faultOf(505) }) }],
          },
        },
        ...says({ fault: faultOf(504) }),
      }),
      prefix('/off', toA, says({ fault: disabled })),
      prefix('/', toA),
    ],
    requests: [get('/route'), get('/cluster'), get('/off'), get('/')],
  },
  {
    name: 'of the table alone',
    filters: [fault],
    table: says({ fault: faultOf(501) }),
    requests: [get('/')],
  },
  {
    name: 'a filter that the chain has disabled works where a route enables it',
    filters: [
      { ...denies, disabled: true },
      { ...fault, disabled: true },
    ],
    routes: [
      prefix('/on', toA, says({ rbac: typed('envoy.config.route.v3.FilterConfig', { config: {} }) })),
      prefix('/fault', toA, says({ fault: typed('envoy.config.route.v3.FilterConfig', { config: faultOf(418) }) })),
      prefix('/direct', toA, says({ fault: faultOf(419) })),
      prefix('/', toA),
    ],
    requests: [get('/', 'x-secret: yes'), get('/fault'), get('/direct')],
  },
  {
    name: 'shadow rules tell what they would do',
    filters: [
      rbac('rbac', {
        ...rbacOf('ALLOW', { all: policy({ any: true }) }),
        shadow_rules: shadowOf('DENY', { 'no-secrets': policy(header('x-secret', 'yes')) }),
        shadow_rules_stat_prefix: 'dry_',
      }),
    ],
    host: shows('%DYNAMIC_METADATA(envoy.filters.http.rbac)%'),
    requests: [get('/'), get('/', 'x-secret: yes')],
  },
  {
    name: 'shadow rules without others, of an ALLOW engine',
    filters: [rbac('rbac', { shadow_rules: shadowOf('ALLOW', { get: policy(header(':method', 'GET')) }) })],
    host: shows('%DYNAMIC_METADATA(envoy.filters.http.rbac)%'),
    requests: [get('/'), send('POST', '/')],
  },
  {
    name: 'LOG rules leave a hint',
    filters: [rbac('rbac', rbacOf('LOG', { secret: policy(header('x-secret', 'yes')) }))],
    host: shows('%DYNAMIC_METADATA(envoy.common:access_log_hint)%'),
    requests: [get('/'), get('/', 'x-secret: yes')],
  },
  {
    name: 'rules on what an earlier filter noted',
    filters: [
      rbac('first', {
        shadow_rules: shadowOf('DENY', { 'ext-authz-one': policy(header('x-secret', 'yes')) }),
        shadow_rules_stat_prefix: 'custom_',
      }),
      rbac(
        'second',
        rbacOf('DENY', {
          noted: policy({
            metadata: {
              filter: 'envoy.filters.http.rbac',
              path: [{ key: 'custom_shadow_effective_policy_id' }],
              value: { string_match: { prefix: 'ext-authz-' } },
            },
          }),
        }),
      ),
    ],
    requests: [get('/'), get('/', 'x-secret: yes')],
  },
  {
    name: 'header mutation in its order, seen by the filters behind it',
    filters: [
      extension('mutation', `${types}.header_mutation.v3.HeaderMutation`, {
        mutations: {
          request_mutations: [
            append('x-added', 'one'),
            append('x-added', 'two'),
            { remove: 'x-gone' },
            append('x-gone', 'back'),
            append('x-kept', 'new', 'ADD_IF_ABSENT'),
            append('x-over', 'new', 'OVERWRITE_IF_EXISTS_OR_ADD'),
            append('x-if', 'new', 'OVERWRITE_IF_EXISTS'),
            append('x-path', '%REQ(:PATH)%'),
          ],
          response_mutations: [append('x-answer', 'of %REQ(x-over)%'), { remove: 'x-backend' }],
        },
      }),
      rbac('rbac', rbacOf('DENY', { gone: policy(header('x-if', 'new')) })),
    ],
    requests: [
      get('/', 'x-gone: away|x-kept: old|x-over: old'),
      get('/', 'x-if: old'),
      get('/p?q=1', 'x-gone: a|x-gone: b'),
    ],
  },
  {
    name: 'header mutation of every level, the least specific last',
    filters: [mutation],
    table: says({
      mutation: typed(`${types}.header_mutation.v3.HeaderMutationPerRoute`, {
        mutations: { request_mutations: [append('x-level', 'table', 'OVERWRITE_IF_EXISTS_OR_ADD')] },
      }),
    }),
    host: says({
      mutation: typed(`${types}.header_mutation.v3.HeaderMutationPerRoute`, {
        mutations: {
          request_mutations: [append('x-level', 'host', 'OVERWRITE_IF_EXISTS_OR_ADD')],
          response_mutations: [append('x-level', 'host', 'OVERWRITE_IF_EXISTS_OR_ADD')],
        },
      }),
    }),
    routes: [
      prefix(
        '/',
        toA,
        says({
          mutation: typed(`${types}.header_mutation.v3.HeaderMutationPerRoute`, {
            mutations: {
              request_mutations: [append('x-level', 'route', 'OVERWRITE_IF_EXISTS_OR_ADD')],
              response_mutations: [append('x-level', 'route', 'OVERWRITE_IF_EXISTS_OR_ADD')],
            },
          }),
        }),
      ),
    ],
    requests: [get('/')],
  },
  {
    name: 'header mutation that gives the most specific level the last word',
    filters: [
      extension('mutation', `${types}.header_mutation.v3.HeaderMutation`, {
        mutations: { request_mutations: [append('x-level', 'chain')] },
        most_specific_header_mutations_wins: true,
      }),
    ],
    host: says({
      mutation: typed(`${types}.header_mutation.v3.HeaderMutationPerRoute`, {
        mutations: { request_mutations: [append('x-level', 'host', 'OVERWRITE_IF_EXISTS_OR_ADD')] },
      }),
    }),
    routes: [
      prefix(
        '/',
        toA,
        says({
          mutation: typed(`${types}.header_mutation.v3.HeaderMutationPerRoute`, {
            mutations: { request_mutations: [append('x-level', 'route', 'OVERWRITE_IF_EXISTS_OR_ADD')] },
          }),
        }),
      ),
    ],
    requests: [get('/')],
  },
  {
    name: 'response mutations of several filters, the last in the chain first, also on a refusal',
    filters: [
      extension('one', `${types}.header_mutation.v3.HeaderMutation`, {
        mutations: { response_mutations: [append('x-order', 'one')] },
      }),
      extension('two', `${types}.header_mutation.v3.HeaderMutation`, {
        mutations: { response_mutations: [append('x-order', 'two')] },
      }),
      denies,
    ],
    requests: [get('/'), get('/', 'x-secret: yes')],
  },
  {
    name: 'the buffer filter sends a chunked body with its length, and refuses what is too large',
    filters: [extension('buffer', `${types}.buffer.v3.Buffer`, { max_request_bytes: 10 })],
    routes: [
      prefix('/off', toA, says({ buffer: typed(`${types}.buffer.v3.BufferPerRoute`, { disabled: true }) })),
      prefix(
        '/more',
        toA,
        says({ buffer: typed(`${types}.buffer.v3.BufferPerRoute`, { buffer: { max_request_bytes: 20 } }) }),
      ),
      prefix('/', toA),
    ],
    requests: [
      'POST / HTTP/1.1\r\nHost: HOST\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
      send('POST', '/', '', '0123456789'),
      send('POST', '/', '', '0123456789a'),
      send('POST', '/more', '', '0123456789a'),
      send('POST', '/off', '', '0123456789a0123456789a0123456789a'),
      get('/'),
    ],
  },
  {
    name: 'health checks are answered here',
    filters: [
      extension('hc', `${types}.health_check.v3.HealthCheck`, {
        pass_through_mode: false,
        headers: [{ name: ':path', string_match: { exact: '/healthz' } }],
      }),
    ],
    requests: [get('/healthz'), get('/healthz?x'), get('/')],
  },
  {
    name: 'health checks by the health of clusters',
    filters: [
      extension('hc', `${types}.health_check.v3.HealthCheck`, {
        pass_through_mode: false,
        headers: [{ name: ':path', string_match: { exact: '/good' } }],
        cluster_min_healthy_percentages: { a: { value: 100 } },
      }),
      extension('hc2', `${types}.health_check.v3.HealthCheck`, {
        pass_through_mode: false,
        headers: [{ name: ':path', string_match: { exact: '/empty' } }],
        cluster_min_healthy_percentages: { a: { value: 100 }, empty: { value: 1 } },
      }),
      extension('hc3', `${types}.health_check.v3.HealthCheck`, {
        pass_through_mode: false,
        headers: [{ name: ':path', string_match: { exact: '/zero' } }],
        cluster_min_healthy_percentages: { empty: { value: 0 } },
      }),
    ],
    requests: [get('/good'), get('/empty'), get('/zero')],
  },
  {
    name: 'health checks that pass through',
    filters: [
      extension('hc', `${types}.health_check.v3.HealthCheck`, {
        pass_through_mode: true,
        headers: [{ name: ':path', string_match: { exact: '/healthz' } }],
      }),
    ],
    requests: [get('/healthz'), get('/')],
  },
  {
    name: 'CORS that allows any method and header repeats what is asked for',
    filters: [cors],
    routes: [prefix('/', toA, says({ cors: corsPolicy({ allow_methods: '*', allow_headers: '*', max_age: '60' }) }))],
    requests: [`${preflight}\r\n`],
  },
  {
    name: 'CORS takes from the virtual host what the route leaves open',
    filters: [cors],
    host: says({ cors: corsPolicy({ allow_headers: 'x-host', expose_headers: 'x-seen', allow_credentials: true }) }),
    routes: [prefix('/', toA, says({ cors: typed(`${types}.cors.v3.CorsPolicy`, { allow_methods: 'PUT' }) }))],
    requests: [`${preflight}\r\n`, get('/', 'origin: https://shop.test')],
  },
  {
    name: 'CORS answers preflights of other origins itself when they are not to be forwarded',
    filters: [cors],
    routes: [prefix('/', toA, says({ cors: corsPolicy({ forward_not_matching_preflights: false }) }))],
    requests: [
      'OPTIONS / HTTP/1.1\r\nHost: HOST\r\norigin: https://evil.test\r\naccess-control-request-method: PUT\r\n\r\n',
    ],
  },
  {
    name: 'CORS of a route without the filter in the chain does nothing',
    filters: [denies],
    routes: [prefix('/', toA, says({ cors: corsPolicy() }))],
    requests: [`${preflight}\r\n`, get('/', 'origin: https://shop.test')],
  },
  {
    name: 'faults for one upstream cluster, or for some downstream nodes',
    filters: [
      extension('one', `${types}.fault.v3.HTTPFault`, {
        abort: { http_status: 418, percentage: { numerator: 100 } },
        upstream_cluster: 'b',
      }),
      extension('two', `${types}.fault.v3.HTTPFault`, {
        abort: { http_status: 419, percentage: { numerator: 100 } },
        downstream_nodes: ['node-1'],
      }),
      extension('three', `${types}.fault.v3.HTTPFault`, {
        abort: { http_status: 420, percentage: { numerator: 100 } },
        headers: [{ name: 'x-three', present_match: true }],
        max_active_faults: 0,
      }),
    ],
    routes: [prefix('/b', to('b')), prefix('/', toA)],
    requests: [
      get('/b'),
      get('/'),
      get('/', 'x-envoy-downstream-service-node: node-1'),
      get('/', 'x-envoy-downstream-service-node: node-2'),
      get('/', 'x-three: yes'),
    ],
  },
  {
    name: 'a delayed request keeps its body and its end',
    filters: [fault],
    routes: [
      prefix(
        '/',
        toA,
        says({
          fault: typed(`${types}.fault.v3.HTTPFault`, {
            delay: { fixed_delay: '0.05s', percentage: { numerator: 100 } },
          }),
        }),
      ),
    ],
    requests: [
      'POST / HTTP/1.1\r\nHost: HOST\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
      { headers: { ':method': 'POST', ':path': '/' }, body: 'over HTTP/2' },
      send('POST', '/', '', 'hello'),
    ],
  },
];
