/** A random mesh, edited at random: what is sent after each edit is what the same objects give from nothing. */
import test from 'ava';
import fc from 'fast-check';
import { type MeshObjects, noObjects } from '../model/objects.ts';
import { buildSnapshot, type Snapshot } from '../model/snapshot.ts';
import { encodeResources, type ResourceSet, withEndpoints } from '../serve/resources.ts';
import { type ProxyNode, scopeOf } from './scope.ts';
import { endpointsOf, translate } from './translate.ts';
import { sees } from './virtual-hosts.ts';

/** `LATEEN_EDITS=10000` tries longer. */
const edits = Number(process.env.LATEEN_EDITS ?? 1_200);
const editsPerMesh = 100;

const letters = ['a', 'b', 'c', 'd'];
const namespaces = ['one', 'two', 'istio-system'];
const letter = fc.constantFrom(...letters);
const namespace = fc.constantFrom(...namespaces);
const version = fc.constantFrom('v1', 'v2');
const port = fc.constantFrom(80, 81, 9000);
const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const exportTo = some(fc.constantFrom(['*'], ['.'], ['two']));
const portName = fc.constantFrom('http', 'tcp', 'grpc-x', 'https', 'x');

type Table = Exclude<keyof MeshObjects, 'meshConfig' | 'clusterDomain' | 'clusterId'>;

/** Kubernetes' own: two of them in one place. */
const kubernetesNodes = new Map(
  Object.entries({ n1: ['r1', 'z1'], n2: ['r2', 'z1'], n3: ['r2', 'z1'] }).map(([name, [region, zone]]) => [
    name,
    {
      metadata: { name, labels: { 'topology.kubernetes.io/region': region, 'topology.kubernetes.io/zone': zone } },
    },
  ]),
);

const host = fc.oneof(
  letter,
  fc.tuple(letter, namespace).map(([name, place]) => `${name}.${place}.svc.cluster.local`),
  fc.constantFrom('*.example.com', 'x.example.com', 'e.example.com'),
);
const destination = fc.record(
  { host, subset: some(version), port: some(port.map((number) => ({ number }))) },
  { requiredKeys: ['host'] },
);
const routes = fc.array(
  fc.record({ destination, weight: some(fc.constantFrom(0, 1, 50)) }, { requiredKeys: ['destination'] }),
  { minLength: 1, maxLength: 2 },
);
const match = fc.record({
  uri: some(fc.constantFrom({ prefix: '/x' }, { exact: '/y' })),
  sourceLabels: some(version.map((of) => ({ version: of }))),
  port: some(port),
});
const http = fc.array(
  fc.record(
    { match: some(fc.array(match, { minLength: 1, maxLength: 2 })), route: routes, timeout: some(fc.constant('1s')) },
    { requiredKeys: ['route'] },
  ),
  { minLength: 1, maxLength: 3 },
);
const localities = [
  { enabled: false },
  { distribute: [{ from: 'r1/*', to: { 'r1/*': 70, 'r2/*': 30 } }] },
  { failover: [{ from: 'r1', to: 'r2' }] },
  { failoverPriority: ['topology.kubernetes.io/region', 'version'] },
  { failoverPriority: ['kubernetes.io/hostname', 'version=v1'] },
  { failoverPriority: ['app', 'topology.istio.io/network'], failover: [{ from: 'r2', to: 'r3' }] },
];
const policy = some(
  fc.record({
    loadBalancer: some(
      fc.constantFrom(
        { simple: 'RANDOM' },
        { consistentHash: { useSourceIp: true } },
        { warmup: { duration: '5s' } },
        { localityLbSetting: { distribute: [{ from: '*', to: { '*': 100 } }] } },
        ...localities.map((localityLbSetting) => ({ localityLbSetting })),
      ),
    ),
    outlierDetection: fc.option(fc.constant({ consecutive5xxErrors: 3 }), { nil: undefined, freq: 2 }),
    tunnel: some(fc.constant({ targetHost: 'x.example.com', targetPort: 443 })),
    tls: some(fc.constantFrom({ mode: 'DISABLE' }, { mode: 'ISTIO_MUTUAL' })),
    portLevelSettings: some(port.map((number) => [{ port: { number }, loadBalancer: { simple: 'ROUND_ROBIN' } }])),
  }),
);
const selector = some(letter.map((app) => ({ matchLabels: { app } })));
const ip = (name: string, place: string) => `10.${namespaces.indexOf(place)}.0.${1 + letters.indexOf(name)}`;

