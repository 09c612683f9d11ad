/** Who a configuration is for. Two proxies with the same key get the same resources, so the key is what caches go by. */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Labels } from '../model/selector.ts';
import { matchesLabels } from '../model/selector.ts';
import type { Service, ServicePort } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { type Locality, nowhere, type Workload } from '../model/workload.ts';

/** What a proxy says of itself when it connects. */
export interface ProxyNode {
  /** `sidecar~10.1.2.3~pod.namespace~namespace.svc.cluster.local` */
  id: string;
  metadata: JsonObject;
  locality?: Locality;
}

export interface Scope {
  readonly key: string;
  readonly kind: 'sidecar' | 'router';
  readonly namespace: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly locality: Locality;
  /** Services of which the workload is an endpoint, and the port that it listens on for each of theirs. */
  readonly inbound: readonly InboundPort[];
}

export interface InboundPort {
  readonly service: Service;
  readonly port: ServicePort;
  /** The workload's own port. */
  readonly target: number;
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
  const inbound = inboundPorts(namespace, labels, workload, snapshot);
  const relevant = Object.entries(labels)
    .filter(([label]) => label !== 'pod-template-hash')
    .sort()
    .flat();
  const ports = inbound.map(({ service, port, target }) => `${service.host}:${port.port}:${target}`);
  const where = [locality.region, locality.zone, locality.subzone];
  const key = JSON.stringify([kind, namespace, serviceAccount, relevant, where, ports]);
  return { key, kind, namespace, labels, serviceAccount, locality, inbound };
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
        byTarget.set(target, { service, port, target });
    }
  }
  return [...byTarget.values()].sort((a, b) => a.target - b.target);
}
