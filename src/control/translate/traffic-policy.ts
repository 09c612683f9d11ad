/** Which DestinationRule speaks for a host, and what its policies come to for one port and subset. */
import type { DestinationRule, Subset, TrafficPolicy } from '../../api/istio/destination-rule.ts';
import { coversHost, fullHost, isVisible } from '../model/selector.ts';
import type { Service } from '../model/service.ts';
import type { Snapshot } from '../model/snapshot.ts';

export type Policy = Pick<
  TrafficPolicy,
  'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls' | 'retryBudget' | 'proxyProtocol' | 'tunnel'
>;

/** All rules where some ask for a tunnel, null where none do: what else is made of TCP need not look at them. */
export function tunnelRules({ destinationRules }: Snapshot): readonly DestinationRule[] | null {
  let found = tunnels.get(destinationRules);
  if (found === undefined) {
    found = destinationRules.some(
      ({ spec }) => spec.trafficPolicy?.tunnel || spec.subsets?.some(({ trafficPolicy }) => trafficPolicy?.tunnel),
    );
    tunnels.set(destinationRules, found);
  }
  return found ? destinationRules : null;
}

const tunnels = new WeakMap<readonly DestinationRule[], boolean>();

/**
 * Istio looks in the client's namespace, then the service's, then the root namespace; in each an exact host comes before the longest
 * wildcard. Rules of one namespace for one host are merged: subsets of all, the traffic policy of the first that has one.
 */
export function destinationRuleOf(snapshot: Snapshot, service: Service, namespace: string): DestinationRule | null {
  const { rootNamespace } = snapshot.mesh;
  const { byNamespace, answers } = indexOf(snapshot);
  const asked = `${namespace} ${rootNamespace}`;
  let known = answers.get(asked);
  if (known === undefined) {
    known = new WeakMap();
    answers.set(asked, known);
  }
  let rule = known.get(service);
  if (rule === undefined) {
    rule = find(byNamespace, service, namespace, rootNamespace);
    known.set(service, rule);
  }
  return rule;
}

function find(
  byNamespace: ReadonlyMap<string, NamespaceRules>,
  service: Service,
  namespace: string,
  rootNamespace: string,
): DestinationRule | null {
  for (const place of new Set([namespace, service.namespace, rootNamespace])) {
    const rules = byNamespace.get(place);
    if (!rules) continue;
    const found = match(rules, service.host, (rule) => isVisible(rule.spec.exportTo, place, namespace));
    if (found) return found;
  }
  return null;
}

interface NamespaceRules {
  exact: Map<string, DestinationRule>;
  /** Longest first. */
  wildcards: Array<[string, DestinationRule]>;
}

interface Index {
  readonly byNamespace: Map<string, NamespaceRules>;
  /** By client and root namespace: each service is asked about many times for every scope. */
  readonly answers: Map<string, WeakMap<Service, DestinationRule | null>>;
}

const indices = new WeakMap<readonly DestinationRule[], Index>();

function indexOf(snapshot: Snapshot): Index {
  const cached = indices.get(snapshot.destinationRules);
  if (cached) return cached;
  const byNamespace = new Map<string, NamespaceRules>();
  for (const rule of snapshot.destinationRules) {
    const namespace = rule.metadata.namespace ?? '';
    const host = fullHost(rule.spec.host, namespace, snapshot.domain);
    const rules: NamespaceRules = byNamespace.get(namespace) ?? { exact: new Map(), wildcards: [] };
    byNamespace.set(namespace, rules);
    // A rule for chosen clients only is not for everybody; it is left to the workloads that it names.
    if (Object.keys(rule.spec.workloadSelector?.matchLabels ?? {}).length > 0) continue;
    if (host.includes('*')) rules.wildcards.push([host, rule]);
    else rules.exact.set(host, merge(rules.exact.get(host), rule));
  }
  for (const { wildcards } of byNamespace.values()) wildcards.sort(([a], [b]) => b.length - a.length);
  const index: Index = { byNamespace, answers: new Map() };
  indices.set(snapshot.destinationRules, index);
  return index;
}

function merge(first: DestinationRule | undefined, second: DestinationRule): DestinationRule {
  if (!first) return second;
  const known = new Set(first.spec.subsets?.map(({ name }) => name));
  const subsets = [
    ...(first.spec.subsets ?? []),
    ...(second.spec.subsets ?? []).filter(({ name }) => !known.has(name)),
  ];
  return {
    ...first,
    spec: { ...first.spec, subsets, trafficPolicy: first.spec.trafficPolicy ?? second.spec.trafficPolicy },
  };
}

function match(
  rules: NamespaceRules,
  host: string,
  visible: (rule: DestinationRule) => boolean,
): DestinationRule | null {
  const exact = rules.exact.get(host);
  if (exact && visible(exact)) return exact;
  for (const [pattern, rule] of rules.wildcards) if (coversHost(pattern, host) && visible(rule)) return rule;
  return null;
}

/** Subset over rule, each field on its own; a port's settings replace the whole of the level that they stand in (Istio). */
export function policyFor(rule: DestinationRule | null, subset: Subset | null, port: number): Policy {
  const outer = atPort(rule?.spec.trafficPolicy, port);
  const inner = atPort(subset?.trafficPolicy, port);
  return {
    connectionPool: inner.connectionPool ?? outer.connectionPool,
    loadBalancer: inner.loadBalancer ?? outer.loadBalancer,
    outlierDetection: inner.outlierDetection ?? outer.outlierDetection,
    tls: inner.tls ?? outer.tls,
    // No port has one of its own.
    retryBudget: subset?.trafficPolicy?.retryBudget ?? rule?.spec.trafficPolicy?.retryBudget,
    tunnel: subset?.trafficPolicy?.tunnel ?? rule?.spec.trafficPolicy?.tunnel,
    proxyProtocol: subset?.trafficPolicy?.proxyProtocol ?? rule?.spec.trafficPolicy?.proxyProtocol,
  };
}

function atPort(
  policy: TrafficPolicy | undefined,
  port: number,
): Omit<Policy, 'retryBudget' | 'proxyProtocol' | 'tunnel'> {
  return policy?.portLevelSettings?.find((settings) => settings.port?.number === port) ?? policy ?? {};
}
