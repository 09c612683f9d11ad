/** The mesh that every case is set in, and a case's resources in it, translated for whoever asks. */
import { parseAllDocuments } from 'yaml';
import { validate } from '../../src/api/validate.ts';
import { type MeshObjects, noObjects } from '../../src/control/model/objects.ts';
import { buildSnapshot } from '../../src/control/model/snapshot.ts';
import { scopeOf } from '../../src/control/translate/scope.ts';
import { type Translation, translate } from '../../src/control/translate/translate.ts';
import { MeshStore } from '../../src/control/watch/store.ts';
import type { ApiObject } from '../../src/kube/object.ts';
import type { MeshCase } from './case.ts';

interface Served {
  readonly name: string;
  readonly namespace: string;
  readonly versions: readonly string[];
  readonly port: number;
}

const served: readonly Served[] = [
  { name: 'reviews', namespace: 'shop', versions: ['v1', 'v2', 'v3'], port: 80 },
  { name: 'ratings', namespace: 'shop', versions: ['v1', 'v2'], port: 80 },
  { name: 'details', namespace: 'shop', versions: ['v1'], port: 80 },
  { name: 'cart', namespace: 'other', versions: ['v1'], port: 80 },
  // Istio's example.
  { name: 'productpage', namespace: 'default', versions: ['v1'], port: 9080 },
  { name: 'reviews', namespace: 'default', versions: ['v1', 'v2', 'v3'], port: 9080 },
  { name: 'ratings', namespace: 'default', versions: ['v1', 'v2', 'v2-mysql', 'v2-mysql-vm'], port: 9080 },
  { name: 'details', namespace: 'default', versions: ['v1', 'v2'], port: 9080 },
];

/** By address. */
export const podAt = new Map<string, string>();

function* pods(): Generator<object> {
  for (const [i, { name, namespace, versions, port }] of served.entries()) {
    yield {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace } },
      spec: {
        clusterIP: `10.96.0.${10 + i}`,
        selector: { app: name },
        ports: [{ name: 'http', port, targetPort: 8080 }],
      },
    };
    const addresses: string[] = [];
    for (const [j, version] of versions.entries()) {
      const ip = `10.1.${i}.${j + 1}`;
      podAt.set(ip, `${name}-${version}`);
      addresses.push(ip);
      yield {
        ...{
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: `${name}-${version}`, namespace, labels: { app: name, version } },
        },
        ...{ spec: { containers: [] }, status: { podIP: ip, phase: 'Running' } },
      };
    }
    yield {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
      metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
      ...{ addressType: 'IPv4', ports: [{ name: 'http', port: 8080 }] },
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    };
  }
  yield {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'istio-ingressgateway', namespace: 'istio-system' } },
    spec: {
      clusterIP: '10.96.0.99',
      selector: { istio: 'ingressgateway' },
      ports: [{ name: 'http2', port: 80, targetPort: 8080 }],
    },
  };
}

const gatewayClass = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'GatewayClass',
  metadata: { name: 'istio' },
  spec: { controllerName: 'istio.io/gateway-controller' },
};

const base = [gatewayClass, ...pods()] as ApiObject[];

/** Throws when a resource is not acceptable: a case must not test what nobody can apply. */
function objectsOf({ name, resources }: MeshCase): MeshObjects {
  const store = new MeshStore({ clusterDomain: 'cluster.local', clusterId: 'Kubernetes' });
  const given = parseAllDocuments(resources).flatMap((document) => (document.toJS() as ApiObject | null) ?? []);
  for (const object of given) {
    const { errors } = validate(object);
    if (errors.length > 0) throw new Error(`${name}: ${errors[0].path}: ${errors[0].message}`);
  }
  for (const object of given)
    object.metadata = { ...object.metadata, namespace: object.metadata?.namespace ?? 'default' };
  for (const object of [...base, ...given]) store.put(object);
  return { ...noObjects, ...store.read() };
}

export function translated(one: MeshCase): Translation {
  const { namespace = 'shop', labels = { app: 'client' }, from = 'sidecar', locality } = one;
  const snapshot = buildSnapshot(objectsOf(one), null);
  const node =
    from === 'sidecar'
      ? {
          id: `sidecar~10.9.0.1~client.${namespace}~${namespace}.svc.cluster.local`,
          metadata: { NAMESPACE: namespace, LABELS: labels },
        }
      : {
          id: 'router~10.9.0.2~gateway.istio-system~istio-system.svc.cluster.local',
          metadata: { NAMESPACE: 'istio-system', LABELS: { istio: 'ingressgateway' } },
        };
  const at = locality && { region: locality.region, zone: locality.zone, subzone: locality.sub_zone };
  return translate(snapshot, scopeOf({ ...node, locality: at, userAgentName: 'envoy' }, snapshot));
}
