import { join } from 'node:path';
import { clusterFolder } from './folders.ts';

/** Addresses are the same in every cluster, since no two share a network namespace. */
export const addresses = {
  api: '10.66.0.1',
  apiPort: 6443,
  gateway: '10.66.0.254',
  services: '10.96.0.0/16',
  apiService: '10.96.0.1',
  dns: '10.96.0.10',
  pods: '10.244.0.0/16',
  /** For Services of type LoadBalancer, where something assigns them. They have no route of their own: kube-proxy answers for them. */
  balancers: '10.97.0.0/24',
};

export const pauseImage = 'docker.io/lateen/e2e-pause:1';

/** Where one node's things are. Nodes count from 1; node 1 also runs the control plane. */
export interface NodeLayout {
  index: number;
  name: string;
  address: string;
  podRange: string;
  /** Network namespace, and the file that stands for it. */
  namespace: string;
  namespaceFile: string;
  cgroup: string;
  folder: string;
}

export interface Layout {
  cluster: string;
  folder: string;
  pki: string;
  log: string;
  /** Network namespace of the bridge between the nodes. */
  bridge: string;
  nodes: NodeLayout[];
}

/** Every network namespace and cgroup of a cluster starts with this. */
export function prefix(cluster: string): string {
  return `lateen-${cluster}-`;
}

export function layout(cluster: string, nodeCount: number): Layout {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(cluster))
    throw new Error(`cluster name "${cluster}": want up to 31 lower-case letters, digits and hyphens`);
  const folder = clusterFolder(cluster);
  const nodes = Array.from({ length: nodeCount }, (_, at): NodeLayout => {
    const index = at + 1;
    const namespace = `${prefix(cluster)}n${index}`;
    return {
      index,
      name: `n${index}`,
      address: `10.66.0.${index}`,
      podRange: `10.244.${index}.0/24`,
      namespace,
      namespaceFile: `/run/netns/${namespace}`,
      cgroup: namespace,
      folder: join(folder, `n${index}`),
    };
  });
  return {
    cluster,
    folder,
    pki: join(folder, 'pki'),
    log: join(folder, 'log'),
    bridge: `${prefix(cluster)}bridge`,
    nodes,
  };
}
