/** The control plane's own certificate, renewed in place. */
import type { ServerIdentity } from '../../xds/grpc/server.ts';
import type { Authority } from './authority.ts';

export interface ServingCertificate {
  readonly current: ServerIdentity;
  /** Called with each renewal. */
  onRenewal(listener: (identity: ServerIdentity) => void): void;
  stop(): void;
}

const dayMs = 86_400_000;
const retryMs = 60_000;

/** The DNS names under which workloads reach a control plane of `revision` in `namespace` (as Istio's istiod). */
export function servingNames(namespace: string, revision: string): string[] {
  const services = revision && revision !== 'default' ? [`istiod-${revision}`, 'istiod'] : ['istiod'];
  return services.flatMap((service) => [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}`,
    `${service}.${namespace}.svc.cluster.local`,
    service,
  ]);
}

/** A certificate of a day, replaced after about half of it. */
export async function serveCertificate(
  authority: () => Authority,
  names: readonly string[],
  onError: (error: Error) => void,
): Promise<ServingCertificate> {
  const issue = async (): Promise<ServerIdentity> => {
    const { chain, key } = await authority().issueServing(names, dayMs / 1000);
    return { chain, key, clientRoots: authority().roots };
  };
  const listeners: Array<(identity: ServerIdentity) => void> = [];
  let current = await issue();
  let timer: NodeJS.Timeout;
  const renewIn = (delayMs: number) => {
    timer = setTimeout(renew, delayMs).unref();
  };
  const renew = async () => {
    try {
      current = await issue();
      for (const listener of listeners) listener(current);
      renewIn(dayMs * (0.4 + Math.random() * 0.2));
    } catch (error) {
      onError(error as Error);
      renewIn(retryMs);
    }
  };
  renewIn(dayMs * (0.4 + Math.random() * 0.2));
  return {
    get current() {
      return current;
    },
    onRenewal: (listener) => listeners.push(listener),
    stop: () => clearTimeout(timer),
  };
}
