/** A mesh of any size: services in several namespaces, two pods each, and one client in each of the first pods' places. */
import { type MeshObjects, noObjects } from '../../src/control/model/objects.ts';
import type { ChangeScope } from '../../src/control/watch/source.ts';

/** One endpoint, one VirtualService, one more Service, everything, or nothing that matters. */
export type Change = 'endpoint' | 'virtualService' | 'service' | 'everything' | 'nothing';

const made = '2026-01-01T00:00:00Z';
const namespaceOf = (i: number, namespaces: number): string => `team-${i % namespaces}`;
const ip = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

/** `service-I` in `team-(I mod namespaces)`; clients are pods `client-I`. */
export function meshOf(services: number, namespaces: number, clients: number): MeshObjects {
  const objects = {
    services: new Map<string, unknown>(),
    endpointSlices: new Map<string, unknown>(),
    pods: new Map<string, unknown>(),
    namespaces: new Map<string, unknown>(),
    virtualServices: new Map<string, unknown>(),
    destinationRules: new Map<string, unknown>(),
  };
  for (let i = 0; i < namespaces; i++) objects.namespaces.set(`team-${i}`, { metadata: { name: `team-${i}` } });
  for (let i = 0; i < services; i++) {
    const namespace = namespaceOf(i, namespaces);
    const [service, slice, pods] = serviceWithPods(i, namespace, true);
    objects.services.set(`${namespace}/service-${i}`, service);
    objects.endpointSlices.set(`${namespace}/service-${i}`, slice);
    for (const [key, pod] of pods) objects.pods.set(key, pod);
    if (i % 10 === 0) objects.virtualServices.set(`${namespace}/service-${i}`, virtualService(i, namespace, 3));
  }
  for (let i = 0; i < clients; i++) {
    const namespace = namespaceOf(i, namespaces);
    const name = `client-${i}`;
    objects.pods.set(`${namespace}/${name}`, podOf(name, namespace, 'client', clientIp(i)));
  }
  return { ...noObjects, ...objects } as unknown as MeshObjects;
}

export const clientIp = (i: number): string => ip((200 << 16) + i + 1);

function podOf(name: string, namespace: string, app: string, address: string) {
  return {
    metadata: { name, namespace, labels: { app, 'security.istio.io/tlsMode': 'istio' }, creationTimestamp: made },
    spec: { serviceAccountName: app, containers: [] },
    status: { podIP: address, phase: 'Running' },
  };
}

function serviceWithPods(i: number, namespace: string, ready: boolean) {
  const name = `service-${i}`;
  const addresses = [ip(2 * i + 1), ip(2 * i + 2)];
  const service = {
    metadata: { name, namespace, creationTimestamp: made },
    spec: {
      clusterIP: ip((100 << 16) + i + 1),
      selector: { app: name },
      ports: [{ name: 'http', port: 80, targetPort: 8080 }],
    },
  };
  const slice = {
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
    ...{ addressType: 'IPv4', ports: [{ name: 'http', port: 8080 }] },
    endpoints: addresses.map((address, j) => ({ addresses: [address], conditions: { ready: ready || j > 0 } })),
  };
  const pods = addresses.map(
    (address, j) => [`${namespace}/${name}-${j}`, podOf(`${name}-${j}`, namespace, name, address)] as const,
  );
  return [service, slice, pods] as const;
}

function virtualService(i: number, namespace: string, seconds: number) {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `service-${i}`, namespace, creationTimestamp: made },
    spec: {
      hosts: [`service-${i}`],
      http: [{ timeout: `${seconds}s`, route: [{ destination: { host: `service-${i}` } }] }],
    },
  };
}

function put(
  objects: MeshObjects,
  table: keyof MeshObjects,
  entries: Iterable<readonly [string, unknown]>,
): MeshObjects {
  const map = new Map<string, unknown>(objects[table] as ReadonlyMap<string, unknown>);
  for (const [key, value] of entries) map.set(key, value);
  return { ...objects, [table]: map } as MeshObjects;
}

/** Each call makes a change that differs from the one before. */
export function changed(objects: MeshObjects, change: Change): { objects: MeshObjects; scope: ChangeScope } {
  const namespaces = objects.namespaces.size;
  const count = objects.services.size;
  switch (change) {
    case 'endpoint': {
      const key = `${namespaceOf(0, namespaces)}/service-0`;
      const wasReady = objects.endpointSlices.get(key)?.endpoints?.[0].conditions?.ready !== false;
      return {
        objects: put(objects, 'endpointSlices', [[key, serviceWithPods(0, namespaceOf(0, namespaces), !wasReady)[1]]]),
        scope: 'endpoints',
      };
    }
    case 'virtualService': {
      const key = `${namespaceOf(0, namespaces)}/service-0`;
      const before = Number.parseInt(objects.virtualServices.get(key)?.spec.http?.[0].timeout ?? '3', 10);
      return {
        objects: put(objects, 'virtualServices', [[key, virtualService(0, namespaceOf(0, namespaces), before + 1)]]),
        scope: 'configuration',
      };
    }
    case 'service': {
      const namespace = namespaceOf(count, namespaces);
      const [service, slice, pods] = serviceWithPods(count, namespace, true);
      const key = `${namespace}/service-${count}`;
      const services = put(objects, 'services', [[key, service]]);
      return { objects: put(put(services, 'endpointSlices', [[key, slice]]), 'pods', pods), scope: 'configuration' };
    }
    case 'everything': {
      const before = Number.parseInt(objects.meshConfig.connectTimeout ?? '10', 10);
      const accessLogFile = objects.meshConfig.accessLogFile ? '' : '/dev/stdout';
      return {
        objects: { ...objects, meshConfig: { ...objects.meshConfig, connectTimeout: `${before + 1}s`, accessLogFile } },
        scope: 'configuration',
      };
    }
    case 'nothing':
      return { objects: { ...objects, namespaces: new Map(objects.namespaces) }, scope: 'configuration' };
  }
}
