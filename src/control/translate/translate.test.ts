import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createRegistry, type JsonValue, toJson } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { parseAllDocuments, stringify } from 'yaml';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { FileAccessLogSchema } from '../../xds/gen/envoy/extensions/access_loggers/file/v3/file_pb.js';
import { CorsPolicySchema, CorsSchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { RBACSchema } from '../../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RouterSchema } from '../../xds/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../../xds/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { TlsInspectorSchema } from '../../xds/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { HttpConnectionManagerSchema } from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { TcpProxySchema } from '../../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { PreviousHostsPredicateSchema } from '../../xds/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../../xds/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { RawBufferSchema } from '../../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../../xds/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { NameTable_NameInfoSchema } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { type MeshObjects, noObjects } from '../model/objects.ts';
import { buildSnapshot, type Snapshot } from '../model/snapshot.ts';
import { scopeOf } from './scope.ts';
import { type Translation, translate } from './translate.ts';

const registry = createRegistry(
  ...[
    FileAccessLogSchema,
    CorsPolicySchema,
    CorsSchema,
    HTTPFaultSchema,
    RBACSchema,
    RouterSchema,
    HttpInspectorSchema,
  ],
  ...[OriginalDstSchema, TlsInspectorSchema, HttpConnectionManagerSchema, NetworkRbacSchema, TcpProxySchema],
  ...[
    PreviousHostsPredicateSchema,
    PreviousPrioritiesConfigSchema,
    RawBufferSchema,
    ProxyProtocolUpstreamTransportSchema,
    DownstreamTlsContextSchema,
    UpstreamTlsContextSchema,
    HttpProtocolOptionsSchema,
  ],
);

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

const kinds: Readonly<Record<string, keyof MeshObjects>> = {
  Service: 'services',
  EndpointSlice: 'endpointSlices',
  Pod: 'pods',
  Namespace: 'namespaces',
  Node: 'nodes',
  ServiceEntry: 'serviceEntries',
  VirtualService: 'virtualServices',
  DestinationRule: 'destinationRules',
  Gateway: 'gateways',
  AuthorizationPolicy: 'authorizationPolicies',
  PeerAuthentication: 'peerAuthentications',
  Sidecar: 'sidecars',
  WorkloadEntry: 'workloadEntries',
  Telemetry: 'telemetries',
};

/** Documents as a cluster's objects; the first says for which proxy. */
function world(documents: readonly unknown[]): MeshObjects {
  const objects: Record<string, unknown> = { ...noObjects };
  for (const key of Object.values(kinds)) objects[key] = new Map();
  for (const document of documents as Manifest[]) {
    if (document.kind === 'MeshConfig') {
      objects.meshConfig = (document as unknown as { spec: unknown }).spec;
      continue;
    }
    const { name, namespace } = document.metadata;
    const key = namespace ? `${namespace}/${name}` : name;
    (objects[kinds[document.kind]] as Map<string, unknown>).set(key, document);
  }
  return objects as unknown as MeshObjects;
}

function readable(translation: Translation): Record<string, JsonValue> {
  const sorted = <T extends { name?: string; clusterName?: string }>(list: T[]) =>
    [...list].sort((a, b) => ((a.name ?? a.clusterName ?? '') < (b.name ?? b.clusterName ?? '') ? -1 : 1));
  const options = { registry, useProtoFieldName: true } as const;
  return {
    clusters: sorted(translation.clusters).map((message) => toJson(ClusterSchema, message, options)),
    endpoints: sorted(translation.endpoints).map((message) => toJson(ClusterLoadAssignmentSchema, message, options)),
    listeners: sorted(translation.listeners).map((message) => toJson(ListenerSchema, message, options)),
    routes: sorted(translation.routes).map((message) => toJson(RouteConfigurationSchema, message, options)),
    ...(translation.nameTables.length > 0 && {
      names: translation.nameTables.flatMap(({ table }) =>
        Object.entries(table)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, info]): JsonValue => ({ name, ...(toJson(NameTable_NameInfoSchema, info) as object) })),
      ),
    }),
    problems: translation.problems as unknown as JsonValue,
  };
}

const folder = join(import.meta.dirname, 'testdata');
const shared = parseAllDocuments(readFileSync(join(folder, 'bookinfo.yaml'), 'utf8')).map((document) =>
  document.toJS(),
);

interface Input {
  node: { id: string; metadata: Record<string, string> };
  /** `routes 9080`: a type of resource and a part of its name; without any, everything is shown. */
  show: readonly string[];
  documents: unknown[];
}

function read(name: string): Input {
  const [{ show = [], ...node }, ...documents] = parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map(
    (document) => document.toJS(),
  );
  return { node, show, documents: [...shared, ...documents] };
}

function shown(all: Record<string, JsonValue>, show: readonly string[]): Record<string, JsonValue> {
  if (show.length === 0) return all;
  const wanted = show.map((line) => line.split(' '));
  const isWanted = (type: string, resource: JsonValue) => {
    const { name, cluster_name } = resource as { name?: string; cluster_name?: string };
    return wanted.some(([of, part]) => of === type && (name ?? cluster_name ?? '').includes(part));
  };
  return Object.fromEntries(
    Object.entries(all)
      .map(([type, list]): [string, JsonValue] => [
        type,
        type === 'problems' ? list : (list as JsonValue[]).filter((resource) => isWanted(type, resource)),
      ])
      .filter(([, list]) => (list as JsonValue[]).length > 0),
  );
}

const inputs = readdirSync(folder).filter((name) => name.endsWith('.in.yaml'));

