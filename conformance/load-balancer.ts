import type { Cluster } from '../e2e/cluster/cluster.ts';
import { addresses } from '../e2e/local/layout.ts';
import { connect } from '../src/kube/connect.ts';
import { isNotFound } from '../src/kube/error.ts';
import { Informer } from '../src/kube/informer.ts';
import { keyOf, services, splitKey } from '../src/kube/object.ts';

/** What of a Service says whether it wants an address, and which it has. */
interface Claim {
  key: string;
  wants: boolean;
  /** The address that it asks for (`spec.loadBalancerIP`). */
  asks?: string;
  has?: string;
}

const address = (last: number) => addresses.balancers.replace(/0\/24$/, String(last));
/** Up to here addresses are given to whoever comes; those above only to a Service that asks for one. */
const lastGiven = 199;
const last = 254;

/** An address that a Service may ask for and gets. */
export const usableAddress = address(last - 4);
/** One that no Service gets, since it is outside of the range. */
export const unusableAddress = '10.98.0.1';

const range = Array.from({ length: last }, (_, index) => address(index + 1));

/** The address that a Service is to have among those that others have, or null. */
export function choose(claim: Claim, taken: ReadonlySet<string>): string | null {
  if (claim.asks) return range.includes(claim.asks) && !taken.has(claim.asks) ? claim.asks : null;
  return range.slice(0, lastGiven).find((candidate) => !taken.has(candidate)) ?? null;
}

/** Assigns addresses until it is stopped. */
export interface LoadBalancer {
  stop(): Promise<void>;
}

/**
 * An address is told before kube-proxy has its rules. A SYN that comes in between would be lost, and with it all that are sent again, which
 * the kernel takes for the same connection; it is refused, as a load balancer without a backend does.
 */
async function refuseUnserved(cluster: Cluster): Promise<void> {
  for (const node of cluster.nodes)
    for (const chain of ['OUTPUT', 'FORWARD']) {
      const rule = [chain, '-d', addresses.balancers, '-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset'];
      if ((await cluster.nodeExec(node, ['iptables', '-w', '-C', ...rule])).code === 0) continue;
      const { code, stderr } = await cluster.nodeExec(node, ['iptables', '-w', '-A', ...rule]);
      if (code !== 0) throw new Error(`node ${node}: iptables -A ${rule.join(' ')}: ${stderr.trim()}`);
    }
}

/**
 * Stands in for a cloud's load balancer: gives every Service of type LoadBalancer an address in `status.loadBalancer`, which is all that
 * is needed where kube-proxy answers for the address on every node and in every pod ("--proxy-mode iptables", rules for load balancers).
 */
export async function startLoadBalancer(cluster: Cluster, progress: (line: string) => void): Promise<LoadBalancer> {
  if (cluster.provider === 'local') await refuseUnserved(cluster);
  const client = await connect({ kubeconfig: cluster.kubeconfig, userAgent: 'lateen-conformance' });
  const claims = new Informer(client, services, {
    project: (service): Claim => ({
      key: keyOf(service),
      wants: service.spec?.type === 'LoadBalancer' && service.metadata?.deletionTimestamp === undefined,
      asks: service.spec?.loadBalancerIP,
      has: service.status?.loadBalancer?.ingress?.[0]?.ip,
    }),
    onError: (error) => progress(`load balancer: ${error.message}`),
  });
  /** What was written and may not be seen yet. */
  const given = new Map<string, string>();
  let ending = false;
  const assign = async () => {
    for (const claim of claims.values().filter(({ wants, has, key }) => wants && !has && !given.has(key))) {
      const others = claims.values().flatMap(({ has }) => has ?? []);
      const ip = choose(claim, new Set([...others, ...given.values()]));
      if (!ip) {
        if (!claim.asks) progress(`load balancer: no address left for ${claim.key}`);
        continue;
      }
      given.set(claim.key, ip);
      const { namespace, name } = splitKey(claim.key);
      try {
        await client.patchStatus(services, name, namespace, { loadBalancer: { ingress: [{ ip }] } });
      } catch (error) {
        given.delete(claim.key);
        // It may have gone meanwhile.
        if (!isNotFound(error))
          progress(`load balancer: ${claim.key}: ${error instanceof Error ? error.message : error}`);
      }
    }
  };
  let running = Promise.resolve();
  const changed = () => {
    running = running.then(() => (ending ? undefined : assign()));
  };
  claims.on({
    add: changed,
    update: ({ key, has }) => {
      if (has === given.get(key)) given.delete(key);
      changed();
    },
    delete: (_, key) => {
      given.delete(key);
      changed();
    },
  });
  claims.start();
  await claims.synced;
  return {
    async stop() {
      ending = true;
      await claims.stop();
      await running;
      client.close();
    },
  };
}