/** What an object of each table may hold; its name and namespace come besides. */
const specs: { readonly [T in Table]?: fc.Arbitrary<object> } = {
  services: fc.record({
    clusterIP: fc.constantFrom('10.96.0.1', '10.96.0.2', 'None'),
    selector: letter.map((app) => ({ app })),
    ports: fc.uniqueArray(fc.record({ name: portName, port }), {
      selector: ({ port: number }) => number,
      minLength: 1,
      maxLength: 2,
    }),
  }),
  virtualServices: fc.record(
    {
      hosts: fc.array(host, { minLength: 1, maxLength: 2 }),
      gateways: some(fc.constantFrom(['mesh'], ['one/a'], ['one/a', 'mesh'])),
      http,
      exportTo,
    },
    { requiredKeys: ['hosts', 'http'] },
  ),
  destinationRules: fc.record(
    {
      host,
      trafficPolicy: policy,
      subsets: some(
        fc
          .uniqueArray(version, { maxLength: 2 })
          .map((all) => all.map((name) => ({ name, labels: { version: name } }))),
      ),
      exportTo,
    },
    { requiredKeys: ['host'] },
  ),
  gateways: fc.record({
    selector: fc.constant({ istio: 'ingressgateway' }),
    servers: fc.array(
      fc.record({
        port: port.map((number) => ({ number, name: `p${number}`, protocol: 'HTTP' })),
        hosts: fc.constantFrom(['*'], ['x.example.com'], ['./*']),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  }),
  serviceEntries: fc.record(
    {
      hosts: fc.constantFrom(['e.example.com'], ['*.example.com'], ['x.example.com', 'e.example.com']),
      resolution: fc.constantFrom('STATIC', 'NONE', 'DNS'),
      location: fc.constantFrom('MESH_INTERNAL', 'MESH_EXTERNAL'),
      ports: port.map((number) => [{ number, name: 'http', protocol: 'HTTP' }]),
      workloadSelector: some(letter.map((app) => ({ labels: { app } }))),
      exportTo,
    },
    { requiredKeys: ['hosts', 'resolution', 'ports'] },
  ),
  workloadEntries: fc.record({
    address: fc.constantFrom('192.168.0.1', '192.168.0.2'),
    labels: letter.map((app) => ({ app, version: 'v1' })),
    weight: some(fc.constant(5)),
    locality: some(fc.constantFrom('r1/z1', 'r3/z1')),
    network: some(fc.constant('far')),
  }),
  sidecars: fc.record(
    {
      workloadSelector: some(letter.map((app) => ({ labels: { app } }))),
      egress: some(
        fc.array(
          fc.record(
            {
              hosts: fc.constantFrom(['./*'], ['*/*'], ['~/*'], ['two/*', './a.one.svc.cluster.local']),
              port: some(port.map((number) => ({ number, protocol: 'HTTP' }))),
            },
            { requiredKeys: ['hosts'] },
          ),
          { minLength: 1, maxLength: 2 },
        ),
      ),
      ingress: some(
        port.map((number) => [{ port: { number, protocol: 'HTTP', name: 'in' }, defaultEndpoint: '127.0.0.1:8080' }]),
      ),
      outboundTrafficPolicy: some(fc.constant({ mode: 'REGISTRY_ONLY' })),
    },
    { requiredKeys: [] },
  ),
  telemetries: fc.record({
    selector,
    accessLogging: some(fc.constantFrom([{ disabled: true }], [{ providers: [{ name: 'envoy' }] }])),
    metrics: some(fc.constant([{ overrides: [{ match: { metric: 'REQUEST_SIZE' }, disabled: true }] }])),
  }),
  envoyFilters: fc.record(
    {
      workloadSelector: some(letter.map((app) => ({ labels: { app } }))),
      priority: some(fc.constantFrom(-1, 1)),
      configPatches: fc.array(
        fc.constantFrom<object>(
          { applyTo: 'CLUSTER', patch: { operation: 'MERGE', value: { alt_stat_name: 'patched' } } },
          { applyTo: 'CLUSTER', match: { cluster: { subset: 'v1' } }, patch: { operation: 'REMOVE' } },
          {
            applyTo: 'HTTP_FILTER',
            match: { context: 'SIDECAR_INBOUND', listener: { portNumber: 8080 } },
            patch: { operation: 'INSERT_FIRST', value: { name: 'lua', typed_config: { '@type': 'a/b.Lua', x: 1 } } },
          },
          {
            applyTo: 'VIRTUAL_HOST',
            match: { routeConfiguration: { name: '80' } },
            patch: { operation: 'ADD', value: { name: 'more', domains: ['more.example.com'] } },
          },
          { applyTo: 'LISTENER', match: { listener: { portNumber: 9090 } }, patch: { operation: 'REMOVE' } },
          { applyTo: 'CLUSTER', patch: { operation: 'MERGE', value: { wrong: true } } },
        ),
        { minLength: 1, maxLength: 3 },
      ),
    },
    { requiredKeys: ['configPatches'] },
  ),
  peerAuthentications: fc.record({ selector, mtls: some(fc.constantFrom({ mode: 'STRICT' }, { mode: 'DISABLE' })) }),
  authorizationPolicies: fc.record({
    selector,
    action: fc.constantFrom('ALLOW', 'DENY'),
    rules: fc.constantFrom([{}], [{ to: [{ operation: { paths: ['/x'] } }] }]),
  }),
};

const backendRefs = fc.array(
  fc.record(
    { name: letter, namespace: some(namespace), port: some(port), weight: some(fc.constantFrom(0, 1, 9)) },
    { requiredKeys: ['name'] },
  ),
  { maxLength: 2 },
);
const gatewayRef = fc.record(
  { name: letter, namespace: some(namespace), sectionName: some(fc.constantFrom('one', 'two')) },
  { requiredKeys: ['name'] },
);
const serviceRef = fc.record(
  { group: fc.constant(''), kind: fc.constant('Service'), name: letter, namespace: some(namespace), port: some(port) },
  { requiredKeys: ['group', 'kind', 'name'] },
);
const hostnames = some(fc.constantFrom(['x.example.com'], ['*.example.com', 'e.example.com']));
const filters = some(
  fc.constantFrom(
    [{ type: 'RequestRedirect', requestRedirect: { hostname: 'x.example.com' } }],
    [{ type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } }],
  ),
);
const httpMatches = some(
  fc.array(
    fc.record({
      path: some(fc.constantFrom({ type: 'Exact', value: '/y' }, { type: 'PathPrefix', value: '/x' })),
      headers: some(fc.constant([{ name: 'a', value: 'b' }])),
    }),
    { maxLength: 2 },
  ),
);

/** The Gateway API's; one of its Gateways runs on the Service `gateway`, which is the proxy's. */
const gatewayApi: typeof specs = {
  kubernetesGateways: fc.record({
    gatewayClassName: fc.constantFrom('istio', 'other'),
    addresses: fc.constantFrom([{ type: 'Hostname', value: 'gateway.istio-system.svc.cluster.local' }], []),
    listeners: fc.uniqueArray(
      fc.record(
        {
          name: fc.constantFrom('one', 'two'),
          port: fc.constantFrom(80, 8080),
          protocol: fc.constantFrom('HTTP', 'HTTP', 'TCP'),
          hostname: some(fc.constantFrom('x.example.com', '*.example.com')),
          allowedRoutes: some(fc.constant({ namespaces: { from: 'All' } })),
        },
        { requiredKeys: ['name', 'port', 'protocol'] },
      ),
      { selector: ({ name }) => name, minLength: 1, maxLength: 2 },
    ),
  }),
  wasmPlugins: fc.record(
    {
      url: fc.constantFrom('file:///a.wasm', 'http://modules.example.com/a.wasm', 'oci://example.com/a'),
      sha256: fc.constant('ab'.repeat(32)),
      priority: fc.integer({ min: -1, max: 1 }),
      phase: fc.constantFrom('AUTHN', 'AUTHZ', 'STATS'),
      match: fc.constantFrom<object[]>([{ mode: 'CLIENT' }], [{ mode: 'SERVER' }], [{ ports: [{ number: 80 }] }]),
    },
    { requiredKeys: ['url'] },
  ),
  httpRoutes: fc.record(
    {
      parentRefs: fc.array(fc.oneof(gatewayRef, serviceRef), { minLength: 1, maxLength: 2 }),
      hostnames,
      rules: fc.array(fc.record({ matches: httpMatches, filters, backendRefs }, { requiredKeys: ['backendRefs'] }), {
        minLength: 1,
        maxLength: 2,
      }),
    },
    { requiredKeys: ['parentRefs', 'rules'] },
  ),
  tcpRoutes: fc.record({
    parentRefs: fc.array(fc.oneof(gatewayRef, serviceRef), { minLength: 1, maxLength: 1 }),
    rules: fc.array(fc.record({ backendRefs }), { minLength: 1, maxLength: 1 }),
  }),
  referenceGrants: fc.record({
    from: namespace.map((place) => [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: place }]),
    to: fc.constant([{ group: '', kind: 'Service' }]),
  }),
  backendTlsPolicies: fc.record({
    targetRefs: letter.map((name) => [{ group: '', kind: 'Service', name }]),
    validation: fc.constantFrom<object>(
      { hostname: 'x.example.com', wellKnownCACertificates: 'System' },
      { hostname: 'x.example.com', caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'nothing' }] },
    ),
  }),
};

