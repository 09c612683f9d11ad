/** Namespaces and pods: IST0102, IST0103, IST0123, IST0144. */
import type { Tell } from './finding.ts';
import type { View } from './view.ts';

const injected = 'istio-injection';
const revision = 'istio.io/rev';
const ofCluster = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'];
/** The user that the proxy runs as: its own traffic is not redirected, and so neither would be the application's. */
const proxyUser = 1337;

export function analyzeInjection(view: View, tell: Tell): void {
  const { rootNamespace } = view.options;
  const takesPart = new Set<string>();
  for (const namespace of view.of('Namespace')) {
    const { name = '', labels = {} } = namespace.metadata;
    if (ofCluster.includes(name) || name === rootNamespace || name === 'lateen-operator') continue;
    const given = [injected, revision].filter((label) => labels[label] !== undefined);
    if (given.length > 1)
      tell(
        'IST0123',
        namespace,
        'metadata.labels',
        `The namespace has more than one type of injection labels [${given.join(' ')}], which may lead to undefined behavior. Make sure only one injection label exists.`,
      );
    if (labels[injected] === 'enabled' || (labels[revision] !== undefined && labels[injected] === undefined))
      takesPart.add(name);
    if (given.length === 0 && labels['istio.io/dataplane-mode'] === undefined)
      tell(
        'IST0102',
        namespace,
        '',
        `The namespace is not enabled for Istio injection. Run 'kubectl label namespace ${name} istio-injection=enabled' to enable it, or 'kubectl label namespace ${name} istio-injection=disabled' to explicitly mark it as not needing injection.`,
      );
  }
  for (const pod of view.of('Pod')) {
    const { metadata, spec, status } = pod;
    if (!takesPart.has(metadata.namespace ?? '') || spec.hostNetwork) continue;
    if (status?.phase === 'Succeeded' || status?.phase === 'Failed') continue;
    const asked = metadata.labels?.['sidecar.istio.io/inject'] ?? metadata.annotations?.['sidecar.istio.io/inject'];
    const { containers = [], initContainers = [] } = spec;
    if (asked !== 'false' && ![...containers, ...initContainers].some(({ name }) => name === 'istio-proxy'))
      tell(
        'IST0103',
        pod,
        '',
        `The pod ${metadata.namespace}/${metadata.name} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.`,
      );
    const users = containers
      .filter(({ name }) => name !== 'istio-proxy')
      .map(({ securityContext }) => securityContext?.runAsUser ?? spec.securityContext?.runAsUser);
    if (users.includes(proxyUser))
      tell('IST0144', pod, 'spec', 'User ID (UID) 1337 is reserved for the sidecar proxy.');
  }
}
