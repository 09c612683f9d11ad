/**
 * Every decision about a request, in order: in the caller's proxy (listener, route, cluster), which endpoints it may go to and how, and in the
 * proxy of each of them (mutual TLS, authorization). By the translation and by the decision function that the proxy itself uses.
 */

import type { Endpoint } from '../../control/model/endpoint.ts';
import { fullHost, matchesLabels } from '../../control/model/selector.ts';
import type { Service } from '../../control/model/service.ts';
import type { Snapshot } from '../../control/model/snapshot.ts';
import type { Workload } from '../../control/model/workload.ts';
import { takesMutualTls } from '../../control/translate/endpoints.ts';
import { type ProxyNode, type Scope, scopeOf } from '../../control/translate/scope.ts';
import { destinationRuleOf, policyFor } from '../../control/translate/traffic-policy.ts';
import { translate } from '../../control/translate/translate.ts';
import { visibleServices } from '../../control/translate/virtual-hosts.ts';
import { ResourceStore } from '../../proxy/config/compile.ts';
import type { Table } from '../../proxy/config/table.ts';
import { type Decision, decide } from '../../proxy/decide/decide.ts';
import type { Question } from '../../proxy/decide/question.ts';
import { DecisionTrace, type Step } from '../../proxy/decide/trace.ts';
import { clusterName } from '../proxy-config/dump.ts';

export interface Asked {
  readonly method: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
}

/** Who asks: a workload of the mesh, or somebody outside who comes by a gateway. */
export type Caller =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'gateway'; readonly workload: Workload };

export interface Inbound {
  readonly endpoints: readonly string[];
  readonly mutualTls: boolean;
  readonly why: string;
  readonly steps: readonly Step[];
  readonly decision: Decision | null;
}

export interface ClusterExplained {
  readonly name: string;
  readonly percent: number;
  /** `destination-rule default/reviews`; ''. */
  readonly rule: string;
  readonly subset: string;
  readonly balancing: string;
  readonly inbound: readonly Inbound[];
}

export interface Explained {
  readonly caller: string;
  readonly steps: readonly Step[];
  readonly decision: Decision;
  readonly clusters: readonly ClusterExplained[];
  /** What of the configuration the proxy refuses. */
  readonly refused: readonly string[];
}

const outboundListener = 'virtualOutbound';
const maxEndpoints = 50;

export function explain(snapshot: Snapshot, caller: Caller, asked: Asked): Explained {
  const { workload } = caller;
  const { scope, table, refused } = tableFor(snapshot, caller.kind === 'gateway' ? 'router' : 'sidecar', workload);
  const host = fullHost(asked.host, workload.namespace, snapshot.domain);
  const service = serviceNamed(snapshot, scope, asked.host, host);
  const destination = service?.addresses[0]?.split('/')[0] ?? '240.0.0.1';
  const question: Question = {
    ...common(asked),
    listener:
      caller.kind === 'gateway' ? gatewayListener(table, scope, asked.port) : outbound(table, destination, asked.port),
    port: asked.port,
    destination: caller.kind === 'gateway' ? (workload.ips[0] ?? '127.0.0.1') : destination,
    source: caller.kind === 'gateway' ? '198.51.100.1' : (workload.ips[0] ?? '127.0.0.1'),
    principal: '',
    tls: false,
    sni: '',
    alpn: ['http/1.1'],
  };
  const trace = new DecisionTrace();
  const decision = decide(table, question, trace);
  const clusters =
    decision.outcome !== 'forwarded'
      ? []
      : decision.clusters.map(({ cluster, percent }) =>
          clusterExplained(snapshot, scope, workload, cluster, percent, asked),
        );
  return { caller: `${workload.name}.${workload.namespace}`, steps: trace.steps, decision, clusters, refused };
}

const common = ({ method, host, port, path, headers }: Asked) => ({
  method,
  authority: port === 80 ? host : `${host}:${port}`,
  path,
  headers,
});

function tableFor(snapshot: Snapshot, kind: 'sidecar' | 'router', { name, namespace, ips, labels }: Workload) {
  const node: ProxyNode = {
    id: `${kind}~${ips[0] ?? '127.0.0.1'}~${name}.${namespace}~${namespace}.svc.${snapshot.domain}`,
    metadata: { NAMESPACE: namespace, LABELS: { ...labels } },
  };
  const scope = scopeOf(node, snapshot);
  const { clusters, endpoints, listeners, routes } = translate(snapshot, scope);
  const store = new ResourceStore();
  const refused = [
    ...clusters.flatMap((message) => store.put('cluster', message.name, message)),
    ...endpoints.flatMap((message) => store.put('endpoint', message.clusterName, message)),
    ...listeners.flatMap((message) => store.put('listener', message.name, message)),
    ...routes.flatMap((message) => store.put('route', message.name, message)),
  ];
  return { scope, table: store.table(1), refused };
}