/** Not edited: the class, the Service of the gateway's proxy, and a rule for whoever has none, so that the mesh's localities count. */
const fixed: MeshObjects = {
  ...noObjects,
  nodes: kubernetesNodes,
  destinationRules: new Map([
    [
      'istio-system/everywhere',
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'DestinationRule' as const,
        metadata: { name: 'everywhere', namespace: 'istio-system' },
        spec: { host: '*.cluster.local', trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } } },
      },
    ],
  ]),
  gatewayClasses: new Map([
    [
      'istio',
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'GatewayClass' as const,
        metadata: { name: 'istio' },
        spec: { controllerName: 'istio.io/gateway-controller' },
      },
    ],
  ]),
  services: new Map([
    [
      'istio-system/gateway',
      {
        metadata: { name: 'gateway', namespace: 'istio-system' },
        spec: { clusterIP: '10.96.0.9', selector: { istio: 'ingressgateway' }, ports: [{ name: 'http', port: 80 }] },
      },
    ],
  ]),
};

const kindOf: { readonly [T in Table]?: readonly [apiVersion: string, kind: string] } = {
  virtualServices: ['networking.istio.io/v1', 'VirtualService'],
  destinationRules: ['networking.istio.io/v1', 'DestinationRule'],
  gateways: ['networking.istio.io/v1', 'Gateway'],
  serviceEntries: ['networking.istio.io/v1', 'ServiceEntry'],
  workloadEntries: ['networking.istio.io/v1', 'WorkloadEntry'],
  sidecars: ['networking.istio.io/v1', 'Sidecar'],
  telemetries: ['telemetry.istio.io/v1', 'Telemetry'],
  envoyFilters: ['networking.istio.io/v1alpha3', 'EnvoyFilter'],
  wasmPlugins: ['extensions.istio.io/v1alpha1', 'WasmPlugin'],
  peerAuthentications: ['security.istio.io/v1', 'PeerAuthentication'],
  authorizationPolicies: ['security.istio.io/v1', 'AuthorizationPolicy'],
  kubernetesGateways: ['gateway.networking.k8s.io/v1', 'Gateway'],
  httpRoutes: ['gateway.networking.k8s.io/v1', 'HTTPRoute'],
  tcpRoutes: ['gateway.networking.k8s.io/v1', 'TCPRoute'],
  referenceGrants: ['gateway.networking.k8s.io/v1beta1', 'ReferenceGrant'],
  backendTlsPolicies: ['gateway.networking.k8s.io/v1', 'BackendTLSPolicy'],
};

