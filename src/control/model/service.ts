/** Services as the mesh knows them, whether a cluster's own or entered by hand. */
import type { ServiceEntry } from '../../api/istio/service-entry.ts';
import type { ServiceObject } from './objects.ts';
import { type Protocol, protocolNamed, protocolOf } from './protocol.ts';
import type { Labels } from './selector.ts';
import { type Locality, localityNamed, nowhere } from './workload.ts';

/** How the addresses behind a service are found: by EDS, by DNS, or taken from the caller's own destination. */
export type Resolution = 'endpoints' | 'dns' | 'passthrough';

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** What the pods listen on; a name is looked up in each pod. */
  readonly target: number | string;
}

export interface Service {
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
  /** Virtual addresses; empty for a headless service. */
  readonly addresses: readonly string[];
  /** The address of our own that stands for one without any; `addressesFor` (address-allocation.ts) says to whom. */
  readonly allocated: string | null;
  readonly headless: boolean;
  readonly ports: readonly ServicePort[];
  readonly resolution: Resolution;
  readonly exportTo: readonly string[];
  readonly selector: Labels | null;
  readonly publishNotReady: boolean;
  /** A ServiceEntry outside the mesh: never mutual TLS of the mesh's own accord. */
  readonly external: boolean;
  /** A cluster's own Service, known by short names too. */
  readonly native: boolean;
  /** Of a ServiceEntry. */
  readonly fixedEndpoints: ReadonlyArray<{
    address: string;
    ports: Readonly<Record<string, number>>;
    labels: Labels;
    weight: number;
    serviceAccount: string;
    locality: Locality;
    network: string;
  }>;
  readonly subjectAltNames: readonly string[];
  /** API path of the resource behind it. */
  readonly origin: string;
}

const list = (text: string | undefined) =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);

const alone = (address: string): Service['fixedEndpoints'][number] => ({
  ...{ address, ports: {}, labels: {}, weight: 1, serviceAccount: '', locality: nowhere, network: '' },
});

export function fromService(object: ServiceObject, domain: string): Service {
  const { name = '', namespace = '', annotations } = object.metadata;
  const { spec } = object;
  const external = spec.type === 'ExternalName';
  const headless = !external && spec.clusterIP === 'None';
  const addresses =
    external || headless ? [] : (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((ip) => ip !== '' && ip !== 'None');
  return {
    host: `${name}.${namespace}.svc.${domain}`,
    name,
    namespace,
    addresses,
    allocated: null,
    headless,
    ports: (spec.ports ?? []).map((port) => ({
      name: port.name ?? '',
      port: port.port,
      protocol: protocolOf(port),
      target: port.targetPort ?? port.port,
    })),
    resolution: external ? 'dns' : headless ? 'passthrough' : 'endpoints',
    exportTo: list(annotations?.['networking.istio.io/exportTo']),
    selector: spec.selector ?? null,
    publishNotReady: spec.publishNotReadyAddresses === true,
    external,
    native: true,
    fixedEndpoints: external && spec.externalName ? [alone(spec.externalName)] : [],
    subjectAltNames: [],
    origin: `/api/v1/namespaces/${namespace}/services/${name}`,
  };
}

/** One service for each host of a ServiceEntry, with the addresses that were allocated by host. */
export function fromServiceEntry(object: ServiceEntry, allocated?: ReadonlyMap<string, string>): Service[] {
  const { name = '', namespace = '' } = object.metadata;
  const { spec } = object;
  const resolution: Resolution =
    spec.resolution === 'STATIC'
      ? 'endpoints'
      : spec.resolution === undefined || spec.resolution === 'NONE'
        ? 'passthrough'
        : 'dns';
  return (spec.hosts ?? []).map((host) => ({
    host,
    name,
    namespace,
    addresses: spec.addresses ?? [],
    allocated: allocated?.get(host) ?? null,
    headless: false,
    ports: (spec.ports ?? []).map((port) => ({
      name: port.name,
      port: port.number,
      protocol: protocolNamed(port.protocol ?? ''),
      target: port.targetPort || port.number,
    })),
    resolution,
    exportTo: spec.exportTo ?? [],
    selector: spec.workloadSelector?.labels ?? null,
    publishNotReady: false,
    external: spec.location !== 'MESH_INTERNAL',
    native: false,
    fixedEndpoints:
      spec.endpoints?.map((endpoint) => ({
        address: endpoint.address ?? '',
        ports: endpoint.ports ?? {},
        labels: endpoint.labels ?? {},
        weight: endpoint.weight || 1,
        serviceAccount: endpoint.serviceAccount ?? '',
        locality: localityNamed(endpoint.locality),
        network: endpoint.network ?? '',
      })) ?? (resolution === 'dns' ? [alone(host)] : []),
    subjectAltNames: spec.subjectAltNames ?? [],
    origin: `/apis/networking.istio.io/v1/namespaces/${namespace}/serviceentries/${name}`,
  }));
}
