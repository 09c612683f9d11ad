/** Whether a pod gets a proxy (Istio: "Installing the Sidecar", "Sidecar injection problems"; pkg/kube/inject `injectRequired`). */
import type { ObjectMeta } from '../api/meta.ts';
import type { InjectionConfig } from './config.ts';
import { type Labels, selects } from './selector.ts';

export type DecisionReason =
  | 'hostNetwork'
  | 'ignoredNamespace'
  | 'podLabel'
  | 'podAnnotation'
  | 'neverInjectSelector'
  | 'alwaysInjectSelector'
  | 'namespaceLabel'
  | 'namespaceRevision'
  | 'otherRevision'
  | 'namespaceNotLabelled'
  | 'policy';

export interface Decision {
  inject: boolean;
  reason: DecisionReason;
  /** A sentence for people. */
  explanation: string;
}

export interface DecisionFacts {
  metadata: ObjectMeta;
  hostNetwork: boolean;
  namespace: string;
  /** Null when nobody asks by namespace: the API server's webhook selectors have done so, or `lateen inject -f`. */
  namespaceLabels: Labels | null;
}

export type DecisionConfig = Pick<
  InjectionConfig,
  'revision' | 'policy' | 'neverInjectSelector' | 'alwaysInjectSelector'
>;

/** The host network's iptables would be changed for the whole node; the other four hold what the cluster itself needs. */
const ignoredNamespaces: readonly string[] = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'];

export function decide(
  { metadata, hostNetwork, namespace, namespaceLabels }: DecisionFacts,
  config: DecisionConfig,
): Decision {
  const labels: Labels = metadata.labels ?? {};
  if (hostNetwork) return no('hostNetwork', 'the pod uses the host network');
  if (ignoredNamespaces.includes(namespace)) return no('ignoredNamespace', `namespace ${namespace} is never injected`);

  if (namespaceLabels) {
    const refused = refusedByNamespace(namespaceLabels, labels, namespace, config);
    if (refused) return refused;
  }

  // The label is the newer interface and wins over the annotation; what is neither "true" nor "false" asks for the default.
  const byLabel = labels['sidecar.istio.io/inject'];
  const asked = byLabel ?? metadata.annotations?.['sidecar.istio.io/inject'];
  if (asked === 'true' || asked === 'false') {
    const where = byLabel === undefined ? 'annotation' : 'label';
    const explanation = `the pod's ${where} sidecar.istio.io/inject is "${asked}"`;
    const reason = where === 'label' ? 'podLabel' : 'podAnnotation';
    return asked === 'true' ? yes(reason, explanation) : no(reason, explanation);
  }
  if (config.neverInjectSelector.some((selector) => selects(selector, labels)))
    return no('neverInjectSelector', "the pod's labels match neverInjectSelector");
  if (config.alwaysInjectSelector.some((selector) => selects(selector, labels)))
    return yes('alwaysInjectSelector', "the pod's labels match alwaysInjectSelector");

  if (namespaceLabels) {
    const injection = namespaceLabels['istio-injection'];
    if (injection === 'enabled')
      return policy(config, 'namespaceLabel', `namespace ${namespace} has istio-injection=enabled`);
    const revision = labels['istio.io/rev'] ?? namespaceLabels['istio.io/rev'];
    if (revision !== undefined)
      return policy(config, 'namespaceRevision', `istio.io/rev=${revision} asks for this control plane`);
    return no('namespaceNotLabelled', `namespace ${namespace} has neither istio-injection=enabled nor istio.io/rev`);
  }
  return policy(config, 'policy', `the injection policy is ${config.policy}`);
}

/**
 * What the webhook's namespace selectors hold back (Istio: "Controlling the injection policy"): `istio-injection=disabled`
 * beats everything but nothing is needed when the pod asks for itself; `istio-injection` beats `istio.io/rev` of the namespace,
 * which beats that of the pod.
 */
function refusedByNamespace(of: Labels, pod: Labels, namespace: string, config: DecisionConfig): Decision | null {
  const injection = of['istio-injection'];
  if (injection === 'disabled') return no('namespaceLabel', `namespace ${namespace} has istio-injection=disabled`);
  if (injection === 'enabled') {
    return config.revision === 'default'
      ? null
      : no('otherRevision', `istio-injection=enabled asks for the default revision, this is ${config.revision}`);
  }
  const revision = of['istio.io/rev'] ?? pod['istio.io/rev'];
  if (revision !== undefined && revision !== config.revision)
    return no('otherRevision', `istio.io/rev=${revision} asks for another control plane, this is ${config.revision}`);
  return null;
}

function policy(config: DecisionConfig, reason: DecisionReason, explanation: string): Decision {
  return config.policy === 'enabled'
    ? yes(reason, explanation)
    : no('policy', 'the injection policy is disabled and nothing of the pod asks for a proxy');
}

function yes(reason: DecisionReason, explanation: string): Decision {
  return { inject: true, reason, explanation };
}

function no(reason: DecisionReason, explanation: string): Decision {
  return { inject: false, reason, explanation };
}
