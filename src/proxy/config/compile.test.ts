import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromJson, toBinary } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { parse } from 'yaml';
import { type EnvoyType, schemas, type XdsMessages } from '../../xds/type-urls.ts';
import { compileResource, ResourceStore } from './compile.ts';
import { registry } from './registry.ts';

function message<T extends EnvoyType>(type: T, yaml: string | object): XdsMessages[T] {
  const value = typeof yaml === 'string' ? parse(yaml) : yaml;
  return fromJson(schemas[type] as never, value, { registry }) as XdsMessages[T];
}

const http = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const router = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

const listener = (filters: object[], more: object = {}) => ({
  name: 'virtualInbound',
  address: { socket_address: { address: '0.0.0.0', port_value: 15006 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'hcm',
          typed_config: {
            '@type': http,
            stat_prefix: 'x',
            rds: { route_config_name: 'r', config_source: { ads: {} } },
            http_filters: filters,
          },
        },
      ],
    },
  ],
  ...more,
});

const translated = join(import.meta.dirname, '../../control/translate/testdata');
for (const file of readdirSync(translated).filter((name) => name.endsWith('.out.yaml'))) {
  test(`everything that the control plane translates is understood: ${file}`, (t) => {
    const resources = parse(readFileSync(join(translated, file), 'utf8')) as Record<string, object[]>;
    const store = new ResourceStore();
    let count = 0;
    for (const [key, type] of Object.entries({
      clusters: 'cluster',
      endpoints: 'endpoint',
      listeners: 'listener',
      routes: 'route',
    } as const))
      for (const resource of resources[key] ?? []) {
        const decoded = message(type, resource) as { name?: string; clusterName?: string };
        t.deepEqual(store.put(type, decoded.name ?? decoded.clusterName ?? '', decoded as never), []);
        count++;
      }
    t.true(count > 0);
    const table = store.table(1);
    for (const { chains } of table.listeners.values())
      for (const chain of chains) t.true(chain.http === null || chain.http.routeName !== '');
  });
}

test('every problem of a resource is told, with the path of its field', (t) => {
  const bad = listener(
    [
      {
        name: 'r',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
          abort: { http_status: 42 },
          abort_percent_runtime: 'x',
        },
      },
      {
        name: 'lua',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy' },
      },
      { name: 'router', typed_config: { '@type': router } },
    ],
    { filter_chain_matcher: {}, address: { socket_address: { address: 'nowhere', port_value: 1 } } },
  );
  const result = compileResource('listener', 'virtualInbound', message('listener', bad));
  t.false(result.ok);
  const chain = 'listener virtualInbound: filter_chains[0].filters[0].typed_config';
  t.deepEqual(result.ok ? [] : result.problems, [
    'listener virtualInbound: filter_chain_matcher: is not supported',
    'listener virtualInbound: address.socket_address.address: "nowhere" is no IP address',
    `${chain}.http_filters[0].typed_config.abort_percent_runtime: is not supported`,
    `${chain}.http_filters[0].typed_config.abort.http_status: 42 is not between 200 and 599`,
    `${chain}.http_filters[1].typed_config: type envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy is not supported`,
  ]);
});

test('a refused resource leaves the one before in use', (t) => {
  const store = new ResourceStore();
  const good = {
    name: 'r',
    virtual_hosts: [
      { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }] },
    ],
  };
  t.deepEqual(store.put('route', 'r', message('route', good)), []);
  const before = store.get('route', 'r');
  const bad = {
    ...good,
    virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { safe_regex: { regex: '(' } }, route: {} }] }],
  };
  const problems = store.put('route', 'r', message('route', bad));
  t.is(problems.length, 2);
  t.regex(problems[0], /^route r: virtual_hosts\[0\]\.routes\[0\]\.match\.safe_regex\.regex: is no regular expression/);
  t.is(problems[1], 'route r: virtual_hosts[0].routes[0].route: names no cluster');
  t.is(store.get('route', 'r'), before);
});

