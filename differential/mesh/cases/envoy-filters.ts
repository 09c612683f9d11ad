/** EnvoyFilters and WasmPlugins: patches of what the translation makes, by Istio's reference. Our proxy is given the result where it knows what is in it. */
import { ask, dr, envoyFilter, type MeshCase, vs, wasmPlugin } from '../case.ts';
import { wasmFile } from '../wasm.ts';

const page = 'reference/config/networking/envoy-filter/';
const wasm = 'reference/config/proxy_extensions/wasm-plugin/';
const rateLimits = 'tasks/policy-enforcement/rate-limit/';

const manager = '{filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}';
const router =
  '{filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}';
const patch = (applyTo: string, match: string, operation: string, value: string): string =>
  `{applyTo: ${applyTo}, match: ${match}, patch: {operation: ${operation}, value: ${value}}}`;
const onListeners = (filter: string, context = 'SIDECAR_OUTBOUND'): string =>
  `{context: ${context}, listener: ${filter}}`;
const reviews = 'vhost: {name: "reviews.shop.svc.cluster.local:80"}';

const limit = (tokens: number): string =>
  `
    '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
    stat_prefix: http_local_rate_limiter
    token_bucket: {max_tokens: ${tokens}, tokens_per_fill: ${tokens}, fill_interval: 3600s}
    filter_enabled: {runtime_key: on, default_value: {numerator: 100, denominator: HUNDRED}}
    filter_enforced: {runtime_key: enforced, default_value: {numerator: 100, denominator: HUNDRED}}
    response_headers_to_add: [{append_action: OVERWRITE_IF_EXISTS_OR_ADD, header: {key: x-local-rate-limit, value: 'true'}}]`
    .replaceAll('\n    ', ', ')
    .slice(2);

