import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import patches from 'fast-json-patch';
import { parse, stringify } from 'yaml';
import { parseInjectionConfig } from './config.ts';
import { inject } from './inject.ts';
import { patchOf } from './patch.ts';
import { InjectionError, type Pod, readPod } from './pod.ts';
import { injectResource } from './resource.ts';

const folder = join(import.meta.dirname, 'testdata');
const regionTemplate = `
metadata:
  annotations: {region: north}
spec:
  containers:
    - name: agent
      env:
        - {name: REGION, value: north}
        - {name: ZONE, value: a}
  volumes:
    - {name: region, emptyDir: {}}
`;
const values = {
  global: { multiCluster: { clusterName: 'c1' } },
  sidecarInjectorWebhook: { templates: { region: regionTemplate } },
};
const config = parseInjectionConfig({ values: JSON.stringify(values) });

for (const file of readdirSync(folder).filter((name) => name.endsWith('.in.yaml'))) {
  const name = file.replace('.in.yaml', '');
  test(`golden: ${name}`, (t) => {
    const { object } = injectResource(parse(readFileSync(join(folder, file), 'utf8')), config);
    const golden = join(folder, `${name}.out.yaml`);
    const text = stringify(object, { lineWidth: 0, aliasDuplicateObjects: false });
    // Written anew with UPDATE_GOLDENS=1; the difference is then read in the commit.
    if (process.env.UPDATE_GOLDENS || !existsSync(golden)) writeFileSync(golden, text);
    t.is(text, readFileSync(golden, 'utf8'));
    t.deepEqual(injectResource(object, config).object, object, 'injecting it again changes nothing');
  });
}

const pod = (spec: object, metadata: object = {}): Pod =>
  readPod({ metadata: { name: 'p', ...metadata }, spec: { containers: [{ name: 'app', image: 'i' }], ...spec } });
const proxyOf = ({ spec }: Pod) =>
  [...spec.containers, ...(spec.initContainers ?? [])].find(({ name }) => name === 'istio-proxy')!;
const injected = (...given: Parameters<typeof pod>) => inject({ pod: pod(...given), namespace: 'shop' }, config);

test('a native sidecar sets its rules itself, as root and no longer than that', (t) => {
  const proxy = proxyOf(injected({}));
  t.is(proxy.args?.[0], 'iptables');
  t.deepEqual(proxy.args?.slice(proxy.args.indexOf('--') + 1, proxy.args.indexOf('--') + 3), ['proxy', 'sidecar']);
  t.deepEqual(proxy.securityContext?.capabilities, {
    add: ['NET_ADMIN', 'NET_RAW', 'SETGID', 'SETUID'],
    drop: ['ALL'],
  });
  t.is(proxy.securityContext?.allowPrivilegeEscalation, false);
});

test('istio-init stays where the sidecar cannot set the rules', (t) => {
  const init = (...given: Parameters<typeof pod>) =>
    injected(...given).spec.initContainers?.some(({ name }) => name === 'istio-init');
  t.false(init({}));
  t.true(init({}, { annotations: { 'lateen.dev/initContainer': 'true' } }));
  t.true(init({}, { annotations: { 'sidecar.istio.io/nativeSidecar': 'false' } }));
  t.true(init({}, { annotations: { 'sidecar.istio.io/interceptionMode': 'TPROXY' } }));
  t.true(init({ securityContext: { runAsUser: 0 } }), 'root alone could read the token');
  t.false(init({ securityContext: { runAsUser: 0 }, containers: [{ name: 'a', securityContext: { runAsUser: 5 } }] }));
  t.true(init({ containers: [{ name: 'a' }, { name: 'istio-proxy', image: 'auto', args: ['x'] }] }));
  t.is(injected({}, { annotations: { 'sidecar.istio.io/interceptionMode': 'NONE' } }).spec.initContainers?.length, 1);
});

test("the proxy's own user is not intercepted", (t) => {
  const own = { name: 'istio-proxy', image: 'auto', securityContext: { runAsUser: 2000 } };
  const { spec } = injected({ containers: [{ name: 'app' }, own] });
  const args = spec.initContainers?.find(({ name }) => name === 'istio-init')?.args ?? [];
  t.is(args[args.indexOf('-u') + 1], '2000');
});