interface Edit {
  readonly table: Table | 'meshConfig';
  readonly key: string;
  /** Null takes it away. */
  readonly object: object | null;
}

const made = fc.constantFrom('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z');

const ofTable = ([table, spec]: [Table, fc.Arbitrary<object>]): fc.Arbitrary<Edit> =>
  fc.tuple(letter, namespace, made, fc.option(spec, { freq: 4 })).map(([name, place, creationTimestamp, value]) => {
    const [apiVersion, kind] = kindOf[table] ?? ['v1', 'Service'];
    const object = value && { apiVersion, kind, metadata: { name, namespace: place, creationTimestamp }, spec: value };
    return { table, key: `${place}/${name}`, object };
  });

/** A pod of an application, ready or not, in the slice of the Service of its name, and another of the namespace beside it. */
const pod: fc.Arbitrary<Edit[]> = fc
  .tuple(
    ...([letter, namespace, version, fc.boolean(), fc.constantFrom('there', 'unready', 'gone')] as const),
    fc.constantFrom(...kubernetesNodes.keys(), undefined),
    letter,
  )
  .map(([name, place, of, meshed, state, nodeName, other]) => {
    const address = ip(name, place);
    const labels = { app: name, version: of, ...(meshed && { 'security.istio.io/tlsMode': 'istio' }) };
    const object = {
      metadata: { name, namespace: place, labels },
      spec: { serviceAccountName: name, nodeName, containers: [] },
      status: { podIP: address, phase: 'Running' },
    };
    const slice = {
      metadata: { name, namespace: place, labels: { 'kubernetes.io/service-name': name } },
      ...{
        addressType: 'IPv4',
        ports: ['http', 'tcp', 'grpc-x', 'https', 'x'].map((each) => ({ name: each, port: 8080 })),
      },
      endpoints: [
        { addresses: [address], conditions: { ready: state === 'there' } },
        { addresses: [ip(other, place)], conditions: { ready: true } },
      ],
    };
    return [
      { table: 'pods', key: `${place}/${name}`, object: state === 'gone' ? null : object },
      { table: 'endpointSlices', key: `${place}/${name}`, object: state === 'gone' ? null : slice },
    ];
  });

