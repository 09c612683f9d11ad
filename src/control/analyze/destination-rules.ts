/** DestinationRules: IST0101 of their hosts, IST0128 and IST0129, LAT0002. */
import type { DestinationRule } from '../../api/istio/destination-rule.ts';
import { nearestWord } from '../../lib/nearest-word.ts';
import { coversHost } from '../model/selector.ts';
import { nameOf, type Tell } from './finding.ts';
import type { View } from './view.ts';

export function analyzeDestinationRules(view: View, tell: Tell): void {
  const rules = view.of('DestinationRule');
  for (const rule of rules) {
    unusedHost(view, rule, tell);
    unverified(rule, tell);
    emptySubsets(view, rule, tell);
  }
  shadowed(view, rules, tell);
}

function unusedHost(view: View, rule: DestinationRule, tell: Tell): void {
  const namespace = rule.metadata.namespace ?? '';
  const { host: given } = rule.spec;
  const host = view.host(given, namespace);
  if (!view.options.isWhole) return;
  const isUsed = host.includes('*')
    ? view.services.some((service) => coversHost(host, service.host) || coversHost(service.host, host))
    : view.service(host) !== null;
  if (isUsed) return;
  const names = view.services.flatMap((service) =>
    given.includes('.') ? service.host : service.native && service.namespace === namespace ? service.name : [],
  );
  const near = nearestWord(given, names);
  const hint = near ? `; did you mean ${JSON.stringify(near)}?` : '';
  tell('LAT0002', rule, 'spec.host', `is never used: no service has the host ${JSON.stringify(host)}${hint}`);
}

/** Rules of one namespace for one host are merged, but for the traffic policy: the oldest one's counts. */
function shadowed(view: View, rules: readonly DestinationRule[], tell: Tell): void {
  const byHost = new Map<string, DestinationRule[]>();
  for (const rule of rules) {
    if (Object.keys(rule.spec.workloadSelector?.matchLabels ?? {}).length > 0) continue;
    const namespace = rule.metadata.namespace ?? '';
    const key = `${namespace} ${view.host(rule.spec.host, namespace)}`;
    byHost.set(key, [...(byHost.get(key) ?? []), rule]);
  }
  for (const same of byHost.values())
    for (const [i, rule] of same.entries()) {
      const older = same.slice(0, i);
      const policy = older.find(({ spec }) => spec.trafficPolicy !== undefined);
      if (policy && rule.spec.trafficPolicy !== undefined)
        tell(
          'LAT0002',
          rule,
          'spec.trafficPolicy',
          `is never used: ${nameOf(policy)} is older, for the same host, and sets it`,
        );
      const known = new Map(older.flatMap((each) => each.spec.subsets?.map(({ name }) => [name, each] as const) ?? []));
      for (const [j, { name }] of (rule.spec.subsets ?? []).entries()) {
        const first = known.get(name);
        if (first)
          tell(
            'LAT0002',
            rule,
            `spec.subsets[${j}]`,
            `is never used: ${nameOf(first)} is older and has a subset ${name} too`,
          );
      }
    }
}

function unverified(rule: DestinationRule, tell: Tell): void {
  const { name = '', namespace = '' } = rule.metadata;
  const { host, trafficPolicy } = rule.spec;
  const lacks = (tls: NonNullable<typeof trafficPolicy>['tls']) =>
    (tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL') &&
    !tls.caCertificates &&
    !tls.credentialName &&
    tls.insecureSkipVerify !== true;
  const text = (mode: string | undefined) =>
    `DestinationRule ${name} in namespace ${namespace} has TLS mode set to ${mode} but no caCertificates are set to validate server identity for host: ${host}`;
  if (lacks(trafficPolicy?.tls)) tell('IST0128', rule, 'spec.trafficPolicy.tls', text(trafficPolicy?.tls?.mode));
  for (const [i, settings] of (trafficPolicy?.portLevelSettings ?? []).entries())
    if (lacks(settings.tls))
      tell(
        'IST0129',
        rule,
        `spec.trafficPolicy.portLevelSettings[${i}].tls`,
        `${text(settings.tls?.mode)} at port ${settings.port?.number ?? ''}`,
      );
}

/** A subset whose labels no workload of its service has: every request to it fails with 503. */
function emptySubsets(view: View, rule: DestinationRule, tell: Tell): void {
  const service = view.service(view.host(rule.spec.host, rule.metadata.namespace ?? ''));
  if (!view.options.isWhole || !service?.native || !service.selector) return;
  for (const [i, { name, labels }] of (rule.spec.subsets ?? []).entries()) {
    if (!labels || Object.keys(labels).length === 0) continue;
    if (view.workloads(service.namespace, { ...service.selector, ...labels }).length > 0) continue;
    const text = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    tell(
      'IST0127',
      rule,
      `spec.subsets[${i}].labels`,
      `No matching workloads for this resource with the following labels: ${text.join(',')} (subset ${name})`,
    );
  }
}