test('a pod of nothing but a proxy keeps it among its containers', (t) => {
  // As it comes from the API server, which fetches an image without a tag always.
  const { spec } = injected({ containers: [{ name: 'istio-proxy', image: 'auto', imagePullPolicy: 'Always' }] });
  t.deepEqual(
    spec.containers.map(({ name, imagePullPolicy }) => [name, imagePullPolicy]),
    [['istio-proxy', config.imagePullPolicy]],
  );
});

test('a container that comes later is told to the agent at the next injection', (t) => {
  const once = injected({});
  once.spec.containers.push({ name: 'late', readinessProbe: { httpGet: { port: 81 } } });
  const twice = inject({ pod: once, namespace: 'shop' }, config);
  const env = (name: string) => proxyOf(twice).env?.find((variable) => variable.name === name)?.value ?? '';
  t.is(env('ISTIO_META_APP_CONTAINERS'), 'app,late');
  t.deepEqual(JSON.parse(env('ISTIO_KUBE_APP_PROBERS')), { '/app-health/late/readyz': { httpGet: { port: 81 } } });
});

test('what is wrong is named', (t) => {
  const message = (annotations: Record<string, string>) =>
    t.throws(() => injected({}, { annotations }), { instanceOf: InjectionError })?.message;
  t.is(
    message({ 'traffic.sidecar.istio.io/excludeInboundPorts': '80,http', 'sidecar.istio.io/proxyCPU': 'much' }),
    'annotation sidecar.istio.io/proxyCPU must be a quantity such as 100m or 128Mi, is "much"; ' +
      'annotation traffic.sidecar.istio.io/excludeInboundPorts must be ports with commas between, is "80,http"',
  );
  t.is(
    message({ 'inject.istio.io/templates': 'sidecars' }),
    'annotation inject.istio.io/templates: no template is called "sidecars"; there are sidecar, gateway, region',
  );
  t.regex(message({ 'proxy.istio.io/config': '{' }) ?? '', /^annotation proxy\.istio\.io\/config must be YAML/);
  t.is(
    message({ 'proxy.istio.io/config': 'interceptionMode: SOME' }),
    'annotation proxy.istio.io/config.interceptionMode must be REDIRECT, TPROXY or NONE, is "SOME"',
  );
  t.is(
    message({ 'prometheus.io/port': '15090' }),
    'annotation prometheus.io/port must not be a port of the proxy, is 15090',
  );
  t.is(
    t.throws(() => readPod({ spec: { containers: [{ name: 'a', ports: [{}] }] } }))?.message,
    'pod.spec.containers[0].ports[0].containerPort: must be given',
  );
});

