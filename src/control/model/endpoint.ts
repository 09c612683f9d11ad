/** The addresses behind a service's port. */
import type { WorkloadEntry } from '../../api/istio/workload-entry.ts';
import type { EndpointSliceObject } from './objects.ts';
import { compare, type Labels, matchesLabels } from './selector.ts';
import type { Service, ServicePort } from './service.ts';
import { type Locality, localityNamed, nowhere, type Workload } from './workload.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly labels: Labels;
  readonly meshed: boolean;
  readonly locality: Locality;
  /** The Kubernetes node that it runs on; '' when unknown. */
  readonly node: string;
  /** As its WorkloadEntry or ServiceEntry names it; pods have a label for it. */
  readonly network: string;
  readonly workload: string;
  readonly serviceAccount: string;
  readonly namespace: string;
  readonly weight: number;
  /** Of a pod; '' otherwise. */
  readonly podName: string;
  /** The name that a pod has below its service's, as one of a StatefulSet does; '' otherwise. */
  readonly hostname: string;
}

export interface EndpointSources {
  slices: readonly EndpointSliceObject[];
  workloadByIp: ReadonlyMap<string, Workload>;
  workloads: readonly Workload[];
  entries: readonly WorkloadEntry[];
}

/** In a fixed order, so that the same endpoints always make the same message. */
export function endpointsOf(service: Service, port: ServicePort, sources: EndpointSources): Endpoint[] {
  const found = new Map<string, Endpoint>();
  const add = (endpoint: Endpoint) => found.set(`${endpoint.address} ${endpoint.port}`, endpoint);
  if (service.native) for (const slice of sources.slices) addSlice(service, port, slice, sources.workloadByIp, add);
  for (const fixed of service.fixedEndpoints)
    add({
      address: fixed.address,
      port: fixed.ports[port.name] ?? Number(port.target),
      labels: fixed.labels,
      meshed: !service.external && fixed.labels['security.istio.io/tlsMode'] === 'istio',
      locality: fixed.locality,
      node: '',
      network: fixed.network,
      workload: '',
      serviceAccount: fixed.serviceAccount,
      namespace: service.namespace,
      weight: fixed.weight,
      podName: '',
      hostname: '',
    });
  if (!service.native && service.selector)
    for (const workload of sources.workloads)
      if (workload.namespace === service.namespace && matchesLabels(service.selector, workload.labels))
        for (const address of workload.ips) add(ofWorkload(workload, address, Number(port.target), ''));
  if (service.selector && Object.keys(service.selector).length > 0)
    for (const entry of sources.entries) {
      const endpoint = ofEntry(entry, service, port);
      if (endpoint !== null) add(endpoint);
    }
  return [...found.values()].sort((a, b) => compare(a.address, b.address) || a.port - b.port);
}

/** Null when the service does not select it; one without an address is reached in a way that we do not have. */
function ofEntry({ metadata, spec }: WorkloadEntry, service: Service, port: ServicePort): Endpoint | null {
  const { namespace = '', name = '' } = metadata;
  const labels = { ...metadata.labels, ...spec.labels };
  if (namespace !== service.namespace || !spec.address || !matchesLabels(service.selector ?? {}, labels)) return null;
  const target = Number(port.target);
  return {
    address: spec.address,
    port: spec.ports?.[port.name] ?? (Number.isNaN(target) ? port.port : target),
    labels,
    meshed: labels['security.istio.io/tlsMode'] === 'istio',
    locality: localityNamed(spec.locality),
    node: '',
    network: spec.network ?? '',
    workload: '',
    serviceAccount: spec.serviceAccount ?? '',
    namespace,
    weight: spec.weight || 1,
    podName: name,
    hostname: '',
  };
}

function addSlice(
  service: Service,
  port: ServicePort,
  slice: EndpointSliceObject,
  workloadByIp: ReadonlyMap<string, Workload>,
  add: (endpoint: Endpoint) => void,
): void {
  const target = slice.ports?.find((candidate) => (candidate.name ?? '') === port.name)?.port;
  if (target === undefined || slice.addressType === 'FQDN') return;
  for (const { addresses, conditions, hostname = '' } of slice.endpoints ?? []) {
    // Kubernetes reads an absent `ready` as true; a terminating endpoint is out unless the service publishes unready ones.
    if (conditions?.ready === false && !service.publishNotReady) continue;
    for (const address of addresses) {
      const workload = workloadByIp.get(address);
      add(workload ? ofWorkload(workload, address, target, hostname) : unknownAt(service, address, target, hostname));
    }
  }
}

function ofWorkload(workload: Workload, address: string, port: number, hostname: string): Endpoint {
  return {
    address,
    port,
    labels: workload.labels,
    meshed: workload.meshed,
    locality: workload.locality,
    node: workload.node,
    network: '',
    workload: workload.identity,
    serviceAccount: workload.serviceAccount,
    namespace: workload.namespace,
    weight: 1,
    podName: workload.name,
    hostname,
  };
}

function unknownAt(service: Service, address: string, port: number, hostname: string): Endpoint {
  return {
    address,
    port,
    labels: {},
    meshed: false,
    locality: nowhere,
    node: '',
    network: '',
    workload: '',
    serviceAccount: '',
    namespace: service.namespace,
    weight: 1,
    podName: '',
    hostname,
  };
}
