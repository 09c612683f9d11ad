/** Gives addresses to Services of type LoadBalancer in a cluster without a load balancer; kube-proxy answers on them at every node. */
import type { KubeClient } from '../src/kube/client.ts';
import { Informer } from '../src/kube/informer.ts';
import { keyOf, type Service, services } from '../src/kube/object.ts';
import { WorkQueue } from '../src/kube/work-queue.ts';

const maxAddresses = 250;

/** @param prefix of the addresses: `10.66.1.`; nothing else of the cluster may be there */
export function startLoadBalancer(
  client: KubeClient,
  prefix: string,
  onError: (error: Error) => void,
): () => Promise<void> {
  const given = new Map<string, string>();
  const queue = new WorkQueue({
    onError: (_, error) => onError(error),
    process: async (key) => {
      const service = informer.get(key);
      if (service?.spec?.type !== 'LoadBalancer') {
        given.delete(key);
        return undefined;
      }
      const known = service.status?.loadBalancer?.ingress?.[0]?.ip;
      if (known?.startsWith(prefix)) {
        given.set(key, known);
        return undefined;
      }
      const ip = given.get(key) ?? free();
      given.set(key, ip);
      const { name = '', namespace } = service.metadata ?? {};
      await client.patchStatus(services, name, namespace, { loadBalancer: { ingress: [{ ip }] } });
      return undefined;
    },
  });
  function free(): string {
    const taken = new Set(given.values());
    for (let i = 1; i <= maxAddresses; i++) if (!taken.has(`${prefix}${i}`)) return `${prefix}${i}`;
    throw new Error(`all ${maxAddresses} addresses of ${prefix}0/24 are taken`);
  }
  const informer: Informer<Service> = new Informer(client, services, { onError });
  const look = (service: Service) => queue.add(keyOf(service));
  informer.on({ add: look, update: look, delete: look });
  void informer.start().synced.then(() => queue.start());
  return async () => {
    await Promise.all([informer.stop(), queue.stop()]);
  };
}