const word = fc.constantFrom('app', 'web', 'db', 'istio-proxy', 'istio-init', 'log');
const port = fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom('http', 'nope', '8080', 15_020));
const handler = fc.oneof(
  fc.record({
    httpGet: fc.record({
      port,
      path: fc.constantFrom('/x', '/app-health/app/readyz'),
      scheme: fc.constantFrom('HTTP', 'HTTPS'),
    }),
  }),
  fc.record({ tcpSocket: fc.record({ port }) }),
  fc.record({ grpc: fc.record({ port: fc.integer({ min: 1, max: 65_535 }) }) }),
  fc.record({ exec: fc.record({ command: fc.constant(['true']) }) }),
);
const container = fc.record(
  {
    name: word,
    image: fc.constantFrom('auto', 'example.com/x:1'),
    args: fc.constant(['a']),
    env: fc.array(fc.record({ name: fc.constantFrom('A', 'POD_NAME', 'PROXY_CONFIG'), value: fc.string() }), {
      maxLength: 2,
    }),
    ports: fc.constant([{ name: 'http', containerPort: 8080 }]),
    readinessProbe: handler,
    livenessProbe: handler,
    lifecycle: fc.record({ preStop: handler }, { requiredKeys: [] }),
    restartPolicy: fc.constant('Always'),
    securityContext: fc.record({ runAsUser: fc.nat(2000) }),
    volumeMounts: fc.constant([{ name: 'istio-data', mountPath: '/var/lib/istio/data' }]),
  },
  { requiredKeys: ['name'] },
);
const containers = fc.uniqueArray(container, { selector: ({ name }) => name, minLength: 1, maxLength: 4 });
const annotation = fc.tuple(
  fc.constantFrom(
    'prometheus.io/scrape',
    'prometheus.io/port',
    'prometheus-io/path',
    'sidecar.istio.io/nativeSidecar',
    'sidecar.istio.io/rewriteAppHTTPProbers',
    'sidecar.istio.io/interceptionMode',
    'status.sidecar.istio.io/port',
    'proxy.istio.io/config',
    'inject.istio.io/templates',
    'sidecar.istio.io/status',
    'proxy.istio.io/overrides',
    'sidecar.istio.io/userVolume',
    'lateen.dev/initContainer',
  ),
  fc.oneof(
    fc.constantFrom(
      'true',
      'false',
      '0',
      '15020',
      '8080',
      '/stats/prometheus',
      'TPROXY',
      'NONE',
      'gateway',
      'sidecar,region',
    ),
    fc.constantFrom('{}', '{"containers":["app"]}', '{"statusPort":16020}', '{"v":{"emptyDir":{}}}'),
    fc.string({ maxLength: 8 }),
  ),
);
const anyPod = fc.record({
  metadata: fc.record({
    name: fc.constant('p'),
    labels: fc.constantFrom({}, { app: 'x' }, { 'topology.istio.io/network': 'n' }),
    annotations: fc.array(annotation, { maxLength: 4 }).map((list) => Object.fromEntries(list)),
  }),
  spec: fc.record(
    {
      containers,
      initContainers: containers,
      volumes: fc.constantFrom([{ name: 'istio-data', hostPath: { path: '/' } }], [{ name: 'v', emptyDir: {} }]),
      securityContext: fc.record({ runAsUser: fc.constantFrom(0, 5) }),
    },
    { requiredKeys: ['containers'] },
  ),
});
/** Annotations by which a pod says that it was injected before, though it was not: what they claim cannot be taken back faithfully. */
const claims = ['sidecar.istio.io/status', 'proxy.istio.io/overrides'];
/** A pod has each name once, over all its containers (Kubernetes' validation). */
const isValid = ({ spec }: Pod) => {
  const names = [...spec.containers, ...(spec.initContainers ?? [])].map(({ name }) => name);
  return new Set(names).size === names.length;
};

test('whatever the pod: injected twice is injected once, and the patch makes it of the original', (t) => {
  fc.assert(
    fc.property(anyPod, (value) => {
      const original = readPod(value);
      // Runs count only those pods that can be injected.
      fc.pre(isValid(original));
      const honest = claims.every((name) => original.metadata?.annotations?.[name] === undefined);
      const kept = structuredClone(original);
      let once: Pod;
      try {
        once = inject({ pod: original, namespace: 'n' }, config);
      } catch (error) {
        fc.pre(!(error instanceof InjectionError));
        throw error;
      }
      t.deepEqual(original, kept, 'the original is left untouched');
      const patched = patches.applyPatch(structuredClone(original), patchOf(original, once), true).newDocument;
      t.deepEqual(patched, once);
      if (honest) t.deepEqual(inject({ pod: once, namespace: 'n' }, config), once);
    }),
    { numRuns: 80 },
  );
});

test('whatever is called a pod: injected, or refused with a reason', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.record({ metadata: fc.jsonValue(), spec: fc.jsonValue() })), (value) => {
      try {
        inject({ pod: readPod(value), namespace: 'n' }, config);
        t.pass();
      } catch (error) {
        t.true(error instanceof InjectionError, String((error as Error).stack));
      }
    }),
    { numRuns: 500 },
  );
});

test('what a ProxyConfig says of a workload lies over the pod’s own annotation', (t) => {
  const pod = {
    metadata: { annotations: { 'proxy.istio.io/config': 'concurrency: 3\nproxyMetadata: {A: pod, B: pod}' } },
    spec: { containers: [{ name: 'app' }] },
  };
  const own = { ...config, workloadConfig: { concurrency: 1, proxyMetadata: { B: 'chosen' } } };
  const env = new Map(proxyOf(inject({ pod, namespace: 'shop' }, own)).env?.map(({ name, value }) => [name, value]));
  t.is(JSON.parse(env.get('PROXY_CONFIG') ?? '{}').concurrency, 1);
  t.deepEqual([env.get('A'), env.get('B')], ['pod', 'chosen']);
});
