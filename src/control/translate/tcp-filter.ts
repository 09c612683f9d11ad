/** The network filter that relays bytes to a cluster. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { TcpProxySchema } from '../../xds/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import type { Snapshot } from '../model/snapshot.ts';
import { accessLogs } from './access-log.ts';
import type { NetworkFilter } from './http-manager.ts';
import { any } from './message.ts';
import type { Policy } from './traffic-policy.ts';

export interface WeightedTarget {
  cluster: string;
  weight: number;
  /** The request that goes there in place of the bytes alone; undefined for none. */
  tunnel?: Policy['tunnel'];
}

export function tcpProxy(
  snapshot: Snapshot,
  statPrefix: string,
  targets: string | readonly WeightedTarget[],
  side: 'client' | 'server' = 'client',
): NetworkFilter {
  const clusterSpecifier: MessageInitShape<typeof TcpProxySchema>['clusterSpecifier'] =
    typeof targets === 'string'
      ? { case: 'cluster', value: targets }
      : targets.length === 1
        ? { case: 'cluster', value: targets[0].cluster }
        : {
            case: 'weightedClusters',
            value: { clusters: targets.map(({ cluster, weight }) => ({ name: cluster, weight })) },
          };
  const tunnel = typeof targets !== 'string' && targets.length === 1 ? targets[0].tunnel : undefined;
  const tunnelingConfig = tunnel && {
    hostname: `${tunnel.targetHost.includes(':') ? `[${tunnel.targetHost}]` : tunnel.targetHost}:${tunnel.targetPort}`,
    usePost: tunnel.protocol?.toUpperCase() === 'POST',
  };
  return {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: any(TcpProxySchema, {
        statPrefix,
        clusterSpecifier,
        tunnelingConfig,
        accessLog: accessLogs(snapshot.mesh, side),
      }),
    },
  };
}