const settings: fc.Arbitrary<Edit[]> = some(fc.constantFrom(...localities)).map((localityLbSetting) => [
  { table: 'meshConfig', key: '', object: { localityLbSetting } },
]);

const edit: fc.Arbitrary<Edit[]> = fc.oneof(
  { weight: 3, arbitrary: pod },
  { weight: 1, arbitrary: settings },
  ...(Object.entries({ ...specs, ...gatewayApi }) as Array<[Table, fc.Arbitrary<object>]>).map((each) => ({
    weight: ['services', 'destinationRules', 'kubernetesGateways', 'httpRoutes'].includes(each[0]) ? 3 : 1,
    arbitrary: ofTable(each).map((one) => [one]),
  })),
);

const nodes: ProxyNode[] = [
  ...letters.slice(0, 2).flatMap((name) =>
    namespaces.slice(0, 2).map((place, i) => ({
      // EnvoyFilters are for Envoys.
      userAgentName: i === 0 ? 'envoy' : 'lateen',
      id: `sidecar~${ip(name, place)}~${name}.${place}~${place}.svc.cluster.local`,
      metadata: { NAMESPACE: place },
    })),
  ),
  {
    userAgentName: 'envoy',
    id: 'router~10.9.9.9~g.istio-system~istio-system.svc.cluster.local',
    metadata: { NAMESPACE: 'istio-system', LABELS: { istio: 'ingressgateway' } },
  },
];

