import { toJson } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import test from 'ava';
import { parse } from 'yaml';
import type { WasmPlugin } from '../../api/istio/wasm-plugin.ts';
import { HttpConnectionManagerSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { TypedStructSchema } from '../../xds/gen/xds/type/v3/typed_struct_pb.js';
import { type MeshObjects, noObjects } from '../model/objects.ts';
import { buildSnapshot } from '../model/snapshot.ts';
import { scopeOf } from '../translate/scope.ts';
import { translate } from '../translate/translate.ts';
import { pluginProblems } from './wasm.ts';

const plugin = (name: string, spec: string, namespace = 'shop'): WasmPlugin =>
  ({
    apiVersion: 'extensions.istio.io/v1alpha1',
    kind: 'WasmPlugin',
    metadata: { name, namespace },
    spec: parse(spec),
  }) as WasmPlugin;

function translationOf(plugins: readonly WasmPlugin[], userAgentName = 'envoy') {
  const service = {
    metadata: { name: 'web', namespace: 'shop' },
    spec: { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  };
  const pod = {
    metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web' } },
    spec: { containers: [] },
    status: { podIP: '10.1.0.1', phase: 'Running' },
  };
  const deny = {
    metadata: { name: 'deny', namespace: 'shop' },
    spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] },
  };
  const objects = {
    ...noObjects,
    services: new Map([['shop/web', service]]),
    pods: new Map([['shop/web-1', pod]]),
    authorizationPolicies: new Map([['shop/deny', deny]]),
    wasmPlugins: new Map(plugins.map((each) => [`${each.metadata.namespace}/${each.metadata.name}`, each])),
  } as unknown as MeshObjects;
  const snapshot = buildSnapshot(objects, null);
  const node = {
    id: 'sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local',
    metadata: { NAMESPACE: 'shop' },
    userAgentName,
  };
  return translate(snapshot, scopeOf(node, snapshot));
}

/** The HTTP filters of port 8080 of the workload itself, by mutual TLS. */
function inbound(plugins: readonly WasmPlugin[], userAgentName?: string) {
  const listener = translationOf(plugins, userAgentName).listeners.find(({ name }) => name === 'virtualInbound')!;
  for (const { filterChainMatch, filters } of listener.filterChains) {
    if (filterChainMatch?.destinationPort !== 8080 || filterChainMatch.transportProtocol !== 'tls') continue;
    for (const { configType } of filters) {
      const manager = configType.case === 'typedConfig' && anyUnpack(configType.value, HttpConnectionManagerSchema);
      if (manager) return manager.httpFilters;
    }
  }
  throw new Error('no HTTP on port 8080');
}

const order = (plugins: readonly WasmPlugin[], userAgentName?: string) =>
  inbound(plugins, userAgentName).flatMap(({ name }) =>
    /^extensions|rbac|router/.test(name) ? name.replace(/^.*[/.]/, '') : [],
  );

test('a plugin stands where its phase says, of one phase those of higher priority first, then by name', (t) => {
  const plugins = [
    plugin('plain', '{url: file:///a.wasm}'),
    plugin('later', '{url: file:///a.wasm, phase: AUTHN, priority: 1}'),
    plugin('z-authn', '{url: file:///a.wasm, phase: AUTHN, priority: 10}'),
    plugin('b-authz', '{url: file:///a.wasm, phase: AUTHZ}'),
    plugin('a-authz', '{url: file:///a.wasm, phase: AUTHZ}', 'istio-system'),
    plugin('stats', '{url: file:///a.wasm, phase: STATS}'),
  ];
  t.deepEqual(order(plugins), ['z-authn', 'later', 'a-authz', 'b-authz', 'rbac', 'plain', 'stats', 'router']);
});

test('only workloads, sides and ports that are asked for, and Envoys alone', (t) => {
  const plugins = [
    plugin('other', '{url: file:///a.wasm, selector: {matchLabels: {app: other}}}'),
    plugin('elsewhere', '{url: file:///a.wasm}', 'else'),
    plugin('client', '{url: file:///a.wasm, match: [{mode: CLIENT}]}'),
    plugin('port', '{url: file:///a.wasm, match: [{ports: [{number: 9090}]}]}'),
    plugin(
      'own',
      '{url: file:///a.wasm, selector: {matchLabels: {app: web}}, match: [{mode: SERVER, ports: [{number: 8080}]}]}',
    ),
  ];
  t.deepEqual(order(plugins), ['rbac', 'own', 'router']);
  t.deepEqual(order(plugins, 'lateen'), ['rbac', 'router']);
});

test('configuration, environment and a module from elsewhere reach Envoy in its terms', (t) => {
  const spec = `
url: https://modules.example.com/auth.wasm
sha256: ${'ab'.repeat(32)}
pluginName: root
pluginConfig: {rules: [1, two]}
failStrategy: FAIL_OPEN
vmConfig: {env: [{name: MODE, value: strict}, {name: HOSTNAME, valueFrom: HOST}]}`;
  const made = translationOf([plugin('auth', spec)]);
  const filter = inbound([plugin('auth', spec)]).find(({ name }) => name.startsWith('extensions'))!;
  const struct = filter.configType.case === 'typedConfig' && anyUnpack(filter.configType.value, TypedStructSchema);
  t.deepEqual(struct && toJson(TypedStructSchema, struct), {
    typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm',
    value: {
      config: {
        name: 'shop.auth',
        root_id: 'root',
        fail_open: true,
        configuration: {
          '@type': 'type.googleapis.com/google.protobuf.StringValue',
          value: '{"rules":[1,"two"]}',
        },
        vm_config: {
          code: {
            remote: {
              http_uri: {
                uri: 'https://modules.example.com/auth.wasm',
                cluster: 'wasm|443||modules.example.com',
                timeout: '30s',
              },
              sha256: 'ab'.repeat(32),
            },
          },
          environment_variables: { host_env_keys: ['HOSTNAME'], key_values: { MODE: 'strict' } },
        },
      },
    },
  });
  const cluster = made.clusters.find(({ name }) => name === 'wasm|443||modules.example.com');
  t.is(cluster?.transportSocket?.name, 'envoy.transport_sockets.tls');
});

test('what no Envoy could load is told by its field, and is left out', (t) => {
  const plugins = [
    plugin('image', '{url: "oci://example.com/filter:1"}'),
    plugin('short', '{url: example.com/filter}'),
    plugin('unsigned', '{url: "https://example.com/a.wasm"}'),
    plugin('network', '{url: file:///a.wasm, type: NETWORK}'),
    plugin('good', '{url: file:///a.wasm}'),
  ];
  t.deepEqual(order(plugins), ['rbac', 'good', 'router']);
  t.deepEqual(
    pluginProblems(plugins).map(({ name, path }) => `${name} ${path}`),
    ['image spec.url', 'short spec.url', 'unsigned spec.sha256', 'network spec.type'],
  );
});
