import test from 'ava';
import { podAddresses, podAddressIn } from './loopback-addresses.ts';
import { type Manifest, plan } from './plan.ts';

const service = (name: string, spec: object): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: name }, ...spec },
});
const deployment = (name: string, ports: object[], replicas?: number): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    ...(replicas !== undefined && { replicas }),
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name, image: name, ports }] } },
  },
});
const withProxy = (pod: Manifest): Manifest => ({
  ...pod,
  spec: { ...pod.spec, initContainers: [{ name: 'istio-proxy', image: 'lateen', ports: [{ containerPort: 15_090 }] }] },
});
const admission = { podAddress: (index: number) => podAddressIn(9, index), inject: withProxy };

const manifests = [
  service('web', { ports: [{ name: 'http', port: 80, targetPort: 'http' }] }),
  service('cart', {
    ports: [{ port: 9080 }, { name: 'dns', port: 53, protocol: 'UDP' }],
  }),
  service('peers', { clusterIP: 'None', ports: [{ port: 7000 }] }),
  deployment('web', [{ name: 'http', containerPort: 8080 }], 2),
  deployment('cart', [{ containerPort: 9080 }, { containerPort: 5353, protocol: 'UDP' }]),
];

test('replicas become pods, and services get addresses and the endpoints that they select', (t) => {
  const planned = plan(manifests, admission);
  t.deepEqual(
    planned.pods.map(({ ip, pod }) => [pod.metadata.name, ip]),
    [
      ['web-0', '127.9.1.1'],
      ['web-1', '127.9.2.1'],
      ['cart-0', '127.9.3.1'],
    ],
  );
  t.deepEqual(
    [...planned.addresses],
    [
      ['web.default', '10.78.0.1'],
      ['cart.default', '10.78.0.2'],
    ],
  );
  const slices = planned.manifests.filter(({ kind }) => kind === 'EndpointSlice');
  t.deepEqual(
    slices.map(({ metadata, ports, endpoints }) => [
      metadata.name,
      (ports as Array<{ port: number }>).map(({ port }) => port),
      (endpoints as Array<{ addresses: string[] }>).flatMap(({ addresses }) => addresses),
    ]),
    [
      ['web-1', [8080], ['127.9.1.1', '127.9.2.1']],
      ['cart-1', [9080, 53], ['127.9.3.1']],
    ],
  );
  t.true(planned.manifests.some(({ kind, metadata }) => kind === 'Namespace' && metadata.name === 'default'));
  t.deepEqual(plan(manifests, admission), planned);
});

test('without namespaces each pod has addresses of its own for itself, its application and every service', (t) => {
  const planned = plan(manifests, admission);
  const web = podAddresses(planned.pods[1], planned);
  t.deepEqual(
    [...web.services],
    [
      ['web.default', '127.9.2.3'],
      ['cart.default', '127.9.2.4'],
    ],
  );
  t.deepEqual(web.interception, {
    host: '127.9.2.1',
    application: '127.9.2.2',
    inbound: [{ at: { ip: '127.9.2.1', port: 8080 }, destination: { ip: '127.9.2.1', port: 8080 } }],
    outbound: [
      { at: { ip: '127.9.2.3', port: 30_080 }, destination: { ip: '10.78.0.1', port: 80 } },
      { at: { ip: '127.9.2.4', port: 9080 }, destination: { ip: '10.78.0.2', port: 9080 } },
    ],
  });
});

test('a pod without a proxy listens at its own address', (t) => {
  const planned = plan(manifests, { ...admission, inject: (pod) => pod });
  t.is(podAddresses(planned.pods[0], planned).interception.application, '127.9.1.1');
});

test('more than there is room for is told', (t) => {
  t.throws(() => plan([deployment('web', [], 201)], admission), { message: /more than 200 pods.*replicas of web/ });
  t.throws(() => podAddressIn(9, 255), { message: /enough for 254 pods/ });
  const many = Array.from({ length: 253 }, (_, i) => service(`s${i}`, { ports: [{ port: 80 }] }));
  const planned = plan([...many, deployment('web', [])], admission);
  t.throws(() => podAddresses(planned.pods[0], planned), { message: /service s252\.default: .* 252 services/ });
  t.throws(
    () => plan([service('web', { ports: [{ port: 80, targetPort: 'http' }] }), deployment('web', [])], admission),
    {
      message: 'pod web-0: no container port is named "http"',
    },
  );
});
