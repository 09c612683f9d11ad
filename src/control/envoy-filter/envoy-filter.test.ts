import { anyUnpack } from '@bufbuild/protobuf/wkt';
import test from 'ava';
import { parse } from 'yaml';
import type { EnvoyFilter } from '../../api/istio/envoy-filter.ts';
import type { Listener } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { LocalRateLimitSchema } from '../../xds/gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js';
import { HttpConnectionManagerSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { UpstreamTlsContextSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { TypedStructSchema } from '../../xds/gen/xds/type/v3/typed_struct_pb.js';
import { type MeshObjects, noObjects } from '../model/objects.ts';
import { buildSnapshot } from '../model/snapshot.ts';
import { scopeOf } from '../translate/scope.ts';
import { translate } from '../translate/translate.ts';
import { patchProblems } from './patch.ts';

const made = '2026-01-01T00:00:00Z';
let age = 0;

function filter(spec: string, namespace = 'shop', name = `filter-${age}`): EnvoyFilter {
  const creationTimestamp = new Date(Date.parse(made) + age++ * 1000).toISOString();
  return {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name, namespace, creationTimestamp },
    spec: parse(spec),
  } as EnvoyFilter;
}

function meshWith(filters: readonly EnvoyFilter[]): MeshObjects {
  const service = (name: string, port: number) => ({
    metadata: { name, namespace: 'shop', creationTimestamp: made },
    spec: {
      clusterIP: `10.96.0.${port % 250}`,
      selector: { app: name },
      ports: [{ name: 'http', port, targetPort: 8080 }],
    },
  });
  const pod = {
    metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web' } },
    spec: { containers: [] },
    status: { podIP: '10.1.0.1', phase: 'Running' },
  };
  return {
    ...noObjects,
    services: new Map([
      ['shop/web', service('web', 80)],
      ['shop/other', service('other', 90)],
    ]),
    pods: new Map([['shop/web-1', pod]]),
    envoyFilters: new Map(filters.map((each) => [`${each.metadata.namespace}/${each.metadata.name}`, each])),
  } as unknown as MeshObjects;
}

function translationOf(filters: readonly EnvoyFilter[], userAgentName = 'envoy', metadata: object = {}) {
  const snapshot = buildSnapshot(meshWith(filters), null);
  const node = {
    id: 'sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local',
    metadata: { NAMESPACE: 'shop', ...metadata },
    userAgentName,
  };
  return translate(snapshot, scopeOf(node, snapshot));
}

const names = (list: ReadonlyArray<{ name: string }>) => list.map(({ name }) => name);
const clusterOf = (of: ReturnType<typeof translationOf>, name: string) =>
  of.clusters.find((each) => each.name === name);
const web = 'outbound|80||web.shop.svc.cluster.local';

/** Names of the HTTP filters by chain of the inbound listener. */
function inboundFilters(listeners: readonly Listener[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const chain of listeners.find(({ name }) => name === 'virtualInbound')!.filterChains)
    for (const { configType } of chain.filters) {
      if (configType.case !== 'typedConfig') continue;
      const manager = anyUnpack(configType.value, HttpConnectionManagerSchema);
      const { destinationPort = 0, transportProtocol = '' } = chain.filterChainMatch ?? {};
      if (manager) found.set(`${destinationPort} ${transportProtocol}`, names(manager.httpFilters));
    }
  return found;
}

test('a cluster is merged with by its service, and no other', (t) => {
  const patched = translationOf([
    filter(
      `configPatches: [{applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND, cluster: {service: web.shop.svc.cluster.local}}, patch: {operation: MERGE, value: {connect_timeout: 7s, lb_policy: RANDOM}}}]`,
    ),
  ]);
  const plain = translationOf([]);
  t.is(clusterOf(patched, web)?.connectTimeout?.seconds, 7n);
  t.is(clusterOf(patched, web)?.name, web);
  const rest = (of: typeof plain) => of.clusters.filter(({ name }) => name !== web);
  t.deepEqual(rest(patched), rest(plain));
  t.not(clusterOf(plain, web)?.connectTimeout?.seconds, 7n);
});

test('a duration is laid over as one value, and what one patch gives to many is changed by another for one alone', (t) => {
  const other = 'outbound|90||other.shop.svc.cluster.local';
  const merge = (match: string, value: string) =>
    `{applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND, cluster: {${match}}}, patch: {operation: MERGE, value: ${value}}}`;
  const patched = translationOf([
    filter(`configPatches: [
      ${merge('', '{connect_timeout: 0.5s, upstream_connection_options: {tcp_keepalive: {keepalive_time: 7}}}')},
      ${merge('service: web.shop.svc.cluster.local', '{upstream_connection_options: {tcp_keepalive: {keepalive_time: 9}}}')}]`),
  ]);
  const { seconds, nanos } = clusterOf(patched, web)!.connectTimeout!;
  t.deepEqual([seconds, nanos], [0n, 500_000_000]);
  const keepalive = (name: string) => clusterOf(patched, name)?.upstreamConnectionOptions?.tcpKeepalive?.keepaliveTime;
  t.is(keepalive(web), 9);
  t.is(keepalive(other), 7);
});

test('an inbound cluster is found by the service that it leads to', (t) => {
  const patched = translationOf([
    filter(
      `configPatches: [{applyTo: CLUSTER, match: {context: SIDECAR_INBOUND, cluster: {service: web.shop.svc.cluster.local}}, patch: {operation: MERGE, value: {alt_stat_name: patched}}}]`,
    ),
  ]);
  t.is(clusterOf(patched, 'inbound|8080||')?.altStatName, 'patched');
  t.is(clusterOf(patched, 'InboundPassthroughCluster')?.altStatName, '');
});

test('a socket goes into the one of its name that a cluster chooses from', (t) => {
  const patched = translationOf([
    filter(
      `configPatches: [{applyTo: CLUSTER, match: {cluster: {name: '${web}'}}, patch: {operation: MERGE, value: {transport_socket: {name: envoy.transport_sockets.tls, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: patched}}}}}]`,
    ),
  ]);
  const { transportSocket, transportSocketMatches } = clusterOf(patched, web)!;
  t.is(transportSocket, undefined);
  const [tls, raw] = transportSocketMatches.map((each) => {
    const config = each.transportSocket?.configType;
    return config?.case === 'typedConfig' ? anyUnpack(config.value, UpstreamTlsContextSchema) : undefined;
  });
  t.is(tls?.sni, 'patched');
  t.true((tls?.commonTlsContext?.tlsCertificateSdsSecretConfigs.length ?? 0) > 0);
  t.is(raw, undefined);
});

test('a known type that is written as a struct is that type, and can be merged into', (t) => {
  const limit = (typed: string) =>
    `{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}, patch: {operation: INSERT_BEFORE, value: {name: limit, typed_config: ${typed}}}}`;
  const { listeners } = translationOf([
    filter(`configPatches:
- {applyTo: HTTP_FILTER, match: {listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: limit}}}}}, patch: {operation: MERGE, value: {typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, status: {code: ServiceUnavailable}}}}}
- ${limit("{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, value: {stat_prefix: own}}")}`),
  ]);
  const inbound = listeners.find(({ name }) => name === 'virtualInbound')!;
  const managers = inbound.filterChains.flatMap(({ filters }) =>
    filters.flatMap(({ configType }) =>
      configType.case === 'typedConfig' ? (anyUnpack(configType.value, HttpConnectionManagerSchema) ?? []) : [],
    ),
  );
  t.true(managers.length > 0);
  for (const { httpFilters } of managers) {
    const { name, configType } = httpFilters[0];
    t.is(name, 'limit');
    // Merged though it was written before: what is put in comes first.
    const limited = configType.case === 'typedConfig' ? anyUnpack(configType.value, LocalRateLimitSchema) : undefined;
    t.is(limited?.statPrefix, 'own');
    t.is(limited?.status?.code, 503);
  }
});

test('filters are taken away by name alone, what is added as a whole stays as it is', (t) => {
  const manager = 'filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}';
  const patched = translationOf([
    filter(`configPatches:
- {applyTo: HTTP_FILTER, match: {listener: {${manager}}}, patch: {operation: REMOVE}}
- {applyTo: NETWORK_FILTER, match: {listener: {portNumber: 80}}, patch: {operation: REMOVE}}
- {applyTo: VIRTUAL_HOST, patch: {operation: ADD, value: {name: more, domains: [more]}}}
- {applyTo: VIRTUAL_HOST, patch: {operation: MERGE, value: {request_headers_to_remove: [x]}}}
- {applyTo: HTTP_ROUTE, patch: {operation: INSERT_FIRST, value: {name: first}}}
- {applyTo: HTTP_ROUTE, match: {routeConfiguration: {vhost: {route: {name: nobody}}}}, patch: {operation: INSERT_FIRST, value: {name: never}}}`),
  ]);
  t.deepEqual(inboundFilters(patched.listeners), inboundFilters(translationOf([]).listeners));
  const { virtualHosts } = patched.routes.find(({ name }) => name === '80')!;
  t.deepEqual(
    virtualHosts.filter(({ requestHeadersToRemove }) => requestHeadersToRemove.length === 0).map(({ name }) => name),
    ['more'],
  );
  for (const { name, routes } of virtualHosts) {
    t.deepEqual(names(routes.slice(0, 1)), name === 'more' ? [] : ['first']);
    t.false(names(routes).includes('never'));
  }
});

test('clusters, listeners and virtual hosts are added and removed', (t) => {
  const patched = translationOf([
    filter(`configPatches:
- {applyTo: CLUSTER, patch: {operation: ADD, value: {name: extra, type: STATIC}}}
- {applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: ADD, value: {name: for-gateways}}}
- {applyTo: CLUSTER, match: {cluster: {name: BlackHoleCluster}}, patch: {operation: REMOVE}}
- {applyTo: LISTENER, match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 90}}, patch: {operation: REMOVE}}
- {applyTo: VIRTUAL_HOST, match: {routeConfiguration: {name: '80'}}, patch: {operation: ADD, value: {name: more, domains: [more]}}}`),
  ]);
  t.true(names(patched.clusters).includes('extra'));
  t.false(names(patched.clusters).includes('for-gateways'));
  t.false(names(patched.clusters).includes('BlackHoleCluster'));
  t.false(names(patched.listeners).includes('0.0.0.0_90'));
  t.true(names(patched.listeners).includes('0.0.0.0_80'));
  t.true(names(patched.routes.find(({ name }) => name === '80')!.virtualHosts).includes('more'));
  t.false(names(patched.routes.find(({ name }) => name === '90')!.virtualHosts).includes('more'));
});

test('an HTTP filter of an unknown type stands where it is told to, on the port that is named', (t) => {
  const at = (operation: string, sub: string) =>
    filter(
      `configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {portNumber: 8080, filterChain: {filter: {name: envoy.filters.network.http_connection_manager${sub}}}}}, patch: {operation: ${operation}, value: {name: lua, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: x}}}}}]`,
    );
  const before = inboundFilters(translationOf([]).listeners).get('8080 raw_buffer')!;
  const places: ReadonlyArray<readonly [string, string, readonly string[]]> = [
    ['INSERT_FIRST', '', ['lua', ...before]],
    ['INSERT_BEFORE', ', subFilter: {name: envoy.filters.http.router}', before.toSpliced(-1, 0, 'lua')],
    [
      'INSERT_AFTER',
      ', subFilter: {name: envoy.filters.http.fault}',
      before.toSpliced(before.indexOf('envoy.filters.http.fault') + 1, 0, 'lua'),
    ],
    ['INSERT_BEFORE', ', subFilter: {name: nobody}', before],
    ['ADD', '', [...before, 'lua']],
    ['REPLACE', ', subFilter: {name: envoy.filters.http.router}', before.with(-1, 'lua')],
  ];
  for (const [operation, sub, expected] of places) {
    const { listeners } = translationOf([at(operation, sub)]);
    const filters = inboundFilters(listeners);
    t.deepEqual(filters.get('8080 raw_buffer'), expected, operation);
    t.false(filters.get('0 raw_buffer')!.includes('lua'), operation);
  }
  const inbound = translationOf([at('INSERT_FIRST', '')]).listeners.find(({ name }) => name === 'virtualInbound')!;
  const chain = inbound.filterChains.find(({ filterChainMatch }) => filterChainMatch?.destinationPort === 8080)!;
  const { configType } = chain.filters[0];
  const manager =
    configType.case === 'typedConfig' ? anyUnpack(configType.value, HttpConnectionManagerSchema) : undefined;
  const first = manager?.httpFilters[0].configType;
  const struct = first?.case === 'typedConfig' ? anyUnpack(first.value, TypedStructSchema) : undefined;
  t.is(struct?.typeUrl, 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua');
  t.deepEqual(struct?.value, { default_source_code: { inline_string: 'x' } });
});

test('routes of the workload itself are patched as well', (t) => {
  const { listeners } = translationOf([
    filter(
      `configPatches: [{applyTo: ROUTE_CONFIGURATION, match: {context: SIDECAR_INBOUND, routeConfiguration: {portNumber: 8080}}, patch: {operation: MERGE, value: {request_headers_to_remove: [x-secret]}}}]`,
    ),
  ]);
  const inbound = listeners.find(({ name }) => name === 'virtualInbound')!;
  const removed = inbound.filterChains.flatMap(({ filters, filterChainMatch }) =>
    filters.flatMap(({ configType }) => {
      const manager =
        configType.case === 'typedConfig' ? anyUnpack(configType.value, HttpConnectionManagerSchema) : undefined;
      return manager?.routeSpecifier.case === 'routeConfig'
        ? [[filterChainMatch?.destinationPort ?? 0, manager.routeSpecifier.value.requestHeadersToRemove]]
        : [];
    }),
  );
  t.true(removed.some(([port]) => port === 8080));
  for (const [port, headers] of removed) t.deepEqual(headers, port === 8080 ? ['x-secret'] : []);
});

test('those of the root namespace come first, then by priority, then by age; a later one sees what an earlier one did', (t) => {
  const timeout = (seconds: number, more = '') =>
    `{${more}configPatches: [{applyTo: CLUSTER, match: {cluster: {name: '${web}'}}, patch: {operation: MERGE, value: {connect_timeout: ${seconds}s}}}]}`;
  const last = (...filters: EnvoyFilter[]) => clusterOf(translationOf(filters), web)?.connectTimeout?.seconds;
  const own = filter(timeout(1));
  const root = filter(timeout(2, 'priority: 9, '), 'istio-system');
  t.is(last(own, root), 1n);
  t.is(last(filter(timeout(3)), filter(timeout(4))), 4n);
  t.is(last(filter(timeout(5, 'priority: 1, ')), filter(timeout(6))), 5n);
  t.is(last(filter(timeout(7), 'elsewhere')), 10n);
});

test('only workloads, versions and metadata that are asked for', (t) => {
  const on = (more: string, match = '') =>
    filter(
      `{${more}configPatches: [{applyTo: CLUSTER, match: {${match}}, patch: {operation: ADD, value: {name: extra}}}]}`,
    );
  const has = (one: EnvoyFilter, userAgent = 'envoy', metadata = {}) =>
    names(translationOf([one], userAgent, metadata).clusters).includes('extra');
  t.true(has(on('workloadSelector: {labels: {app: web}}, ')));
  t.false(has(on('workloadSelector: {labels: {app: other}}, ')));
  t.false(has(on('targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: g}], ')));
  t.true(has(on('', "proxy: {proxyVersion: '^1\\.2.*'}"), 'envoy', { ISTIO_VERSION: '1.27.1' }));
  t.false(has(on('', "proxy: {proxyVersion: '^1\\.2.*'}"), 'envoy', { ISTIO_VERSION: '1.30.0' }));
  t.false(has(on('', "proxy: {proxyVersion: '^1\\.2.*'}")));
  t.true(has(on('', 'proxy: {metadata: {A: b}}'), 'envoy', { A: 'b' }));
  t.false(has(on('', 'proxy: {metadata: {A: b}}')));
  // Ours reads the same configuration but knows less of it: what it refused would be missing as a whole.
  t.false(has(on(''), 'lateen'));
});

test('a patch that cannot be read is told by its field, and costs no other', (t) => {
  const bad = filter(`configPatches:
- {applyTo: CLUSTER, patch: {operation: MERGE, value: {no_such_field: 1}}}
- {applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {}}}
- {applyTo: CLUSTER, patch: {operation: ADD, value: {name: extra}}}`);
  t.true(names(translationOf([bad]).clusters).includes('extra'));
  const problems = patchProblems([bad]);
  t.deepEqual(
    problems.map(({ path }) => path),
    ['spec.configPatches[0].patch.value', 'spec.configPatches[1].applyTo'],
  );
  t.regex(problems[0].message, /^cannot be read: .*no_such_field/);
  t.regex(problems[1].message, /^is not passed on: /);
});

test('without a filter that selects it, a proxy has the very messages that others have', (t) => {
  const none = filter(
    'workloadSelector: {labels: {app: other}}\nconfigPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}}]',
  );
  const snapshot = buildSnapshot(meshWith([none]), null);
  const node = { id: 'sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local', metadata: { NAMESPACE: 'shop' } };
  const envoy = translate(snapshot, scopeOf({ ...node, userAgentName: 'envoy' }, snapshot));
  const ours = translate(snapshot, scopeOf({ ...node, userAgentName: 'lateen' }, snapshot));
  t.is(clusterOf(envoy, web), clusterOf(ours, web));
});
