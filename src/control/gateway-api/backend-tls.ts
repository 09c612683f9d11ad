/** BackendTLSPolicies as DestinationRules. https://gateway-api.sigs.k8s.io/api-types/backendtlspolicy/ */
import type { BackendTlsPolicy } from '../../api/gateway/policies.ts';
import type { ClientTlsSettings, DestinationRule } from '../../api/istio/destination-rule.ts';
import { withOrigin } from '../model/origin.ts';
import { byAge } from '../model/selector.ts';
import { type Fact, fails, holds } from './condition.ts';
import type { View } from './view.ts';

export interface EvaluatedPolicy {
  readonly policy: BackendTlsPolicy;
  /** Hosts of the Services that it speaks for. */
  readonly hosts: readonly string[];
  readonly conditions: readonly Fact[];
}

export interface BackendTls {
  readonly policies: readonly EvaluatedPolicy[];
  readonly destinationRules: readonly DestinationRule[];
  /** Host, or `host port-name`, to which nothing can be sent as long as its policy names no CA. */
  readonly unreachable: ReadonlySet<string>;
}

interface Claim {
  policy: BackendTlsPolicy;
  /** Null: nobody could be trusted. */
  tls: ClientTlsSettings | null;
}

export function backendTls(view: View): BackendTls {
  /** By host, then by name of the port; empty for all of its ports. */
  const claims = new Map<string, Map<string, Claim>>();
  const policies = [...view.objects.backendTlsPolicies.values()].sort(byAge).map((policy): EvaluatedPolicy => {
    const { namespace = '' } = policy.metadata;
    const { tls, fault } = tlsOf(view, policy);
    const hosts: string[] = [];
    let conflict: string | null = null;
    for (const { group, kind, name, sectionName = '' } of policy.spec.targetRefs) {
      if (group !== '' || kind !== 'Service') continue;
      const host = `${name}.${namespace}.svc.${view.objects.clusterDomain}`;
      const ofHost = claims.get(host) ?? new Map<string, Claim>();
      claims.set(host, ofHost);
      const earlier = ofHost.get(sectionName);
      if (earlier)
        conflict = `BackendTLSPolicy "${earlier.policy.metadata.name}" is older and speaks for Service "${name}"`;
      else ofHost.set(sectionName, { policy, tls });
      hosts.push(host);
    }
    const accepted =
      conflict !== null
        ? fails('Accepted', 'Conflicted', conflict)
        : tls === null
          ? fails('Accepted', 'NoValidCACertificate', fault?.message ?? '')
          : holds('Accepted');
    return { policy, hosts, conditions: [accepted, fault ?? holds('ResolvedRefs')] };
  });
  const destinationRules = [...claims].flatMap(([host, ofHost]) => ruleOf(view, host, ofHost) ?? []);
  const unreachable = new Set(
    [...claims].flatMap(([host, ofHost]) =>
      [...ofHost].flatMap(([section, { tls }]) => (tls === null ? targetKey(host, section) : [])),
    ),
  );
  return { policies, destinationRules, unreachable };
}

export const targetKey = (host: string, portName: string): string => (portName === '' ? host : `${host} ${portName}`);

function ruleOf(view: View, host: string, claims: ReadonlyMap<string, Claim>): DestinationRule | null {
  const { policy } = [...claims.values()][0];
  if (![...claims.values()].some(({ tls }) => tls !== null)) return null;
  const ports = view.serviceByHost.get(host)?.ports ?? [];
  const all = claims.get('');
  const portLevelSettings = ports.flatMap(({ name, port }) => {
    const claim = claims.get(name);
    return name !== '' && claim?.tls ? [{ port: { number: port }, tls: claim.tls }] : [];
  });
  return withOrigin(
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule' as const,
      metadata: {
        name: `${host}~backend-tls`,
        namespace: policy.metadata.namespace,
        creationTimestamp: policy.metadata.creationTimestamp,
      },
      spec: {
        host,
        exportTo: ['*'],
        trafficPolicy: {
          ...(all?.tls && { tls: all.tls }),
          ...(portLevelSettings.length > 0 && { portLevelSettings }),
        },
      },
    },
    policy,
  );
}

function tlsOf(view: View, policy: BackendTlsPolicy): { tls: ClientTlsSettings | null; fault: Fact | null } {
  const { namespace = '' } = policy.metadata;
  const { hostname, caCertificateRefs = [], wellKnownCACertificates, subjectAltNames = [] } = policy.spec.validation;
  const names = subjectAltNames.map(({ type, hostname: host = '', uri = '' }) => (type === 'URI' ? uri : host));
  const tls: ClientTlsSettings = {
    mode: 'SIMPLE',
    sni: hostname,
    subjectAltNames: names.length > 0 ? names : [hostname],
  };
  if (wellKnownCACertificates === 'System') return { tls, fault: null };
  const found: string[] = [];
  let fault: Fact | null = null;
  for (const { group = '', kind = 'ConfigMap', name } of caCertificateRefs) {
    const certificate = view.objects.caCertificates.get(`${namespace}/${name}`)?.certificate;
    if (group !== '' || kind !== 'ConfigMap')
      fault ??= fails('ResolvedRefs', 'InvalidKind', `${kind} "${name}": a CA certificate is in a ConfigMap`);
    else if (certificate) found.push(certificate.trim());
    else
      fault ??= fails(
        'ResolvedRefs',
        'InvalidCACertificateRef',
        `ConfigMap "${namespace}/${name}" has no certificate under the key ca.crt`,
      );
  }
  fault ??= found.length > 0 ? null : fails('ResolvedRefs', 'InvalidCACertificateRef', 'no CA certificate is named');
  return { tls: found.length > 0 ? { ...tls, caCertificates: `${found.join('\n')}\n` } : null, fault };
}
