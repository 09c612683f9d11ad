/** Who a configuration is for. Two proxies with the same key get the same resources, so the key is what caches go by. */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Sidecar } from '../../api/istio/sidecar.ts';
import { noPatches, type PatchSet, patchesFor } from '../envoy-filter/patch.ts';
import { protocolNamed } from '../model/protocol.ts';
import type { Labels } from '../model/selector.ts';
import { matchesLabels } from '../model/selector.ts';
import type { Service, ServicePort } from '../model/service.ts';
import { sidecarFor, sidecarKey } from '../model/sidecar-scope.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { type Locality, nowhere, type Workload } from '../model/workload.ts';
import { comparedLabels, contextOf, labelOf } from './locality.ts';

/** What a proxy says of itself when it connects. */
export interface ProxyNode {
  /** `sidecar~10.1.2.3~pod.namespace~namespace.svc.cluster.local` */
  id: string;
  metadata: JsonObject;
  locality?: Locality;
  /** `envoy`, `lateen`; EnvoyFilters are for the former. */
  userAgentName?: string;
}

export interface Scope {
  readonly key: string;
  readonly kind: 'sidecar' | 'router';
  readonly namespace: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly locality: Locality;
  /** Of the labels that some `failoverPriority` compares: what the workload has, where it runs included. '' for one that it lacks. */
  readonly compared: Labels;
  /** Gateways have none. */
  readonly sidecar: Sidecar | null;
  /** True when the proxy answers its application's DNS (`ISTIO_META_DNS_CAPTURE`): it knows names by a table, and allocated addresses. */
  readonly capturesDns: boolean;
  /** What EnvoyFilters change for it; nothing for a proxy of ours. */
  readonly patches: PatchSet;
  /** Services of which the workload is an endpoint, and the port that it listens on for each of theirs. */
  readonly inbound: readonly InboundPort[];
}

export interface InboundPort {
  readonly service: Service;
  readonly port: ServicePort;
  /** The workload's own port. */
  readonly target: number;
  /** Where a Sidecar's listener sends it instead: another port of this workload (`127.0.0.1:8080`), or a Unix socket. */
  readonly endpoint: string | null;
}

/** @throws Error when the id is not one of a proxy */
export function scopeOf(node: ProxyNode, snapshot: Snapshot): Scope {
  const [kind, ip, name = ''] = node.id.split('~');
  if (kind !== 'sidecar' && kind !== 'router')
    throw new Error(`node id "${node.id}": must be sidecar~IP~POD.NAMESPACE~DOMAIN or router~…`);
  const dot = name.lastIndexOf('.');
  const namespace = typeof node.metadata.NAMESPACE === 'string' ? node.metadata.NAMESPACE : name.slice(dot + 1);
  const workload = snapshot.workloadByName.get(`${namespace}/${name.slice(0, dot)}`) ?? snapshot.workloadByIp.get(ip);
  const labels = workload?.labels ?? asLabels(node.metadata.LABELS);
  const serviceAccount =
    workload?.serviceAccount ??
    (typeof node.metadata.SERVICE_ACCOUNT === 'string' ? node.metadata.SERVICE_ACCOUNT : 'default');
  const locality = workload?.locality ?? node.locality ?? nowhere;
  const sidecar = kind === 'sidecar' ? sidecarFor(snapshot, namespace, labels) : null;
  // As Go reads a boolean of text or of JSON (Istio: pkg/model/proxy.go `StringBool`).
  const capturesDns = ['true', 'TRUE', 'True', 't', 'T', '1'].includes(`${node.metadata.DNS_CAPTURE}`);
  const served = inboundPorts(namespace, labels, workload, snapshot);
  const inbound = sidecar?.spec.ingress?.length ? ingressPorts(sidecar, served, namespace) : served;
  const relevant = Object.entries(labels)
    .filter(([label]) => label !== 'pod-template-hash')
    .sort()
    .flat();
  const ports = inbound.map(
    ({ service, port, target, endpoint }) => `${service.host}:${port.port}:${target}:${endpoint}`,
  );
  const where = [locality.region, locality.zone, locality.subzone];
  const told = (field: string) => (typeof node.metadata[field] === 'string' ? node.metadata[field] : '');
  const placed = { labels, locality, node: workload?.node || told('NODE_NAME'), network: told('NETWORK') };
  const compared = Object.fromEntries(
    comparedLabels(snapshot).map((label) => [label, labelOf(placed, label, contextOf(snapshot))]),
  );
  const patches =
    node.userAgentName === 'envoy'
      ? patchesFor(snapshot.extensions, snapshot.mesh.rootNamespace, { namespace, labels, metadata: node.metadata })
      : noPatches;
  const key = JSON.stringify([
    kind,
    namespace,
    serviceAccount,
    relevant,
    where,
    // Among them may be what no other part tells: the node, the network, the hash of a Deployment's template.
    Object.entries(compared),
    ports,
    sidecarKey({ namespace, sidecar }),
    capturesDns,
    patches.key,
  ]);
  return { key, kind, namespace, labels, serviceAccount, locality, compared, sidecar, capturesDns, patches, inbound };
}

function asLabels(value: unknown): Labels {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** By the workload's port; of two services on one port the older is first and decides (Istio warns of it as well). */
function inboundPorts(
  namespace: string,
  labels: Labels,
  workload: Workload | undefined,
  snapshot: Snapshot,
): InboundPort[] {
  const byTarget = new Map<number, InboundPort>();
  for (const service of snapshot.services) {
    if (service.namespace !== namespace || !service.selector || Object.keys(service.selector).length === 0) continue;
    if (!matchesLabels(service.selector, labels)) continue;
    for (const port of service.ports) {
      const target = typeof port.target === 'number' ? port.target : (workload?.ports[port.target] ?? 0);
      if (target > 0 && port.protocol !== 'udp' && !byTarget.has(target))
        byTarget.set(target, { service, port, target, endpoint: null });
    }
  }
  return [...byTarget.values()].sort((a, b) => a.target - b.target);
}

/** The listeners that a Sidecar names, in place of those that follow from services. */
function ingressPorts(sidecar: Sidecar, served: readonly InboundPort[], namespace: string): InboundPort[] {
  return (sidecar.spec.ingress ?? []).map(({ port: given, defaultEndpoint }): InboundPort => {
    const { number = 0, name = '', protocol = '' } = given;
    const own = served.find(({ target }) => target === number) ?? served.find(({ port }) => port.port === number);
    const port = { name, port: number, protocol: protocolNamed(protocol), target: number };
    return {
      service: own?.service ?? unnamed(sidecar, namespace),
      port,
      target: number,
      endpoint: defaultEndpoint || null,
    };
  });
}

/** For a port that no service has. */
function unnamed({ metadata }: Sidecar, namespace: string): Service {
  return {
    host: '',
    name: metadata.name ?? '',
    namespace,
    addresses: [],
    allocated: null,
    headless: false,
    ports: [],
    resolution: 'endpoints',
    exportTo: [],
    selector: null,
    publishNotReady: false,
    external: false,
    native: false,
    fixedEndpoints: [],
    subjectAltNames: [],
    origin: '',
  };
}
