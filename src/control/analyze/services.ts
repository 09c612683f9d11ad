/** Services and ServiceEntries: IST0116, IST0118, IST0134, IST0137, IST0150. */
import { hostsToAllocate } from '../model/address-allocation.ts';
import { protocolOf } from '../model/protocol.ts';
import { matchesLabels } from '../model/selector.ts';
import { nameOf, type Tell } from './finding.ts';
import type { DeploymentObject, View } from './view.ts';

export function analyzeServices(view: View, tell: Tell): void {
  for (const service of view.of('Service')) {
    const { spec, metadata } = service;
    if (isOfCluster(metadata.namespace)) continue;
    for (const [i, port] of (spec.ports ?? []).entries()) {
      const name = port.name ?? '';
      const isDetected = protocolOf(port) === 'auto';
      if (spec.type === 'ExternalName') {
        if (port.appProtocol === undefined && (isDetected || protocolOf(port) === 'tcp'))
          tell(
            'IST0150',
            service,
            `spec.ports[${i}].name`,
            'Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP protocol from being forwarded correctly',
          );
      } else if (isDetected && port.appProtocol === undefined)
        tell(
          'IST0118',
          service,
          `spec.ports[${i}].name`,
          `Port name ${name} (port: ${port.port}, targetPort: ${port.targetPort ?? port.port}) doesn't follow the naming convention of Istio port.`,
        );
    }
  }
  for (const entry of view.of('ServiceEntry')) {
    if (entry.spec.addresses?.length || !view.options.isWhole) continue;
    if (view.options.capturesDns && hostsToAllocate(entry).length > 0) continue;
    for (const [i, { protocol = '' }] of (entry.spec.ports ?? []).entries())
      if (
        ['', 'TCP', 'MONGO', 'REDIS', 'MYSQL'].includes(protocol.toUpperCase()) &&
        (entry.spec.ports?.length ?? 0) > 0
      )
        tell('IST0134', entry, `spec.ports[${i}]`, 'ServiceEntry addresses are required for this protocol.');
  }
  for (const deployment of view.of('Deployment')) sharedWorkload(view, deployment, tell);
}

const isOfCluster = (namespace = '') => ['kube-system', 'kube-public', 'kube-node-lease'].includes(namespace);

interface At {
  readonly service: string;
  readonly port: number;
  readonly protocol: string;
}

/** Services that meet at one port of a workload must agree on what is spoken there. */
function sharedWorkload(view: View, deployment: DeploymentObject, tell: Tell): void {
  const labels = deployment.spec.template?.metadata?.labels ?? {};
  const namespace = deployment.metadata.namespace ?? '';
  const byTarget = new Map<string, At[]>();
  for (const service of view.of('Service')) {
    const { selector } = service.spec;
    if ((service.metadata.namespace ?? '') !== namespace || Object.keys(selector ?? {}).length === 0) continue;
    if (!matchesLabels(selector, labels)) continue;
    for (const port of service.spec.ports ?? []) {
      const target = String(port.targetPort ?? port.port);
      const at = { service: nameOf(service), port: port.port, protocol: protocolOf(port) };
      byTarget.set(target, [...(byTarget.get(target) ?? []), at]);
    }
  }
  for (const [target, uses] of byTarget) {
    const services = [...new Set(uses.map(({ service }) => service))].sort();
    if (services.length < 2) continue;
    if (new Set(uses.map(({ protocol }) => protocol)).size > 1)
      tell(
        'IST0116',
        deployment,
        '',
        `This deployment ${nameOf(deployment)} is associated with multiple services using port ${target} but different protocols: [${services.join(' ')}]`,
      );
    const ports = [...new Set(uses.map(({ port }) => port))].sort((a, b) => a - b);
    if (ports.length > 1)
      tell(
        'IST0137',
        deployment,
        '',
        `This deployment ${nameOf(deployment)} is associated with multiple services [${services.join(' ')}] using targetPort "${target}" but different ports: [${ports.join(' ')}].`,
      );
  }
}
