import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CliError } from '../exit.ts';
import { readInstallation } from './input.ts';

function file(t: ExecutionContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-input-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'mesh.yaml');
  writeFileSync(path, text);
  return path;
}

const read = (files: string[], settings: string[] = [], revision?: string) =>
  readInstallation({ files, settings, revision }).installation;

test('settings alone', (t) => {
  const { metadata, spec } = read(
    [],
    ['profile=demo', 'values.global.hub=registry.example.com/mesh', 'components.pilot.k8s.replicaCount=2'],
  );
  t.is(metadata.name, 'default');
  t.deepEqual(spec, {
    profile: 'demo',
    hub: 'registry.example.com/mesh',
    components: { control: { k8s: { replicas: 2 } } },
  } as typeof spec);
});

test('a revision names the installation', (t) => {
  t.is(read([], [], 'canary').metadata.name, 'canary');
  t.is(read([], ['revision=canary']).spec.revision, 'canary');
  t.is(read([], [], 'default').spec.revision, undefined);
});

const istioOperator = `
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: { namespace: mesh, name: example }
spec:
  profile: default
  meshConfig:
    accessLogFile: /dev/stdout
    outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  components:
    base: { enabled: true }
    cni: { enabled: false }
    pilot:
      k8s:
        hpaSpec:
          minReplicas: 2
          maxReplicas: 5
          metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 70 } } }]
        resources: { requests: { cpu: 200m } }
    ingressGateways:
      - name: istio-ingressgateway
        enabled: true
        label: { istio: ingressgateway }
        k8s:
          serviceAnnotations: { example.com/lb: internal }
          service: { type: NodePort }
  values:
    global: { imagePullPolicy: IfNotPresent, proxy: {} }
    gateways: { istio-ingressgateway: {} }
`;

test('an IstioOperator file of Istio is converted', (t) => {
  const { spec } = read([file(t, istioOperator)]);
  t.deepEqual(spec, {
    profile: 'default',
    namespace: 'mesh',
    meshConfig: { accessLogFile: '/dev/stdout', outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } },
    components: {
      control: {
        k8s: {
          imagePullPolicy: 'IfNotPresent',
          hpa: { minReplicas: 2, maxReplicas: 5, targetCpuUtilizationPercent: 70 },
          resources: { requests: { cpu: '200m' } },
        },
      },
      ingressGateways: [
        {
          name: 'istio-ingressgateway',
          enabled: true,
          labels: { istio: 'ingressgateway' },
          k8s: { service: { annotations: { 'example.com/lb': 'internal' }, type: 'NodePort' } },
        },
      ],
    },
  });
});

test('settings go over files', (t) => {
  const { spec } = read([file(t, istioOperator)], ['components.ingressGateways[0].k8s.service.type=ClusterIP']);
  t.is(spec.components?.ingressGateways?.[0].k8s?.service?.type, 'ClusterIP');
  t.deepEqual(spec.components?.ingressGateways?.[0].k8s?.service?.annotations, { 'example.com/lb': 'internal' });
});

test('what has no equivalent is refused by name', (t) => {
  const refuses = (settings: string[], message: RegExp) =>
    t.throws(() => read([], settings), { instanceOf: CliError, message });
  refuses(['values.pilot.traceSampling=1'], /values\.pilot: has no equivalent/);
  refuses(['components.ztunnel.enabled=true'], /components\.ztunnel\.enabled: is true, but there is no such component/);
  refuses(['components.pilot.k8s.overlays[0].kind=x'], /components\.pilot\.k8s\.overlays: has no equivalent/);
  refuses(['values.global.hub=docker.io/istio'], /Istio's images/);
  refuses(['profil=demo'], /--set\.profil: has no equivalent/);
  refuses(['profile=ambient'], /spec\.profile must be one of/);
  refuses(['meshConfig.outboundTrafficPolicy.mode=SOMETIMES'], /spec\.meshConfig\.outboundTrafficPolicy\.mode/);
});

test('unreadable and foreign files are refused by name', (t) => {
  const pod = file(t, 'apiVersion: v1\nkind: Pod\n');
  t.throws(() => read([pod]), { message: /mesh\.yaml: is Pod, but must be/ });
  t.throws(() => read([file(t, 'a: [')]), { instanceOf: CliError, message: /mesh\.yaml/ });
  t.throws(() => read(['/nowhere/mesh.yaml']), { instanceOf: CliError, message: /\/nowhere\/mesh\.yaml/ });
});