for (const name of inputs)
  test(`golden: ${name}`, (t) => {
    const { node, show, documents } = read(name);
    const snapshot = buildSnapshot(world(documents), null);
    const all = readable(translate(snapshot, scopeOf(node, snapshot)));
    const made = stringify(shown(all, show), { lineWidth: 140, aliasDuplicateObjects: false });
    const golden = join(folder, name.replace('.in.yaml', '.out.yaml'));
    if (process.env.UPDATE_GOLDENS) writeFileSync(golden, made);
    t.is(made, readFileSync(golden, 'utf8'));
  });

test('the order in which objects come does not matter', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...inputs), fc.infiniteStream(fc.nat()), (name, numbers) => {
      const { node, documents } = read(name);
      const shuffled = documents
        .map((document) => ({ document, key: numbers.next().value as number }))
        .sort((a, b) => a.key - b.key);
      const straight = buildSnapshot(world(documents), null);
      const mixed = buildSnapshot(world(shuffled.map(({ document }) => document)), null);
      t.deepEqual(
        readable(translate(mixed, scopeOf(node, mixed))),
        readable(translate(straight, scopeOf(node, straight))),
      );
    }),
    { numRuns: 30 },
  );
});

const nodes = inputs.map((name) => read(name).node);
const everything = [...shared, ...inputs.flatMap((name) => read(name).documents.slice(shared.length))] as Manifest[];

test('whatever changed before, a translation is what the same objects give from scratch', (t) => {
  const steps = fc.array(fc.subarray(everything), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(steps, fc.constantFrom(...nodes), fc.constantFrom(...nodes), (sets, ...callers) => {
      let snapshot: Snapshot | null = null;
      for (const documents of sets) {
        snapshot = buildSnapshot(world(documents), snapshot);
        const fresh = buildSnapshot(world(structuredClone(documents)), null);
        for (const node of callers)
          t.deepEqual(
            readable(translate(snapshot, scopeOf(node, snapshot))),
            readable(translate(fresh, scopeOf(node, fresh))),
          );
      }
    }),
    { numRuns: 25 },
  );
});

test('endpoints change endpoints only: every other message is the one that was sent', (t) => {
  const { node, documents } = read('weighted.in.yaml');
  const objects = world(documents);
  const first = buildSnapshot(objects, null);
  const before = translate(first, scopeOf(node, first));
  const [[key, slice]] = [...objects.endpointSlices].filter(([name]) => name.includes('/reviews'));
  const unready = slice.endpoints?.map((endpoint) => ({ ...endpoint, conditions: { ready: false } }));
  const endpointSlices = new Map([...objects.endpointSlices, [key, { ...slice, endpoints: unready }]]);
  const second = buildSnapshot({ ...objects, endpointSlices }, first);
  const after = translate(second, scopeOf(node, second));
  t.true(after.routes.every((route, i) => route === before.routes[i]));
  t.deepEqual(
    after.endpoints.filter((each, i) => each !== before.endpoints[i]).map(({ clusterName }) => clusterName),
    before.endpoints.map(({ clusterName }) => clusterName).filter((name) => name.includes('reviews')),
  );
  t.deepEqual(after.clusters, before.clusters);
  t.deepEqual(after.listeners, before.listeners);
});

test('a snapshot that has been replaced twice is not kept in memory', async (t) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const objects = world(shared);
  const first = new WeakRef(buildSnapshot(objects, null));
  let last = buildSnapshot({ ...objects, pods: new Map() }, first.deref() as Snapshot);
  last = buildSnapshot({ ...objects, endpointSlices: new Map() }, last);
  await setImmediate();
  gc();
  t.is(first.deref(), undefined);
  t.is(last.services.length > 0, true);
});

test('a snapshot keeps what did not change, and counts only configuration as such', (t) => {
  const objects = world(shared);
  const first = buildSnapshot(objects, null);
  const second = buildSnapshot({ ...objects, endpointSlices: new Map() }, first);
  t.is(second.services, first.services);
  t.is(second.mesh, first.mesh);
  t.is(second.configVersion, first.configVersion);
  t.deepEqual(
    second.endpoints(
      second.serviceByHost.get('ratings.default.svc.cluster.local')!,
      second.serviceByHost.get('ratings.default.svc.cluster.local')!.ports[0],
    ),
    [],
  );
  const third = buildSnapshot({ ...objects, virtualServices: new Map() }, second);
  t.is(third.configVersion, second.configVersion + 1);
});

test('an entry for which no address is left is told so, where it would have had one', (t) => {
  const entry = (name: string, spec: object) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'shop' },
    spec: { hosts: [`${name}.example.com`], resolution: 'STATIC', ...spec },
  });
  const all = Array.from({ length: 256 }, (_, i) => i);
  const taken = all.map((i) => entry(`taken-${i}`, { addresses: all.map((j) => `240.240.${i}.${j}`) }));
  const snapshot = buildSnapshot(world([...taken, entry('late', {})]), null);
  const problemsOf = (metadata: Record<string, string>) =>
    translate(snapshot, scopeOf({ id: 'sidecar~10.0.0.1~a.shop~x', metadata }, snapshot)).problems;
  t.deepEqual(problemsOf({}), []);
  t.deepEqual(
    problemsOf({ DNS_CAPTURE: 'true' }).map(({ kind, name, path, message }) => `${kind} ${name} ${path} ${message}`),
    ['ServiceEntry late spec.addresses is not set, and no address of 240.240.0.0/16 is left for it: set one'],
  );
});

test('a node id that is none of a proxy is refused by name', (t) => {
  const snapshot = buildSnapshot(noObjects, null);
  t.throws(() => scopeOf({ id: 'curl', metadata: {} }, snapshot), { message: /"curl".*sidecar~/ });
});