function serviceNamed(snapshot: Snapshot, scope: Scope, given: string, host: string): Service | null {
  const names = new Set([host, given, `${given}.${snapshot.domain}`, `${given}.svc.${snapshot.domain}`]);
  return visibleServices(snapshot, scope).find((service) => names.has(service.host)) ?? null;
}

/** Where the traffic that is redirected to 15001 is handed on to. */
function outbound(table: Table, destination: string, port: number): string {
  for (const name of [`${destination}_${port}`, `0.0.0.0_${port}`]) if (table.listeners.has(name)) return name;
  return outboundListener;
}

/** The gateway's own port, which its Service maps the outer one to. */
function gatewayListener(table: Table, scope: Scope, port: number): string {
  const own = scope.inbound.find((each) => each.port.port === port)?.target ?? port;
  for (const { name, address } of table.listeners.values()) if (address.port === own) return name;
  return `0.0.0.0_${own}`;
}

function clusterExplained(
  snapshot: Snapshot,
  scope: Scope,
  caller: Workload,
  name: string,
  percent: number,
  asked: Asked,
): ClusterExplained {
  const none = { name, percent, rule: '', subset: '', balancing: '', inbound: [] };
  const parts = clusterName(name);
  const service = parts && visibleServices(snapshot, scope).find(({ host }) => host === parts.host);
  const port = service?.ports.find((each) => String(each.port) === parts?.port);
  if (!parts || !service || !port) return none;
  const rule = destinationRuleOf(snapshot, service, scope.namespace);
  const subset = rule?.spec.subsets?.find((each) => each.name === parts.subset) ?? null;
  const policy = policyFor(rule, subset, port.port);
  const { simple, consistentHash } = policy.loadBalancer ?? {};
  const endpoints = snapshot.endpoints(service, port).filter(({ labels }) => matchesLabels(subset?.labels, labels));
  const groups = new Map<string, { inbound: Inbound; endpoints: string[] }>();
  for (const endpoint of endpoints.slice(0, maxEndpoints)) {
    const inbound = inboundOf(snapshot, caller, endpoint, policy.tls?.mode, asked);
    const key = JSON.stringify([inbound.mutualTls, inbound.why, inbound.steps, inbound.decision]);
    const at = `${endpoint.podName || endpoint.address} (${endpoint.address}:${endpoint.port})`;
    const group = groups.get(key);
    if (group) group.endpoints.push(at);
    else groups.set(key, { inbound, endpoints: [at] });
  }
  return {
    name,
    percent,
    rule: rule ? `destination-rule ${rule.metadata.namespace}/${rule.metadata.name}` : '',
    subset: parts.subset,
    balancing: consistentHash
      ? `consistent hash by ${Object.keys(consistentHash).join(', ')}`
      : (simple ?? 'LEAST_REQUEST'),
    inbound: Array.from(groups.values(), ({ inbound, endpoints: at }) => ({ ...inbound, endpoints: at })),
  };
}

function inboundOf(
  snapshot: Snapshot,
  caller: Workload,
  endpoint: Endpoint,
  mode: string | undefined,
  asked: Asked,
): Inbound {
  const takes = takesMutualTls(snapshot, endpoint);
  const mutualTls = mode === 'ISTIO_MUTUAL' || (mode === undefined && takes);
  const why =
    mode !== undefined
      ? `the DestinationRule says ${mode}`
      : takes
        ? 'both sides have a proxy of the mesh'
        : endpoint.meshed
          ? 'a PeerAuthentication switches it off'
          : 'the endpoint has no proxy of the mesh';
  const workload = snapshot.workloadByIp.get(endpoint.address);
  if (!workload || !endpoint.meshed) return { endpoints: [], mutualTls, why, steps: [], decision: null };
  const { table } = tableFor(snapshot, 'sidecar', workload);
  const trace = new DecisionTrace();
  const { trustDomain } = snapshot.mesh;
  const decision = decide(
    table,
    {
      ...common(asked),
      listener: 'virtualInbound',
      port: endpoint.port,
      destination: endpoint.address,
      source: caller.ips[0] ?? '127.0.0.1',
      principal: mutualTls ? `spiffe://${trustDomain}/ns/${caller.namespace}/sa/${caller.serviceAccount}` : '',
      tls: mutualTls,
      sni: '',
      alpn: mutualTls ? ['istio-http/1.1'] : ['http/1.1'],
    },
    trace,
  );
  return { endpoints: [], mutualTls, why, steps: trace.steps, decision };
}