function edited(objects: MeshObjects, changes: readonly Edit[]): MeshObjects {
  const next = { ...objects };
  for (const { table, key, object } of changes) {
    if (table === 'meshConfig') {
      next.meshConfig = object ?? {};
      continue;
    }
    const map = new Map(next[table] as ReadonlyMap<string, unknown>);
    if (object === null) map.delete(key);
    else map.set(key, object);
    (next as Record<Table, unknown>)[table] = map;
  }
  return next;
}

/** Names and digests of everything that a proxy is sent, and what is wrong with the resources. */
function sent(snapshot: Snapshot, node: ProxyNode) {
  const { problems, clusters, endpoints, listeners, routes } = translate(snapshot, scopeOf(node, snapshot));
  const { types } = encodeResources('', { cluster: clusters, endpoint: endpoints, listener: listeners, route: routes });
  const digests = Object.values(types).flatMap((resources) =>
    Array.from(resources.values(), ({ name, version: digest }) => `${name} ${digest}`),
  );
  return { digests: digests.sort(), problems: problems.map((problem) => JSON.stringify(problem)).sort() };
}

const digestsOf = ({ types }: ResourceSet): string[] =>
  Object.values(types)
    .flatMap((resources) => Array.from(resources.values(), ({ name, version: digest }) => `${name} ${digest}`))
    .sort();

function setOf(snapshot: Snapshot, node: ProxyNode): ResourceSet {
  const { clusters, endpoints, listeners, routes } = translate(snapshot, scopeOf(node, snapshot));
  return encodeResources('', { cluster: clusters, endpoint: endpoints, listener: listeners, route: routes });
}

test('where nothing but endpoints has changed, putting those in gives what the mesh gives from nothing', (t) => {
  let shortcuts = 0;
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 1, arbitrary: edit }, { weight: 3, arbitrary: pod.map(([, slice]) => [slice]) }), {
        minLength: 40,
        maxLength: 40,
      }),
      (steps) => {
        let snapshot: Snapshot | null = null;
        let objects = fixed;
        const had = new Map<ProxyNode, ResourceSet>();
        for (const changes of steps) {
          objects = edited(objects, changes);
          snapshot = buildSnapshot(objects, snapshot);
          for (const node of nodes) {
            const fresh = setOf(buildSnapshot(structuredClone(objects), null), node);
            const scope = scopeOf(node, snapshot);
            const before = had.get(node);
            const seen = (snapshot.endpointsChanged ?? []).filter((each) => sees(snapshot as Snapshot, scope, each));
            const patched =
              before && snapshot.endpointsChanged
                ? withEndpoints(
                    before,
                    '',
                    seen.flatMap((each) => endpointsOf(snapshot as Snapshot, scope, each)),
                  )
                : null;
            if (patched) {
              shortcuts++;
              t.deepEqual(digestsOf(patched), digestsOf(fresh));
            }
            had.set(node, patched ?? fresh);
          }
        }
      },
    ),
    { numRuns: 5 },
  );
  t.true(shortcuts > 50, `${shortcuts} shortcuts`);
});

test(`after each of ${edits} edits proxies are sent what the mesh gives from nothing`, (t) => {
  const step = fc.tuple(edit, fc.shuffledSubarray(nodes, { minLength: 2, maxLength: 2 }));
  fc.assert(
    fc.property(fc.array(step, { minLength: editsPerMesh, maxLength: editsPerMesh }), (steps) => {
      let objects = fixed;
      let snapshot: Snapshot | null = null;
      for (const [changes, asking] of steps) {
        objects = edited(objects, changes);
        snapshot = buildSnapshot(objects, snapshot);
        const fresh = buildSnapshot(structuredClone(objects), null);
        for (const node of asking) t.deepEqual(sent(snapshot, node), sent(fresh, node));
      }
    }),
    { numRuns: Math.ceil(edits / editsPerMesh) },
  );
});
