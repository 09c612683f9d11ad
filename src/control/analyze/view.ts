/** The objects that are analyzed, and what several analyzers ask of them. Pure. */
import type { AuthorizationPolicy } from '../../api/istio/authorization-policy.ts';
import type { DestinationRule } from '../../api/istio/destination-rule.ts';
import type { EnvoyFilter } from '../../api/istio/envoy-filter.ts';
import type { Gateway } from '../../api/istio/gateway.ts';
import type { PeerAuthentication } from '../../api/istio/peer-authentication.ts';
import type { RequestAuthentication } from '../../api/istio/request-authentication.ts';
import type { ServiceEntry } from '../../api/istio/service-entry.ts';
import type { Sidecar } from '../../api/istio/sidecar.ts';
import type { Telemetry } from '../../api/istio/telemetry.ts';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import type { WasmPlugin } from '../../api/istio/wasm-plugin.ts';
import type { WorkloadEntry } from '../../api/istio/workload-entry.ts';
import type { NamespaceObject, PodObject, ServiceObject } from '../model/objects.ts';
import { byAge, coversHost, fullHost, type Labels, matchesLabels } from '../model/selector.ts';
import { fromService, fromServiceEntry, type Service } from '../model/service.ts';
import type { Analyzed } from './finding.ts';

export interface SecretObject extends Analyzed {
  data?: Record<string, string>;
  type?: string;
}

export interface DeploymentObject extends Analyzed {
  spec: { template?: { metadata?: { labels?: Record<string, string> }; spec?: PodObject['spec'] & SecurityContext } };
}

interface SecurityContext {
  securityContext?: { runAsUser?: number };
}

type SecuredContainer = NonNullable<PodObject['spec']['containers']>[number] & SecurityContext;

export interface PodResource extends Analyzed {
  spec: Omit<PodObject['spec'], 'containers'> &
    SecurityContext & { containers?: SecuredContainer[]; initContainers?: SecuredContainer[] };
  status?: PodObject['status'];
}

interface Kinds {
  Service: ServiceObject & Analyzed;
  Pod: PodResource;
  Namespace: NamespaceObject & Analyzed;
  Deployment: DeploymentObject;
  Secret: SecretObject;
  ServiceEntry: ServiceEntry;
  WorkloadEntry: WorkloadEntry;
  VirtualService: VirtualService;
  DestinationRule: DestinationRule;
  Gateway: Gateway;
  Sidecar: Sidecar;
  AuthorizationPolicy: AuthorizationPolicy;
  PeerAuthentication: PeerAuthentication;
  RequestAuthentication: RequestAuthentication;
  Telemetry: Telemetry;
  EnvoyFilter: EnvoyFilter;
  WasmPlugin: WasmPlugin;
}

export type KindName = keyof Kinds;

export interface ViewOptions {
  readonly domain: string;
  readonly rootNamespace: string;
  /** Whether all Services, Namespaces and Pods that there are can be seen: else nothing is said to be missing. */
  readonly isWhole: boolean;
  /** The same of Secrets. */
  readonly seesSecrets: boolean;
  /** Whether proxies answer DNS unless told otherwise: ServiceEntries then have addresses that were allocated. */
  readonly capturesDns: boolean;
}

export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
}

export class View {
  readonly options: ViewOptions;
  readonly #byKind = new Map<string, Analyzed[]>();
  #services: Service[] | null = null;
  #byHost: Map<string, Service> | null = null;

  constructor(objects: Iterable<Analyzed>, options: ViewOptions) {
    this.options = options;
    for (const object of objects) {
      const list = this.#byKind.get(object.kind);
      if (list) list.push(object);
      else this.#byKind.set(object.kind, [object]);
    }
    for (const list of this.#byKind.values()) list.sort(byAge);
  }

  /** Oldest first. */
  of<K extends KindName>(kind: K): ReadonlyArray<Kinds[K]> {
    return (this.#byKind.get(kind) ?? []) as unknown as ReadonlyArray<Kinds[K]>;
  }

  get all(): Analyzed[] {
    return [...this.#byKind.values()].flat();
  }

  find<K extends KindName>(kind: K, namespace: string, name: string): Kinds[K] | undefined {
    return this.of(kind).find(({ metadata }) => metadata.name === name && (metadata.namespace ?? '') === namespace);
  }

  get services(): readonly Service[] {
    this.#services ??= [
      ...this.of('Service').map((object) => fromService(object, this.options.domain)),
      ...this.of('ServiceEntry').flatMap((object) => fromServiceEntry(object)),
    ];
    return this.#services;
  }

  /** The service that a host names, by a wildcard of a ServiceEntry too. */
  service(host: string): Service | null {
    if (this.#byHost === null) {
      this.#byHost = new Map();
      for (const service of this.services) if (!this.#byHost.has(service.host)) this.#byHost.set(service.host, service);
    }
    const exact = this.#byHost.get(host);
    if (exact) return exact;
    return this.services.find((service) => service.host.includes('*') && coversHost(service.host, host)) ?? null;
  }

  host(given: string, namespace: string): string {
    return fullHost(given, namespace, this.options.domain);
  }

  /** Pods and what stands for workloads elsewhere, with the labels that selectors go by. */
  workloads(namespace: string | null, labels: Labels | undefined): Workload[] {
    const found: Workload[] = [];
    const add = ({ metadata }: Analyzed, own: Labels | undefined) => {
      const at = metadata.namespace ?? '';
      if ((namespace === null || at === namespace) && matchesLabels(labels, own ?? {}))
        found.push({ name: metadata.name ?? '', namespace: at, labels: own ?? {} });
    };
    for (const pod of this.of('Pod')) add(pod, pod.metadata.labels);
    for (const entry of this.of('WorkloadEntry')) add(entry, { ...entry.metadata.labels, ...entry.spec.labels });
    for (const deployment of this.of('Deployment')) add(deployment, deployment.spec.template?.metadata?.labels);
    return found;
  }
}
