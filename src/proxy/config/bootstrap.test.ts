import test from 'ava';
import { BootstrapError, parseBootstrap } from './bootstrap.ts';

const router =
  '{ name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }';
const listener = (filters: string) => `
  listeners:
  - name: in
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config: { virtual_hosts: [ { name: a, domains: ["*"], routes: [ { match: { prefix: / }, direct_response: { status: 200 } } ] } ] }
          http_filters: [ ${filters} ]`;
const cluster = `
  clusters:
  - name: xds
    type: STRICT_DNS
    http2_protocol_options: {}
    load_assignment: { cluster_name: xds, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: istiod, port_value: 15010 } } } } ] } ] }`;

test('static resources and the control plane of an Envoy file', (t) => {
  const parsed = parseBootstrap(`
node: { id: n, cluster: c }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
dynamic_resources:
  ads_config: { api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [ { envoy_grpc: { cluster_name: xds } } ] }
  cds_config: { ads: {}, resource_api_version: V3 }
  lds_config: { ads: {}, resource_api_version: V3 }
static_resources:${listener(router)}${cluster}`);
  t.deepEqual(parsed.admin, { host: '127.0.0.1', port: 9901 });
  t.like(parsed.ads, { protocol: 'delta', target: { host: 'istiod', port: 15_010, tls: null } });
  t.deepEqual([...parsed.table.listeners.keys()], ['in']);
  t.is(parsed.table.clusters.get('xds')?.http, 'http2');
  const manager = parsed.table.listeners.get('in')?.chains[0].http;
  t.is(parsed.table.routeTables.get(manager?.routeName ?? '')?.hosts[0].name, 'a');
});

test('everything that is not supported is told at once', (t) => {
  const error = t.throws(
    () =>
      parseBootstrap(
        `
hds_config: {}
dynamic_resources: { ads_config: { api_type: GRPC, grpc_services: [ { envoy_grpc: { cluster_name: gone } } ] } }
static_resources:${listener('{ name: lua, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig } }')}`,
        'envoy.yaml',
      ),
    { instanceOf: BootstrapError },
  );
  t.deepEqual(error?.problems, [
    'bootstrap: hds_config: is not supported',
    'listener in: filter_chains[0].filters[0].typed_config.http_filters: must end with envoy.extensions.filters.http.router.v3.Router',
    'bootstrap: dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: gone is no static cluster with an endpoint',
  ]);
  t.regex(error?.message ?? '', /^envoy\.yaml:\n {2}bootstrap: hds_config/);
});

test('what is no YAML, no bootstrap or names an unknown type is refused, not fatal', (t) => {
  for (const text of [
    'a: [',
    'no_such_field: 1',
    '[]',
    `static_resources:${listener('{ name: x, typed_config: { "@type": type.googleapis.com/no.Such } }')}`,
  ])
    t.throws(() => parseBootstrap(text), { instanceOf: BootstrapError });
  t.is(parseBootstrap('').table.listeners.size, 0);
});
