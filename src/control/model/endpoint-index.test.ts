import test from 'ava';
import { type EndpointSliceObject, noObjects, type PodObject, type ServiceObject } from './objects.ts';
import { buildSnapshot, type Snapshot } from './snapshot.ts';

const service = (name: string): [string, ServiceObject] => [
  `shop/${name}`,
  { metadata: { name, namespace: 'shop' }, spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] } },
];
const slice = (name: string, address: string): [string, EndpointSliceObject] => [
  `shop/${name}`,
  {
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  },
];

const pod: [string, PodObject] = [
  'shop/till-1',
  {
    metadata: { name: 'till-1', namespace: 'shop', labels: { app: 'till' } },
    spec: { serviceAccountName: 'till', containers: [] },
    status: { podIP: '10.1.0.2', phase: 'Running' },
  },
];

test('endpoints that nobody asks about for a while are the same ones when somebody does', (t) => {
  let objects = {
    ...noObjects,
    pods: new Map([pod]),
    services: new Map([service('cart'), service('till')]),
    endpointSlices: new Map([slice('cart', '10.1.0.1'), slice('till', '10.1.0.2')]),
  };
  const of = ({ serviceByHost, endpoints }: Snapshot, name: string) => {
    const found = serviceByHost.get(`${name}.shop.svc.cluster.local`);
    return found ? endpoints(found, found.ports[0]) : [];
  };
  let snapshot = buildSnapshot(objects, null);
  const till = of(snapshot, 'till');
  t.is(till.length, 1);
  for (const address of ['10.1.0.3', '10.1.0.4', '10.1.0.5']) {
    objects = { ...objects, endpointSlices: new Map([...objects.endpointSlices, slice('cart', address)]) };
    snapshot = buildSnapshot(objects, snapshot);
    t.deepEqual(
      snapshot.endpointsChanged?.map(({ name }) => name),
      ['cart'],
    );
    t.is(of(snapshot, 'cart')[0].address, address);
  }
  t.is(of(snapshot, 'till'), till);
});
