/**
 * The leader's work for the Kubernetes Gateway API: the GatewayClass, what runs each Gateway, and what its kinds' statuses say.
 *
 *   snapshot ──► what should be, by key ──► queue of the keys that changed ──► API server
 */
import type { GatewayClass, KubernetesGateway } from '../../api/gateway/gateway.ts';
import type { BackendTlsPolicy } from '../../api/gateway/policies.ts';
import type { RouteResource } from '../../api/gateway/routes.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isConflict, isNotFound } from '../../kube/error.ts';
import { Informer } from '../../kube/informer.ts';
import { type ApiObject, deployments, keyOf, type Resource, serviceAccounts, services } from '../../kube/object.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import { fails } from '../gateway-api/condition.ts';
import { defaultClassName, type OwnGateway } from '../gateway-api/gateways.ts';
import { controllerName } from '../gateway-api/view.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Mesh } from '../serve/mesh.ts';
import { gatewayApiResources } from '../watch/gateway-api.ts';
import { classStatus, gatewayStatus, policyStatus, routeStatus } from './status.ts';
import { managedLabel, workloadsOf } from './workloads.ts';

export interface GatewayControllerOptions {
  client: KubeClient;
  mesh: Pick<Mesh, 'snapshot' | 'onSnapshot'>;
  revision: string;
  onError(error: Error): void;
}

const fieldManager = 'lateen-gateway-controller';
/** How often to look for the API's definitions, which users may install at any time. */
const absentRetryMs = 10_000;
/** A status is written when changes have come to rest for so long. */
const settleMs = 50;

/** What should be there of one object: written when `text` is not what was written last. One that was deleted and made anew has another uid. */
interface Wanted {
  readonly text: string;
  write(): Promise<void>;
}

type StatusObject = ApiObject & { status?: object };

export async function followGateways(options: GatewayControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, mesh, revision, onError } = options;
  const wanted = new Map<string, Wanted>();
  const written = new Map<string, string>();
  const queue = new WorkQueue({
    concurrency: 4,
    onError: (_, error) => onError(error),
    process: async (key) => {
      if (key === '') return look();
      const want = wanted.get(key);
      if (!want || written.get(key) === want.text) return undefined;
      await want.write();
      written.set(key, want.text);
      return undefined;
    },
  });

  async function look() {
    const { snapshot } = mesh;
    if (!snapshot) return { requeueAfterMs: absentRetryMs };
    const now = new Map<string, Wanted>();
    for (const [key, want] of statuses(client, snapshot)) now.set(key, want);
    for (const [key, want] of workloads(client, snapshot, revision)) now.set(key, want);
    // What a route's status says of Gateways that it no longer names is to be taken back.
    for (const [key, { kind, of, namespace, name }] of reported)
      if (!now.has(key)) now.set(key, emptied(client, kind, of, namespace, name));
    for (const key of wanted.keys()) if (!now.has(key)) written.delete(key);
    wanted.clear();
    for (const [key, want] of now) {
      wanted.set(key, want);
      if (written.get(key) !== want.text) queue.add(key);
    }
    for (const { route } of snapshot.gatewayApi.routes) remember(route);
    for (const { policy } of snapshot.gatewayApi.policies) remember(policy);
    for (const [key, { of, namespace, name }] of reported)
      if (!tableOf(snapshot, of.kind)?.has(`${namespace}/${name}`)) reported.delete(key);
    if (snapshot.objects.gatewayClasses.has(defaultClassName)) return undefined;
    await createClass(client);
    return { requeueAfterMs: absentRetryMs };
  }

  /** Routes and policies that may have a word of ours in their status. */
  const reported = new Map<string, { kind: 'route' | 'policy'; of: Resource; namespace: string; name: string }>();
  function remember({ kind, metadata }: RouteResource | BackendTlsPolicy): void {
    const { namespace = '', name = '' } = metadata;
    reported.set(statusKey(kind, `${namespace}/${name}`), {
      kind: kind === 'BackendTLSPolicy' ? 'policy' : 'route',
      of: gatewayApiResources[kind],
      namespace,
      name,
    });
  }

  /** What an earlier leader said. */
  async function recall(): Promise<void> {
    for (const kind of ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'BackendTLSPolicy'] as const) {
      const { items } = await client.list(gatewayApiResources[kind], { signal }).catch(() => ({ items: [] }));
      for (const item of items)
        if (JSON.stringify((item as StatusObject).status ?? {}).includes(controllerName))
          remember(item as unknown as RouteResource);
    }
  }

  await recall();
  // What is deleted or changed by hand is made anew; a missing Service shows in the snapshot.
  const informers = [deployments, serviceAccounts, services].map((kind) => {
    const informer = new Informer(client, kind as Resource, {
      labelSelector: managedLabel,
      onError,
      project: ({ metadata }) => ({ uid: metadata?.uid, generation: metadata?.generation, key: metadata?.name }),
    });
    const again = (key: string) => {
      const name = workloadKey(kind.kind, key);
      if (!written.delete(name)) return;
      if (wanted.has(name)) queue.add(name);
    };
    informer.on({
      update: (after, before, key) => {
        if (after.generation !== before.generation) again(key);
      },
      delete: (_, key) => again(key),
    });
    return informer.start();
  });
  queue.start();
  const stopListening = mesh.onSnapshot(() => queue.addAfter('', settleMs));
  queue.add('');
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stopListening();
  await Promise.all([queue.stop(), ...informers.map((informer) => informer.stop())]);
}

