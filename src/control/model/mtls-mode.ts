/** Which of mutual TLS and plaintext a workload's port takes (Istio, "PeerAuthentication": workload over namespace over mesh). */
import type { MutualTlsMode, PeerAuthentication } from '../../api/istio/peer-authentication.ts';
import { byAge, type Labels, matchesLabels } from './selector.ts';

export type MtlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT';

/** Only the oldest policy counts of several with the same reach; UNSET asks the next wider one. */
export class MtlsPolicies {
  readonly #byNamespace = new Map<string, PeerAuthentication[]>();
  readonly #rootNamespace: string;

  constructor(policies: Iterable<PeerAuthentication>, rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
    for (const policy of [...policies].sort(byAge)) {
      const namespace = policy.metadata.namespace ?? '';
      const list = this.#byNamespace.get(namespace);
      if (list) list.push(policy);
      else this.#byNamespace.set(namespace, [policy]);
    }
  }

  modeOf(namespace: string, labels: Labels, port: number): MtlsMode {
    const workload = this.workloadPolicy(namespace, labels);
    const perPort = set(workload?.spec.portLevelMtls?.[port]?.mode);
    return (
      perPort ??
      set(workload?.spec.mtls?.mode) ??
      set(this.#wide(namespace)?.spec.mtls?.mode) ??
      set(this.#wide(this.#rootNamespace)?.spec.mtls?.mode) ??
      'PERMISSIVE'
    );
  }

  /** The policy that selects the workload by its labels, if any. */
  workloadPolicy(namespace: string, labels: Labels): PeerAuthentication | undefined {
    return this.#byNamespace.get(namespace)?.find((policy) => {
      const selector = policy.spec.selector?.matchLabels;
      return selector && Object.keys(selector).length > 0 && matchesLabels(selector, labels);
    });
  }

  #wide(namespace: string): PeerAuthentication | undefined {
    return this.#byNamespace
      .get(namespace)
      ?.find((policy) => Object.keys(policy.spec.selector?.matchLabels ?? {}).length === 0);
  }
}

function set(mode: MutualTlsMode | undefined): MtlsMode | undefined {
  return mode === undefined || mode === 'UNSET' ? undefined : mode;
}
