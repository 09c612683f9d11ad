/**
 * The mesh at one moment: what the objects mean, ready to be asked by the translation. Immutable; a snapshot takes over from the
 * one before it every part whose objects are the same, so that what is derived from a part can be kept by that part's identity.
 */
import type { AuthorizationPolicy } from '../../api/istio/authorization-policy.ts';
import type { DestinationRule } from '../../api/istio/destination-rule.ts';
import type { EnvoyFilter } from '../../api/istio/envoy-filter.ts';
import type { Gateway } from '../../api/istio/gateway.ts';
import type { ServiceEntry } from '../../api/istio/service-entry.ts';
import type { Sidecar } from '../../api/istio/sidecar.ts';
import type { Telemetry } from '../../api/istio/telemetry.ts';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import type { WasmPlugin } from '../../api/istio/wasm-plugin.ts';
import { type ResolvedMeshConfig, resolveMeshConfig } from '../../api/mesh-config.ts';
import { type Derived, derive } from '../gateway-api/derive.ts';
import { keyOf } from '../gateway-api/view.ts';
import { type AccessLogging, meshAccessLogging } from './access-logging.ts';
import { type Allocation, allocateAddresses } from './address-allocation.ts';
import type { Endpoint } from './endpoint.ts';
import { EndpointIndex, nothingKnown } from './endpoint-index.ts';
import { MtlsPolicies } from './mtls-mode.ts';
import type { EndpointSliceObject, MeshObjects } from './objects.ts';
import { byAge, byPriority, compare } from './selector.ts';
import { fromService, fromServiceEntry, type Service, type ServicePort } from './service.ts';
import { type Workload, workloadOf } from './workload.ts';

/** The mesh's configuration, and what it comes to. */
export type MeshSettings = ResolvedMeshConfig & { readonly accessLogging: AccessLogging };

/** What is for Envoys alone; the same object as long as none of it changes. */
export interface Extensions {
  /** In the order in which they apply. */
  readonly filters: readonly EnvoyFilter[];
  readonly plugins: readonly WasmPlugin[];
}

export interface Snapshot {
  readonly version: number;
  readonly objects: MeshObjects;
  readonly mesh: MeshSettings;
  readonly domain: string;
  /** In order of host, then of age: of two with one host the first counts. */
  readonly services: readonly Service[];
  readonly serviceByHost: ReadonlyMap<string, Service>;
  /** ServiceEntries for which no address is left. */
  readonly withoutAddress: readonly ServiceEntry[];
  readonly workloadByIp: ReadonlyMap<string, Workload>;
  readonly workloadByName: ReadonlyMap<string, Workload>;
  /** Oldest first, as Istio reads them. */
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly gateways: ReadonlyMap<string, Gateway>;
  readonly authorizationPolicies: readonly AuthorizationPolicy[];
  readonly sidecars: readonly Sidecar[];
  readonly extensions: Extensions;
  readonly telemetries: readonly Telemetry[];
  readonly mtls: MtlsPolicies;
  /** What the kinds of the Kubernetes Gateway API come to; its resources are among those above. */
  readonly gatewayApi: Derived;
  /** Changes exactly when something other than endpoints and pods has changed. */
  readonly configVersion: number;
  /**
   * Services whose EndpointSlices differ from those of the snapshot before, when nothing else does that anything is made of; else null.
   * What a proxy has is then the same but for their endpoints.
   */
  readonly endpointsChanged: readonly Service[] | null;
  endpoints(service: Service, port: ServicePort): readonly Endpoint[];
  /** Service accounts behind a service, as SPIFFE paths `ns/NAMESPACE/sa/NAME`, sorted. */
  identities(service: Service): readonly string[];
}

