import type { Forward, WeightedCluster } from '../config/table.ts';
import type { RequestFacts } from './facts.ts';

/** Draws by weight; `cluster_header` names the cluster itself. */
export function chooseCluster(facts: Pick<RequestFacts, 'header'>, forward: Forward): WeightedCluster | null {
  if (forward.clusterHeader !== null) {
    const cluster = facts.header(forward.clusterHeader);
    return cluster === null
      ? null
      : {
          cluster,
          weight: 1,
          requestHeaders: null,
          responseHeaders: null,
          hostRewrite: null,
          subset: null,
          filters: null,
        };
  }
  return chooseWeighted(forward.clusters, forward.totalWeight);
}

export function chooseWeighted(clusters: readonly WeightedCluster[], totalWeight: number): WeightedCluster | null {
  if (clusters.length === 1) return clusters[0];
  let mark = Math.random() * totalWeight;
  for (const weighted of clusters) {
    mark -= weighted.weight;
    if (mark < 0) return weighted;
  }
  return clusters[clusters.length - 1] ?? null;
}