test('what did not change keeps its object, and endpoints change a cluster without its hash', (t) => {
  const store = new ResourceStore();
  const cluster = { name: 'c', type: 'EDS', eds_cluster_config: { eds_config: { ads: {} }, service_name: 'e' } };
  const endpoints = (port: number) => ({
    cluster_name: 'e',
    endpoints: [
      { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '10.0.0.1', port_value: port } } } }] },
    ],
  });
  store.put('cluster', 'c', message('cluster', cluster));
  store.put('endpoint', 'e', message('endpoint', endpoints(1)));
  const first = store.table(1).clusters.get('c');
  store.put('cluster', 'c', message('cluster', cluster));
  store.put('endpoint', 'e', message('endpoint', endpoints(1)));
  t.is(store.table(2).clusters.get('c'), first);
  store.put('endpoint', 'e', message('endpoint', endpoints(2)));
  const second = store.table(3).clusters.get('c');
  t.not(second, first);
  t.is(second?.hash, first?.hash);
  t.is(second?.endpoints[0].endpoints[0].port, 2);
});

const tableOf = (hosts: Readonly<Record<string, number>>, more: object = {}) =>
  message('route', {
    name: 'r',
    virtual_hosts: Object.entries(hosts).map(([name, status]) => ({
      name,
      domains: [name, `*.${name}`],
      routes: [{ match: { prefix: '/' }, direct_response: { status } }],
    })),
    ...more,
  });
const encodedTable = (hosts: Readonly<Record<string, number>>, more?: object) =>
  toBinary(schemas.route, tableOf(hosts, more) as never);

test('of a route table that comes anew, what is as before keeps its object, and the whole is as if it came first', (t) => {
  const hosts = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom(200, 404, 599, 42));
  const rest = fc.constantFrom({}, { request_headers_to_remove: ['x'] }, { ignore_port_in_host_matching: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(hosts, rest), { maxLength: 6 }), (steps) => {
      const store = new ResourceStore();
      let last: readonly [Readonly<Record<string, number>>, object] = [{}, {}];
      store.putRoutes('r', encodedTable({}));
      for (const [given, more] of steps) {
        const before = store.get('route', 'r')!;
        const problems = store.putRoutes('r', encodedTable(given, more));
        const fresh = new ResourceStore();
        t.deepEqual(problems, fresh.put('route', 'r', tableOf(given, more) as never));
        const table = store.get('route', 'r')!;
        if (problems.length > 0) t.is(table, before);
        else {
          t.deepEqual(table, fresh.get('route', 'r'));
          const [kept, keptRest] = last;
          if (JSON.stringify(keptRest) === JSON.stringify(more))
            for (const host of table.hosts)
              if (kept[host.name] === given[host.name]) t.true(before.hosts.includes(host));
          last = [given, more];
        }
      }
    }),
  );
  const store = new ResourceStore();
  t.deepEqual(store.putRoutes('r', Uint8Array.of(0x12, 5, 1)), [
    'route r: the field at byte 0 ends beyond the last of 3',
  ]);
});

test('a domain of two virtual hosts is refused', (t) => {
  const host = (name: string) => ({ name, domains: ['shop', '*.x'], routes: [] });
  const result = compileResource('route', 'r', message('route', { name: 'r', virtual_hosts: [host('a'), host('b')] }));
  t.deepEqual(result.ok ? [] : result.problems, [
    'route r: virtual_hosts[1].domains[0]: "shop" belongs to an earlier virtual host',
    'route r: virtual_hosts[1].domains[1]: "*.x" belongs to an earlier virtual host',
  ]);
});

test('TLS names its secrets, and inline material gets a name', (t) => {
  const tls = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
  const cluster = {
    name: 'c',
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': tls,
        sni: 'x',
        common_tls_context: {
          tls_certificate_sds_secret_configs: [{ name: 'default' }],
          combined_validation_context: {
            default_validation_context: {
              match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: 'spiffe://a/ns/b/sa/c' } }],
            },
            validation_context_sds_secret_config: { name: 'ROOTCA' },
          },
          alpn_protocols: ['istio'],
        },
      },
    },
  };
  const result = compileResource('cluster', 'c', message('cluster', cluster));
  t.true(result.ok);
  if (!result.ok) return;
  const { cluster: compiled, references } = result.value;
  t.deepEqual([...references.secrets], ['default', 'ROOTCA']);
  t.is(compiled.tls?.certificate, 'default');
  t.is(compiled.tls?.trust, 'ROOTCA');
  t.true(compiled.tls?.subjectAltNames[0].test('spiffe://a/ns/b/sa/c'));
  const inline = {
    ...cluster,
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': tls,
        common_tls_context: { validation_context: { trusted_ca: { inline_string: 'PEM' } } },
      },
    },
  };
  const second = compileResource('cluster', 'c', message('cluster', inline));
  t.regex(second.ok ? (second.value.cluster.tls?.trust ?? '') : '', /^inline:/);
});