async function createClass(client: KubeClient): Promise<void> {
  const object = {
    apiVersion: gatewayApiResources.GatewayClass.apiVersion,
    kind: 'GatewayClass',
    metadata: { name: defaultClassName },
    spec: { controllerName, description: 'The default Istio GatewayClass' },
  } as unknown as GatewayClass & ApiObject;
  try {
    await client.create(gatewayApiResources.GatewayClass, object, { fieldManager });
  } catch (error) {
    // The API is not installed, or somebody was faster.
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}

const statusKey = (kind: string, key: string): string => `status ${kind} ${key}`;
const workloadKey = (kind: string, key: string): string => `workload ${kind} ${key}`;

function tableOf({ objects }: Snapshot, kind: string): ReadonlyMap<string, unknown> | undefined {
  const tables: Record<string, ReadonlyMap<string, unknown>> = {
    HTTPRoute: objects.httpRoutes,
    GRPCRoute: objects.grpcRoutes,
    TLSRoute: objects.tlsRoutes,
    TCPRoute: objects.tcpRoutes,
    BackendTLSPolicy: objects.backendTlsPolicies,
  };
  return tables[kind];
}

/** An address alone takes no traffic: without a pod that is ready, a Gateway is not programmed yet. */
function withReadiness(own: OwnGateway, { serviceByHost, domain, endpoints }: Snapshot): OwnGateway {
  const { namespace } = own.workloads;
  const service = own.deployment && serviceByHost.get(`${own.deployment}.${namespace}.svc.${domain}`);
  if (!service || service.ports.some((port) => endpoints(service, port).length > 0)) return own;
  const pending = fails('Programmed', 'Pending', `no pod of Service "${namespace}/${own.deployment}" is ready yet`);
  return {
    ...own,
    conditions: own.conditions.map((fact) => (fact.type === 'Programmed' && fact.status === 'True' ? pending : fact)),
  };
}

function* statuses(client: KubeClient, snapshot: Snapshot): Generator<[string, Wanted]> {
  const { objects, gatewayApi } = snapshot;
  const { GatewayClass: classes, Gateway: gateways, BackendTLSPolicy: policies } = gatewayApiResources;
  const { ownGateways, attachedRoutes } = gatewayApi;
  for (const name of gatewayApi.classes) {
    const { uid, generation } = objects.gatewayClasses.get(name)?.metadata ?? {};
    const status = (object: unknown, now: string) => classStatus(object as GatewayClass, now);
    yield [
      statusKey('GatewayClass', name),
      wantedStatus(client, classes, undefined, name, `${uid} ${generation}`, status),
    ];
  }
  for (const each of ownGateways) {
    const own = withReadiness(each, snapshot);
    const { namespace = '', name = '', uid, generation } = own.gateway.metadata;
    const counts = own.listeners.map(
      ({ listener }) => attachedRoutes.get(`${namespace}/${name}/${listener.name}`) ?? 0,
    );
    const { addresses, conditions, listeners } = own;
    const text = JSON.stringify([
      uid,
      generation,
      addresses,
      conditions,
      listeners.map((each) => [each.listener.name, each.kinds, each.conditions]),
      counts,
    ]);
    const status = (object: unknown, now: string) =>
      gatewayStatus(object as KubernetesGateway, own, attachedRoutes, now);
    yield [statusKey('Gateway', `${namespace}/${name}`), wantedStatus(client, gateways, namespace, name, text, status)];
  }
  for (const report of gatewayApi.routes) {
    const { kind, metadata } = report.route;
    const { namespace = '', name = '', uid, generation } = metadata;
    const status = (object: unknown, now: string) => routeStatus(object as RouteResource, report, now);
    const text = JSON.stringify([uid, generation, report.parents]);
    yield [
      statusKey(kind, `${namespace}/${name}`),
      wantedStatus(client, gatewayApiResources[kind], namespace, name, text, status),
    ];
  }
  for (const report of gatewayApi.policies) {
    const { namespace = '', name = '', uid, generation } = report.policy.metadata;
    const status = (object: unknown, now: string) => policyStatus(object as BackendTlsPolicy, report, now);
    const text = JSON.stringify([uid, generation, report.ancestors, report.conditions]);
    yield [
      statusKey('BackendTLSPolicy', `${namespace}/${name}`),
      wantedStatus(client, policies, namespace, name, text, status),
    ];
  }
}

function emptied(client: KubeClient, kind: 'route' | 'policy', of: Resource, namespace: string, name: string): Wanted {
  return wantedStatus(client, of, namespace, name, '', (object, now) =>
    kind === 'route'
      ? routeStatus(object as RouteResource, null, now)
      : policyStatus(object as BackendTlsPolicy, null, now),
  );
}

function wantedStatus(
  client: KubeClient,
  of: Resource,
  namespace: string | undefined,
  name: string,
  text: string,
  statusFrom: (object: unknown, now: string) => object | undefined,
): Wanted {
  return {
    text,
    async write() {
      const object = (await client.get(of, name, namespace)) as StatusObject | null;
      if (!object) return;
      const status = statusFrom(object, new Date().toISOString());
      if (status === undefined || JSON.stringify(ordered(status)) === JSON.stringify(ordered(object.status ?? {})))
        return;
      try {
        await client.patchStatus(of, name, namespace, status);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
}

/** Alike for what differs in the order of its fields alone. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, ordered(each)]),
  );
}

function* workloads(
  client: KubeClient,
  { objects, gatewayApi }: Snapshot,
  revision: string,
): Generator<[string, Wanted]> {
  const resources: Record<string, Resource> = {
    ServiceAccount: serviceAccounts as Resource,
    Service: services as Resource,
    Deployment: deployments as Resource,
  };
  for (const { gateway, deployment, conditions } of gatewayApi.ownGateways) {
    const isAccepted = conditions.every(({ type, status }) => type !== 'Accepted' || status === 'True');
    if (deployment === null || !isAccepted || objects.namespaces.get(gateway.metadata.namespace ?? '') === undefined)
      continue;
    for (const object of workloadsOf(gateway, deployment, revision))
      yield [
        workloadKey(object.kind, keyOf(object)),
        {
          text: JSON.stringify(object),
          async write() {
            await client.apply(resources[object.kind], object, { fieldManager });
          },
        },
      ];
  }
}