export function buildSnapshot(objects: MeshObjects, previous: Snapshot | null): Snapshot {
  const before = previous?.objects;
  const same = (...keys: Array<keyof MeshObjects>) =>
    before !== undefined && keys.every((key) => before[key] === objects[key]);
  const keep = <T>(value: T | undefined, make: () => T, ...keys: Array<keyof MeshObjects>): T =>
    value !== undefined && same(...keys) ? value : make();

  const mesh = keep(previous?.mesh, () => settingsOf(objects.meshConfig), 'meshConfig');
  const allocation = keep(
    previous ? allocations.get(previous) : undefined,
    () => allocateAddresses(objects.serviceEntries.values()),
    'serviceEntries',
  );
  const services = keep(
    previous?.services,
    () => servicesOf(objects, allocation),
    'services',
    'serviceEntries',
    'clusterDomain',
  );
  const workloads = keep(
    previous ? { byIp: previous.workloadByIp, byName: previous.workloadByName } : undefined,
    () => workloadsOf(objects, previous),
    'pods',
    'nodes',
    'clusterId',
  );
  const serviceByHost = services === previous?.services ? previous.serviceByHost : firstByHost(services);
  const gatewayApi = keep(
    previous !== null && serviceByHost === previous.serviceByHost ? previous.gatewayApi : undefined,
    () => derive(objects, serviceByHost, previous?.gatewayApi ?? null),
    ...gatewayApiTables,
  );
  const configSame =
    previous !== null &&
    services === previous.services &&
    gatewayApi === previous.gatewayApi &&
    same(
      'virtualServices',
      'destinationRules',
      'gateways',
      'authorizationPolicies',
      'peerAuthentications',
      'requestAuthentications',
      'sidecars',
      'workloadEntries',
      'telemetries',
      'envoyFilters',
      'wasmPlugins',
      'meshConfig',
      'namespaces',
    );

  const lastIndex = previous && indices.get(previous);
  const index = new EndpointIndex(
    keep(lastIndex?.slices, () => slicesByService(objects), 'endpointSlices'),
    workloads.byIp,
    [...workloads.byName.values()],
    keep(lastIndex?.entries, () => [...objects.workloadEntries.values()], 'workloadEntries'),
    lastIndex?.known(services === previous?.services ? null : services) ?? nothingKnown,
  );

  const snapshot: Snapshot = {
    version: (previous?.version ?? 0) + 1,
    objects,
    mesh,
    domain: objects.clusterDomain,
    services,
    serviceByHost,
    withoutAddress: allocation.exhausted,
    workloadByIp: workloads.byIp,
    workloadByName: workloads.byName,
    virtualServices: keep(
      gatewayApi.virtualServices === previous?.gatewayApi.virtualServices ? previous.virtualServices : undefined,
      () => [...objects.virtualServices.values(), ...gatewayApi.virtualServices].sort(byAge),
      'virtualServices',
    ),
    destinationRules: keep(
      gatewayApi.destinationRules === previous?.gatewayApi.destinationRules ? previous.destinationRules : undefined,
      () => [...objects.destinationRules.values(), ...gatewayApi.destinationRules].sort(byAge),
      'destinationRules',
    ),
    gateways: keep(
      gatewayApi.gateways === previous?.gatewayApi.gateways ? previous.gateways : undefined,
      () => new Map([...objects.gateways, ...gatewayApi.gateways.map((each) => [keyOf(each), each] as const)]),
      'gateways',
    ),
    gatewayApi,
    authorizationPolicies: keep(
      previous?.authorizationPolicies,
      () => [...objects.authorizationPolicies.values()].sort(byAge),
      'authorizationPolicies',
    ),
    sidecars: keep(previous?.sidecars, () => [...objects.sidecars.values()].sort(byAge), 'sidecars'),
    extensions: keep(
      previous?.extensions,
      () => ({
        filters: [...objects.envoyFilters.values()].sort(byPriority),
        plugins: [...objects.wasmPlugins.values()],
      }),
      'envoyFilters',
      'wasmPlugins',
    ),
    telemetries: keep(previous?.telemetries, () => [...objects.telemetries.values()].sort(byAge), 'telemetries'),
    mtls: keep(
      previous?.mtls,
      () => new MtlsPolicies(objects.peerAuthentications.values(), mesh.rootNamespace),
      'peerAuthentications',
      'meshConfig',
    ),
    endpointsChanged:
      configSame && lastIndex && same('pods', 'nodes', 'secrets', 'caCertificates')
        ? changedServices(lastIndex, index, serviceByHost, objects.clusterDomain)
        : null,
    configVersion: configSame ? previous.configVersion : (previous?.configVersion ?? 0) + 1,
    endpoints: index.endpoints.bind(index),
    identities: index.identities.bind(index),
  };
  indices.set(snapshot, index);
  allocations.set(snapshot, allocation);
  return snapshot;
}

