/** What reaches a sidecar's workload: the listener on 15006, a set of filter chains for each port. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { TrafficDirection } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import type { MtlsMode } from '../model/mtls-mode.ts';
import { isHttp, type Protocol } from '../model/protocol.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { type Authorization, authorization } from './authorization.ts';
import { httpManager, type NetworkFilter } from './http-manager.ts';
import { httpInspector, originalDst, plaintextHttp, tlsInspectorFor } from './listener-filters.ts';
import { duration, socketAddress } from './message.ts';
import { blackHoleCluster, inboundCluster, inboundPassthroughCluster } from './names.ts';
import type { Problems } from './problem.ts';
import type { Scope } from './scope.ts';
import { tcpProxy } from './tcp-filter.ts';
import { meshDownstream, meshServerAlpn, meshServerOffer } from './tls.ts';
import { singleRoute } from './virtual-hosts.ts';

type FilterChain = Exclude<MessageInitShape<typeof FilterChainSchema>, { $typeName: string }>;
type Match = Exclude<MessageInitShape<typeof FilterChainMatchSchema>, { $typeName: string }>;

/** Istio's; where intercepted inbound traffic arrives. */
const inboundPort = 15_006;

interface Port {
  /** Null for all that no service names. */
  number: number | null;
  protocol: Protocol;
  mode: MtlsMode;
}

export function virtualInbound(snapshot: Snapshot, scope: Scope, problems: Problems): Listener {
  const rules = authorization(snapshot, scope, problems);
  const modeOf = (port: number) => snapshot.mtls.modeOf(scope.namespace, scope.labels, port);
  const ports: Port[] = scope.inbound.map(({ port, target }) => ({
    number: target,
    protocol: port.protocol,
    mode: modeOf(target),
  }));
  const named = new Set(ports.map(({ number }) => number));
  // A port that no service names can have a policy of its own all the same.
  const policy = snapshot.mtls.workloadPolicy(scope.namespace, scope.labels);
  for (const key of Object.keys(policy?.spec.portLevelMtls ?? {})) {
    const number = Number(key);
    if (!named.has(number)) ports.push({ number, protocol: 'auto', mode: modeOf(number) });
  }
  ports.push({ number: null, protocol: 'auto', mode: modeOf(0) });
  const opaque = ports.filter(({ protocol }) => isOpaque(protocol));
  const portsOf = (some: readonly Port[]) => some.flatMap(({ number }) => number ?? []);
  const bare = opaque.filter(({ mode }) => mode === 'DISABLE');
  return create(ListenerSchema, {
    name: 'virtualInbound',
    address: socketAddress('0.0.0.0', inboundPort),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [originalDst, tlsInspectorFor(portsOf(bare)), httpInspector(portsOf(opaque))],
    listenerFiltersTimeout: duration(snapshot.mesh.protocolDetectionTimeout),
    continueOnListenerFiltersTimeout: true,
    filterChains: [
      {
        name: 'virtualInbound-blackhole',
        filterChainMatch: { destinationPort: inboundPort },
        filters: [tcpProxy(snapshot, blackHoleCluster, blackHoleCluster, 'server')],
      },
      ...ports.flatMap((port) => chainsOf(snapshot, port, rules)),
    ],
  });
}

const isOpaque = (protocol: Protocol) => protocol === 'tcp' || protocol === 'tls' || protocol === 'https';

/**
 *               what comes            DISABLE   PERMISSIVE                STRICT
 *   HTTP port   mesh TLS              -         HTTP inside               HTTP inside
 *               plaintext             HTTP      HTTP                      no chain: closed
 *               the application's TLS relayed   relayed                   no chain: closed
 *   TCP port    the same, with everything relayed; a detected port asks ALPN or the inspector which of the two it is.
 */
function chainsOf(snapshot: Snapshot, port: Port, rules: Authorization): FilterChain[] {
  const cluster = port.number === null ? inboundPassthroughCluster : inboundCluster(port.number);
  const label = port.number === null ? 'virtualInbound-catchall' : `0.0.0.0_${port.number}`;
  const trusted = [snapshot.mesh.trustDomain, ...snapshot.mesh.trustDomainAliases];
  const mesh = {
    http: meshDownstream(trusted, meshServerOffer.http),
    tcp: meshDownstream(trusted, meshServerOffer.tcp),
  };
  const http = (): NetworkFilter[] => [
    httpManager(snapshot, {
      statPrefix: label === 'virtualInbound-catchall' ? 'InboundPassthroughCluster' : `inbound_${label}`,
      side: 'inbound',
      routes: singleRoute(cluster, `inbound|http|${port.number ?? 0}`, cluster),
      filters: rules.http,
    }),
  ];
  const tcp = (): NetworkFilter[] => [...rules.network, tcpProxy(snapshot, cluster, cluster, 'server')];
  const chain = (
    name: string,
    match: Match,
    filters: NetworkFilter[],
    inside: keyof typeof mesh | null,
  ): FilterChain => ({
    name: port.number === null ? `${label}${name}` : label,
    filterChainMatch: { ...match, destinationPort: port.number ?? undefined },
    filters,
    transportSocket: inside === null ? undefined : mesh[inside],
  });
  const tls = { transportProtocol: 'tls' };
  const raw = { transportProtocol: 'raw_buffer' };
  const chains: FilterChain[] = [];
  const knowsHttp = isHttp(port.protocol);
  const detects = port.protocol === 'auto';
  // Nothing to tell apart, so nothing to wait for: a server that speaks first works.
  if (port.mode === 'DISABLE' && isOpaque(port.protocol)) return [chain('-tcp-plain', {}, tcp(), null)];

  if (port.mode !== 'DISABLE') {
    // STRICT takes no other TLS, so only a detected port needs ALPN to tell HTTP from the rest.
    const strict = port.mode === 'STRICT';
    if (knowsHttp)
      chains.push(
        chain('-http', strict ? tls : { ...tls, applicationProtocols: [...meshServerAlpn.all] }, http(), 'http'),
      );
    else if (detects) {
      chains.push(chain('-http', { ...tls, applicationProtocols: [...meshServerAlpn.http] }, http(), 'http'));
      chains.push(
        chain('-tcp', strict ? tls : { ...tls, applicationProtocols: [...meshServerAlpn.tcp] }, tcp(), 'tcp'),
      );
    } else
      chains.push(
        chain('-tcp', strict ? tls : { ...tls, applicationProtocols: [...meshServerAlpn.all] }, tcp(), 'tcp'),
      );
  }
  if (port.mode !== 'STRICT') {
    if (knowsHttp) chains.push(chain('-http-plain', raw, http(), null));
    else if (detects) {
      chains.push(chain('-http-plain', { ...raw, applicationProtocols: plaintextHttp }, http(), null));
      chains.push(chain('-tcp-plain', raw, tcp(), null));
    } else chains.push(chain('-tcp-plain', raw, tcp(), null));
    chains.push(chain('-tls-plain', tls, tcp(), null));
  }
  return chains;
}
