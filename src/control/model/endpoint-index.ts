/** Endpoints and identities by service, worked out when they are asked for and handed from one snapshot to the next where equal. */
import type { WorkloadEntry } from '../../api/istio/workload-entry.ts';
import { type Endpoint, type EndpointSources, endpointsOf } from './endpoint.ts';
import type { EndpointSliceObject } from './objects.ts';
import type { Service, ServicePort } from './service.ts';
import type { Workload } from './workload.ts';

type SlicesByService = ReadonlyMap<string, readonly EndpointSliceObject[]>;

/** What was worked out so far, for the snapshot that comes next. */
interface Known {
  readonly endpoints: ReadonlyMap<ServicePort, readonly Endpoint[]>;
  readonly identities: ReadonlyMap<Service, readonly string[]>;
}

export const nothingKnown: Known = { endpoints: new Map(), identities: new Map() };

export class EndpointIndex {
  readonly slices: SlicesByService;
  readonly entries: readonly WorkloadEntry[];
  readonly #workloadByIp: ReadonlyMap<string, Workload>;
  readonly #workloads: readonly Workload[];
  readonly #endpoints = new Map<ServicePort, readonly Endpoint[]>();
  readonly #identities = new Map<Service, readonly string[]>();
  /** What the snapshot before had, never that snapshot itself: a chain of all that ever were would stay in memory. */
  readonly #endpointsBefore: ReadonlyMap<ServicePort, readonly Endpoint[]>;
  readonly #identitiesBefore: ReadonlyMap<Service, readonly string[]>;

  constructor(
    slices: SlicesByService,
    workloadByIp: ReadonlyMap<string, Workload>,
    workloads: readonly Workload[],
    entries: readonly WorkloadEntry[],
    before: Known,
  ) {
    this.slices = slices;
    this.entries = entries;
    this.#workloadByIp = workloadByIp;
    this.#workloads = workloads;
    this.#endpointsBefore = before.endpoints;
    this.#identitiesBefore = before.identities;
  }

  /**
   * What nobody asked this one about is handed on as well: after a change of endpoints only few are asked about.
   * @param services those that are left, when they are not the same as here
   */
  known(services: readonly Service[] | null): Known {
    const endpoints = new Map([...this.#endpointsBefore, ...this.#endpoints]);
    const identities = new Map([...this.#identitiesBefore, ...this.#identities]);
    if (services === null) return { endpoints, identities };
    const left = new Set(services);
    const ports = new Set(services.flatMap((service) => service.ports));
    for (const port of endpoints.keys()) if (!ports.has(port)) endpoints.delete(port);
    for (const service of identities.keys()) if (!left.has(service)) identities.delete(service);
    return { endpoints, identities };
  }

  endpoints(service: Service, port: ServicePort): readonly Endpoint[] {
    const known = this.#endpoints.get(port);
    if (known) return known;
    const sources: EndpointSources = {
      slices: this.#slicesOf(service),
      workloadByIp: this.#workloadByIp,
      workloads: this.#workloads,
      entries: this.entries,
    };
    const found = keepEqual(this.#endpointsBefore.get(port), endpointsOf(service, port, sources), equalEndpoints);
    this.#endpoints.set(port, found);
    return found;
  }

  /**
   * Service accounts behind a service, as SPIFFE paths `ns/NAMESPACE/sa/NAME`, sorted. Endpoints that are not ready count as well, so that
   * who is to be trusted is known before the first request and does not change with readiness.
   */
  identities(service: Service): readonly string[] {
    const known = this.#identities.get(service);
    if (known) return known;
    const names = new Set<string>();
    const add = (namespace: string, account: string) => account && names.add(`ns/${namespace}/sa/${account}`);
    for (const slice of service.native ? this.#slicesOf(service) : [])
      for (const { addresses } of slice.endpoints ?? [])
        for (const workload of addresses.map((address) => this.#workloadByIp.get(address)))
          if (workload) add(workload.namespace, workload.serviceAccount);
    // Workloads elsewhere are in no slice.
    for (const port of service.native && this.entries.length === 0 ? [] : service.ports)
      for (const { serviceAccount, namespace } of this.endpoints(service, port)) add(namespace, serviceAccount);
    const found = keepEqual(this.#identitiesBefore.get(service), [...names].sort(), (a, b) => a === b);
    this.#identities.set(service, found);
    return found;
  }

  #slicesOf({ namespace, name }: Service): readonly EndpointSliceObject[] {
    return this.slices.get(`${namespace}/${name}`) ?? [];
  }
}

function keepEqual<T>(
  before: readonly T[] | undefined,
  now: readonly T[],
  equal: (a: T, b: T) => boolean,
): readonly T[] {
  return before?.length === now.length && now.every((each, i) => equal(before[i], each)) ? before : now;
}

/** Labels and locality are compared by identity: they are the pod's own, and a pod that did not change keeps them. */
function equalEndpoints(a: Endpoint, b: Endpoint): boolean {
  return (Object.keys(a) as Array<keyof Endpoint>).every((key) => a[key] === b[key]);
}