/** All that `derive` reads; services as well. */
const gatewayApiTables = [
  'gatewayClasses',
  'kubernetesGateways',
  'httpRoutes',
  'grpcRoutes',
  'tlsRoutes',
  'tcpRoutes',
  'referenceGrants',
  'backendTlsPolicies',
  'secrets',
  'caCertificates',
  'services',
  'serviceEntries',
  'namespaces',
  'clusterDomain',
] as const;

const indices = new WeakMap<Snapshot, EndpointIndex>();
const allocations = new WeakMap<Snapshot, Allocation>();

/** Null when a change reaches further than endpoints: to whom callers of a service trust, or to one whose endpoints are listeners. */
function changedServices(
  before: EndpointIndex,
  now: EndpointIndex,
  serviceByHost: ReadonlyMap<string, Service>,
  domain: string,
): readonly Service[] | null {
  const changed: Service[] = [];
  for (const key of new Set([...before.slices.keys(), ...now.slices.keys()])) {
    const [old, own] = [before.slices.get(key) ?? [], now.slices.get(key) ?? []];
    if (old === own || (old.length === own.length && old.every((slice, i) => slice === own[i]))) continue;
    const [namespace, name] = key.split('/');
    const service = serviceByHost.get(`${name}.${namespace}.svc.${domain}`);
    if (!service) continue;
    const [trusted, trustedNow] = [before.identities(service), now.identities(service)];
    if (service.headless || trusted.join() !== trustedNow.join()) return null;
    changed.push(service);
  }
  return changed;
}

function settingsOf(given: MeshObjects['meshConfig']): MeshSettings {
  const mesh = resolveMeshConfig(given);
  return { ...mesh, accessLogging: meshAccessLogging(mesh) };
}

function servicesOf(objects: MeshObjects, { addresses }: Allocation): Service[] {
  const entries = [...objects.serviceEntries.values()].sort(byAge);
  const native = [...objects.services.values()].sort(byAge);
  const services = [
    ...native.flatMap((object) =>
      converted(object, objects.clusterDomain, () => [fromService(object, objects.clusterDomain)]),
    ),
    ...entries.flatMap((object) => {
      const allocated = addresses.get(object);
      return converted(object, [...(allocated?.values() ?? [])].join(), () => fromServiceEntry(object, allocated));
    }),
  ];
  // A stable sort: of equal hosts the one that came first stays first.
  return services.sort((a, b) => compare(a.host, b.host));
}

const servicesByObject = new WeakMap<object, { given: string; services: readonly Service[] }>();

/** An object that did not change stands for the same services, down to their identity; `given` is what they come of besides. */
function converted(object: object, given: string, make: () => Service[]): readonly Service[] {
  const known = servicesByObject.get(object);
  if (known?.given === given) return known.services;
  const services = make();
  servicesByObject.set(object, { given, services });
  return services;
}

function firstByHost(services: readonly Service[]): Map<string, Service> {
  const byHost = new Map<string, Service>();
  for (const service of services) if (!byHost.has(service.host)) byHost.set(service.host, service);
  return byHost;
}

function workloadsOf(objects: MeshObjects, previous: Snapshot | null) {
  const byIp = new Map<string, Workload>();
  const byName = new Map<string, Workload>();
  const before = previous && previous.objects.nodes === objects.nodes ? previous : null;
  for (const [key, pod] of objects.pods) {
    const { phase } = pod.status ?? {};
    const known = before?.objects.pods.get(key) === pod ? before.workloadByName.get(key) : undefined;
    const workload = known ?? workloadOf(pod, objects.nodes.get(pod.spec.nodeName ?? ''), objects.clusterId);
    byName.set(key, workload);
    // The addresses of a pod on its node's network are not its own; those of one that has ended may be another's by now.
    if (!pod.spec.hostNetwork && phase !== 'Succeeded' && phase !== 'Failed')
      for (const ip of workload.ips) byIp.set(ip, workload);
  }
  return { byIp, byName };
}

function slicesByService(objects: MeshObjects): Map<string, EndpointSliceObject[]> {
  const byService = new Map<string, EndpointSliceObject[]>();
  for (const slice of objects.endpointSlices.values()) {
    const key = `${slice.metadata.namespace}/${slice.metadata.labels?.['kubernetes.io/service-name'] ?? ''}`;
    const list = byService.get(key);
    if (list) list.push(slice);
    else byService.set(key, [slice]);
  }
  return byService;
}