export const envoyFilters: readonly MeshCase[] = [
  {
    name: 'a local rate limit before the router',
    source: rateLimits,
    resources: envoyFilter(
      'limit',
      `{priority: 1, configPatches: [${patch(
        'HTTP_FILTER',
        onListeners(router),
        'INSERT_BEFORE',
        `{name: envoy.filters.http.local_ratelimit, typed_config: {${limit(2)}}}`,
      )}]}`,
    ),
    requests: [
      ask('GET /', 'details', 'details-v1'),
      ask('GET /', 'details', 'details-v1'),
      ask('GET /', 'details', null, { status: 429, answer: { 'x-local-rate-limit': 'true' } }),
    ],
  },
  {
    name: 'the same as a struct that names its type',
    source: rateLimits,
    resources: envoyFilter(
      'limit',
      `{configPatches: [${patch(
        'HTTP_FILTER',
        onListeners(manager),
        'INSERT_BEFORE',
        `{name: envoy.filters.http.local_ratelimit, typed_config: {'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, value: {${limit(1).slice(limit(1).indexOf('stat_prefix'))}}}}`,
      )}]}`,
    ),
    requests: [
      ask('GET /', 'details', 'details-v1'),
      ask('GET /', 'details', null, { status: 429, answer: { 'x-local-rate-limit': 'true' } }),
    ],
  },
  {
    name: 'filters that a patch does not name stay',
    source: page,
    resources: envoyFilter(
      'none',
      `{configPatches: [{applyTo: HTTP_FILTER, match: ${onListeners(manager)}, patch: {operation: REMOVE}}, {applyTo: NETWORK_FILTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: REMOVE}}]}`,
    ),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'a header on one virtual host, and on no other',
    source: page,
    resources: envoyFilter(
      'header',
      `{priority: 1, configPatches: [${patch(
        'VIRTUAL_HOST',
        `{context: SIDECAR_OUTBOUND, routeConfiguration: {name: "80", ${reviews}}}`,
        'MERGE',
        '{response_headers_to_add: [{header: {key: x-patched, value: "yes"}}]}',
      )}]}`,
    ),
    requests: [
      ask('GET /', 'details', 'details-v1', { answer: { 'x-patched': null } }),
      ask('GET /', 'ratings', null, { shares: { 'ratings-v1': 0.5, 'ratings-v2': 0.5 } }),
    ],
  },
  {
    name: 'a named route changed and one before it',
    source: page,
    resources:
      vs('details', '{hosts: [details], http: [{name: main, route: [{destination: {host: details}}]}]}') +
      envoyFilter(
        'routes',
        `{priority: 1, configPatches: [${patch(
          'HTTP_ROUTE',
          '{context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: "details.shop.svc.cluster.local:80", route: {name: main}}}}',
          'MERGE',
          '{request_headers_to_add: [{header: {key: x-from, value: patch}}]}',
        )}, ${patch(
          'HTTP_ROUTE',
          '{context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: "details.shop.svc.cluster.local:80"}}}',
          'INSERT_FIRST',
          '{name: stop, match: {prefix: /stop}, direct_response: {status: 418}}',
        )}]}`,
      ),
    requests: [
      ask('GET /', 'details', 'details-v1', { seen: { 'x-from': 'patch' } }),
      ask('GET /stop', 'details', null, { status: 418 }),
    ],
  },
  {
    name: 'settings of the connection manager',
    source: page,
    resources: envoyFilter(
      'manager',
      `{priority: 1, configPatches: [${patch(
        'NETWORK_FILTER',
        onListeners(manager),
        'MERGE',
        '{name: envoy.filters.network.http_connection_manager, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, server_name: patched, server_header_transformation: OVERWRITE}}',
      )}]}`,
    ),
    requests: [ask('GET /', 'details', 'details-v1', { answer: { server: 'patched' } })],
  },
  {
    name: 'a cluster changed by its service and port',
    source: page,
    resources: envoyFilter(
      'breaker',
      `{priority: 1, configPatches: [${patch(
        'CLUSTER',
        '{context: SIDECAR_OUTBOUND, cluster: {service: details.shop.svc.cluster.local, portNumber: 80}}',
        'MERGE',
        '{circuit_breakers: {thresholds: [{priority: HIGH, max_requests: 1}]}, alt_stat_name: patched}',
      )}]}`,
    ),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'a filter taken away',
    source: page,
    resources:
      vs(
        'details',
        '{hosts: [details], http: [{fault: {abort: {httpStatus: 503, percentage: {value: 100}}}, route: [{destination: {host: details}}]}]}',
      ) +
      envoyFilter(
        'fault',
        '{priority: 1, configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_OUTBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.fault}}}}}, patch: {operation: REMOVE}}]}',
      ),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'workloads that are not selected keep what they have',
    source: page,
    resources: envoyFilter(
      'other',
      `{priority: 1, workloadSelector: {labels: {app: other}}, configPatches: [${patch(
        'HTTP_FILTER',
        onListeners(router),
        'INSERT_BEFORE',
        `{name: envoy.filters.http.local_ratelimit, typed_config: {${limit(1)}}}`,
      )}]}`,
    ),
    requests: [ask('GET /', 'details', 'details-v1'), ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'Lua, of which nothing is known here',
    source: page,
    onlyEnvoy: true,
    resources:
      dr('details', '{host: details}') +
      envoyFilter(
        'lua',
        `{priority: 1, configPatches: [${patch(
          'HTTP_FILTER',
          onListeners(router),
          'INSERT_BEFORE',
          '{name: envoy.filters.http.lua, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: "function envoy_on_request(handle) handle:headers():add(\'x-lua\', \'ran\') end"}}}',
        )}]}`,
      ),
    requests: [ask('GET /', 'details', 'details-v1', { seen: { 'x-lua': 'ran' } })],
  },
  {
    name: 'WebAssembly where the workload is a client',
    source: wasm,
    onlyEnvoy: true,
    resources:
      dr('details', '{host: details}') + wasmPlugin('ran', `{url: "file://${wasmFile}", match: [{mode: CLIENT}]}`),
    requests: [ask('GET /', 'details', 'details-v1', { answer: { 'x-wasm': 'ran' } })],
  },
  {
    name: 'WebAssembly that is for another side or port',
    source: wasm,
    onlyEnvoy: true,
    resources:
      dr('details', '{host: details}') +
      wasmPlugin('server', `{url: "file://${wasmFile}", match: [{mode: SERVER}]}`) +
      wasmPlugin('port', `{url: "file://${wasmFile}", match: [{ports: [{number: 8080}]}]}`),
    requests: [ask('GET /', 'details', 'details-v1', { answer: { 'x-wasm': null } })],
  },
  {
    name: 'on gateways',
    source: page,
    from: 'gateway',
    resources: `${vs('shop', '{hosts: ["*"], gateways: [edge], http: [{route: [{destination: {host: details}}]}]}')}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
${envoyFilter(
  'istio-system/edge',
  `{priority: 1, configPatches: [${patch(
    'ROUTE_CONFIGURATION',
    '{context: GATEWAY, routeConfiguration: {portNumber: 80}}',
    'MERGE',
    '{response_headers_to_add: [{header: {key: x-edge, value: patched}}]}',
  )}]}`,
)}`,
    requests: [ask('GET /', 'any.example.com', 'details-v1', { answer: { 'x-edge': 'patched' } })],
  },
];
