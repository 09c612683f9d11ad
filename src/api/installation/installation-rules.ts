/** Rules across an IstioInstallation's fields. */
import { checkRetries } from '../istio/rules/http-route-rules.ts';
import { below, each, type Report, show } from '../schema/problem.ts';
import type { InstallationGateway, IstioInstallation, KubernetesSettings } from './istio-installation.ts';

export function checkInstallation({ spec }: Pick<IstioInstallation, 'spec'>, report: Report): void {
  const at = below(report, 'spec');
  const { control, ingressGateways, egressGateways } = spec.components ?? {};
  const components = below(at, 'components');
  checkSettings(below(components, 'control', 'k8s'), control?.k8s);
  const seen = new Map<string, string>();
  for (const [field, list] of Object.entries({ ingressGateways, egressGateways }))
    each(components, field, list, (gateway, there) => {
      checkSettings(below(there, 'k8s'), gateway.k8s);
      checkIsOnlyOne(there, gateway, spec.namespace || 'istio-system', field, seen);
    });
  if (control?.k8s?.service)
    components.warning(['control', 'k8s', 'service'], "is not used: the control plane's Service is fixed");
  checkRetries(below(at, 'meshConfig', 'defaultHttpRetryPolicy'), spec.meshConfig?.defaultHttpRetryPolicy);
}

function checkIsOnlyOne(
  report: Report,
  { name, namespace = '' }: InstallationGateway,
  installationNamespace: string,
  field: string,
  seen: Map<string, string>,
): void {
  const key = `${namespace || installationNamespace}/${name}`;
  const before = seen.get(key);
  if (before) report.error(['name'], `${show(name)} is used before, in ${before}`, 'duplicate');
  seen.set(key, field);
}

function checkSettings(report: Report, settings: KubernetesSettings | undefined): void {
  const { hpa, replicas } = settings ?? {};
  if (!hpa) return;
  if ((hpa.minReplicas ?? 1) > hpa.maxReplicas)
    report.error(
      ['hpa', 'minReplicas'],
      `must be at most maxReplicas (${hpa.maxReplicas}), is ${hpa.minReplicas}`,
      'range',
    );
  if (replicas !== undefined) report.warning(['replicas'], 'is not used: hpa decides how many there are');
}
