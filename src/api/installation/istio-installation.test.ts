import test from 'ava';
import { resolveMeshConfig, resolveProxyConfig } from '../mesh-config.ts';
import { findingsOf } from '../testing/validation-table.ts';
import type { InstallationProfile } from './istio-installation.ts';
import { profiles, resolve } from './profiles.ts';

function told(spec: unknown): string[] {
  return findingsOf({ apiVersion: 'lateen.dev/v1alpha1', kind: 'IstioInstallation', metadata: { name: 'x' }, spec });
}

const cases: Array<[string, unknown, string[]]> = [
  ['nothing', {}, []],
  ['a profile', { profile: 'demo' }, []],
  [
    'a profile that is none',
    { profile: 'dmo' },
    ['profile: must be one of default, demo, minimal, empty, is "dmo"; did you mean "demo"?'],
  ],
  [
    'a revision that is no name',
    { revision: '1.0' },
    ['revision: must match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$, is "1.0"'],
  ],
  ['mesh configuration', { meshConfig: { accessLogFile: '/dev/stdout', defaultConfig: { drainDuration: '1s' } } }, []],
  [
    'mesh configuration that Istio has and we do not',
    { meshConfig: { ca: { address: 'a' }, accesLogFile: 'x' } },
    [
      'warning meshConfig.ca: is kept but not used',
      'warning meshConfig.accesLogFile: is kept but not used; did you mean "accessLogFile"?',
    ],
  ],
  [
    'a wrong mode',
    { meshConfig: { outboundTrafficPolicy: { mode: 'ALLOW' } } },
    ['meshConfig.outboundTrafficPolicy.mode: must be one of REGISTRY_ONLY, ALLOW_ANY, is "ALLOW"'],
  ],
  [
    'a retry policy',
    { meshConfig: { defaultHttpRetryPolicy: { attempts: 1, retryOn: 'oops' } } },
    ['meshConfig.defaultHttpRetryPolicy.retryOn: "oops" is not a retry condition'],
  ],
  [
    'gateways of one name',
    {
      components: { ingressGateways: [{ name: 'a' }], egressGateways: [{ name: 'a' }, { name: 'a', namespace: 'b' }] },
    },
    ['components.egressGateways[0].name: "a" is used before, in ingressGateways'],
  ],
  [
    'settings',
    {
      components: {
        control: {
          k8s: {
            hpa: { minReplicas: 3, maxReplicas: 2 },
            replicas: 1,
            service: {},
            env: [{ name: 'A', value: 'b', valueFrom: {} }],
          },
        },
      },
    },
    [
      'components.control.k8s.env[0].valueFrom: cannot be set together with value; choose one of value, valueFrom',
      'components.control.k8s.hpa.minReplicas: must be at most maxReplicas (2), is 3',
      'warning components.control.k8s.replicas: is not used: hpa decides how many there are',
      "warning components.control.k8s.service: is not used: the control plane's Service is fixed",
    ],
  ],
];

for (const [title, spec, problems] of cases) test(title, (t) => t.deepEqual(told(spec), problems));

const enabled: Record<InstallationProfile, [control: boolean, ingress: boolean, egress: boolean]> = {
  default: [true, true, false],
  demo: [true, true, true],
  minimal: [true, false, false],
  empty: [false, false, false],
};

for (const profile of Object.keys(profiles) as InstallationProfile[])
  test(`profile ${profile} resolves, and what it resolves to is valid and stays the same`, (t) => {
    const resolved = resolve({ profile });
    const { control, ingressGateways, egressGateways } = resolved.components;
    t.deepEqual([control.enabled, ingressGateways[0].enabled, egressGateways[0].enabled], enabled[profile]);
    t.deepEqual(told(resolved), []);
    t.deepEqual(resolve(resolved), resolved);
  });

test('no spec at all is the default profile', (t) => {
  const resolved = resolve({});
  t.is(resolved.profile, 'default');
  t.is(resolved.namespace, 'istio-system');
  t.is(resolved.revision, 'default');
  t.is(resolved.hub, 'docker.io/lateen');
  t.is(resolved.tag, resolved.version);
  t.is(resolved.meshConfig.defaultConfig?.discoveryAddress, 'istiod.istio-system.svc:15012');
});

test('a revision has an address of its own', (t) => {
  const { meshConfig } = resolve({ revision: 'canary', namespace: 'mesh' });
  t.is(meshConfig.defaultConfig?.discoveryAddress, 'istiod-canary.mesh.svc:15012');
  t.is(meshConfig.rootNamespace, 'mesh');
});

test("what the user gives wins, and what he does not is the profile's", (t) => {
  const { components, meshConfig, version, tag } = resolve({
    profile: 'demo',
    version: '9.9.9',
    meshConfig: { accessLogEncoding: 'JSON', defaultConfig: { concurrency: 2 } },
    components: {
      control: { k8s: { replicas: 2, resources: { requests: { cpu: '1' } } } },
      ingressGateways: [
        { name: 'istio-ingressgateway', k8s: { service: { type: 'NodePort' } } },
        { name: 'private', namespace: 'edge' },
      ],
      egressGateways: [{ name: 'istio-egressgateway', enabled: false }],
    },
  });
  t.deepEqual([version, tag], ['9.9.9', '9.9.9']);
  t.is(meshConfig.accessLogFile, '/dev/stdout');
  t.is(meshConfig.accessLogEncoding, 'JSON');
  t.deepEqual(meshConfig.defaultConfig, {
    discoveryAddress: 'istiod.istio-system.svc:15012',
    tracing: { sampling: 100 },
    concurrency: 2,
  });
  t.deepEqual(components.control.k8s, { replicas: 2, resources: { requests: { cpu: '1', memory: '100Mi' } } });
  const [own, other] = components.ingressGateways;
  t.is(own.k8s.service.type, 'NodePort');
  t.true(own.k8s.service.ports?.some(({ name }) => name === 'tls'));
  t.deepEqual(
    [other.name, other.namespace, other.enabled, other.k8s.service.type],
    ['private', 'edge', true, 'LoadBalancer'],
  );
  t.false(components.egressGateways[0].enabled);
});

test("Istio's defaults lie under a MeshConfig", (t) => {
  const mesh = resolveMeshConfig({
    enableAutoMtls: null,
    trustDomain: 'shop',
    defaultConfig: { proxyMetadata: { A: '1' } },
  });
  t.is(mesh.enableAutoMtls, true);
  t.is(mesh.trustDomain, 'shop');
  t.is(mesh.outboundTrafficPolicy.mode, 'ALLOW_ANY');
  t.is(mesh.defaultConfig.drainDuration, '45s');
  t.is(mesh.defaultConfig.terminationDrainDuration, '5s');
  t.deepEqual(mesh.defaultConfig.proxyMetadata, { A: '1' });
});

test("a workload's ProxyConfig lies over the mesh's", (t) => {
  const config = resolveProxyConfig({ concurrency: 2, proxyMetadata: { A: '1' } }, undefined, {
    concurrency: 0,
    proxyMetadata: { B: '2' },
  });
  t.is(config.concurrency, 0);
  t.is(config.statusPort, 15_020);
  t.deepEqual(config.proxyMetadata, { A: '1', B: '2' });
});
