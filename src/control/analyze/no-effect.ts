/** Fields that are taken, and that neither the control plane nor the proxy goes by: LAT0004. */
import type { Analyzed, Tell } from './finding.ts';
import type { KindName, View } from './view.ts';

const balancing = ['backendUtilization', 'zoneAwareLbSetting'].map((field) => `loadBalancer.${field}`);
const policies = ['trafficPolicy', 'subsets[].trafficPolicy'].flatMap((policy) => [
  policy,
  `${policy}.portLevelSettings[]`,
]);

/** By kind, below `spec`; `[]` stands for each item, '' for the whole of it. */
const fields: Partial<Record<KindName, readonly string[]>> = {
  VirtualService: ['tcp[].match[].sourceSubnet'],
  DestinationRule: [
    'workloadSelector',
    ...policies.flatMap((policy) => balancing.map((field) => `${policy}.${field}`)),
  ],
  Gateway: ['caCrl', 'serverCertificate', 'tlsCertificates'].map((field) => `servers[].tls.${field}`),
  Sidecar: ['inboundConnectionPool', 'ingress[].connectionPool'],
  Telemetry: ['metrics[].reportingInterval', 'tracing'],
  RequestAuthentication: [''],
};

export function analyzeNoEffect(view: View, tell: Tell): void {
  for (const [kind, paths] of Object.entries(fields) as Array<[KindName, readonly string[]]>)
    for (const resource of view.of(kind) as Iterable<Analyzed & { spec?: unknown }>)
      for (const path of paths)
        for (const found of places(resource.spec, path === '' ? [] : path.split('.'), 'spec'))
          tell('LAT0004', resource, found, 'has no effect: nothing here goes by it yet');
}

/** Where something is set that the steps lead to. */
function places(value: unknown, steps: readonly string[], at: string): string[] {
  if (value === undefined || value === null) return [];
  const [step, ...rest] = steps;
  if (step === undefined) return [at];
  const name = step.replace('[]', '');
  const next = (value as Record<string, unknown>)[name];
  if (!step.endsWith('[]')) return places(next, rest, `${at}.${name}`);
  return Array.isArray(next) ? next.flatMap((item, i) => places(item, rest, `${at}.${name}[${i}]`)) : [];
}
