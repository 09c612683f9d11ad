/** Istio's annotations: IST0107, IST0108. */
import { nearestWord } from '../../lib/nearest-word.ts';
import type { Tell } from './finding.ts';
import type { View } from './view.ts';

/** The kinds that each may be on (istio.io/latest/docs/reference/config/annotations). */
const known: Readonly<Record<string, readonly string[]>> = {
  'networking.istio.io/exportTo': ['Service'],
  'networking.istio.io/traffic-distribution': ['Service'],
  'networking.istio.io/service-type': ['Gateway'],
  'networking.istio.io/address-type': ['Gateway'],
  'istio.io/dry-run': ['AuthorizationPolicy'],
  'istio.io/rev': ['Pod'],
  'inject.istio.io/templates': ['Pod'],
  'prometheus.istio.io/merge-metrics': ['Pod'],
  'proxy.istio.io/config': ['Pod'],
  'proxy.istio.io/overrides': ['Pod'],
  'readiness.status.sidecar.istio.io/applicationPorts': ['Pod'],
  'readiness.status.sidecar.istio.io/failureThreshold': ['Pod'],
  'readiness.status.sidecar.istio.io/initialDelaySeconds': ['Pod'],
  'readiness.status.sidecar.istio.io/periodSeconds': ['Pod'],
  'security.istio.io/autoRegistration': ['WorkloadGroup'],
  'sidecar.istio.io/bootstrapOverride': ['Pod'],
  'sidecar.istio.io/componentLogLevel': ['Pod'],
  'sidecar.istio.io/controlPlaneAuthPolicy': ['Pod'],
  'sidecar.istio.io/enableCoreDump': ['Pod'],
  'sidecar.istio.io/extraStatTags': ['Pod'],
  'sidecar.istio.io/inject': ['Pod'],
  'sidecar.istio.io/interceptionMode': ['Pod'],
  'sidecar.istio.io/logLevel': ['Pod'],
  'sidecar.istio.io/nativeSidecar': ['Pod'],
  'sidecar.istio.io/proxyCPU': ['Pod'],
  'sidecar.istio.io/proxyCPULimit': ['Pod'],
  'sidecar.istio.io/proxyImage': ['Pod'],
  'sidecar.istio.io/proxyImageType': ['Pod'],
  'sidecar.istio.io/proxyMemory': ['Pod'],
  'sidecar.istio.io/proxyMemoryLimit': ['Pod'],
  'sidecar.istio.io/rewriteAppHTTPProbers': ['Pod'],
  'sidecar.istio.io/statsCompression': ['Pod'],
  'sidecar.istio.io/statsInclusionPrefixes': ['Pod'],
  'sidecar.istio.io/statsInclusionRegexps': ['Pod'],
  'sidecar.istio.io/statsInclusionSuffixes': ['Pod'],
  'sidecar.istio.io/status': ['Pod'],
  'sidecar.istio.io/userVolume': ['Pod'],
  'sidecar.istio.io/userVolumeMount': ['Pod'],
  'status.sidecar.istio.io/port': ['Pod'],
  'topology.istio.io/controlPlaneClusters': ['Namespace'],
  'traffic.sidecar.istio.io/excludeInboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/excludeInterfaces': ['Pod'],
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': ['Pod'],
  'traffic.sidecar.istio.io/excludeOutboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/includeInboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/includeOutboundIPRanges': ['Pod'],
  'traffic.sidecar.istio.io/includeOutboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/kubevirtInterfaces': ['Pod'],
  'traffic.istio.io/nodeSelector': ['Service'],
};

/** Written by programs, on objects of any kind. */
const anywhere = [
  'install.operator.istio.io/',
  'operator.istio.io/',
  'internal.istio.io/',
  'gateway.istio.io/',
  'galley.istio.io/',
];

const isOurs = (name: string) => /(?:^|\.)istio\.io\//.test(name);

export function analyzeAnnotations(view: View, tell: Tell): void {
  for (const object of view.all)
    for (const name of Object.keys(object.metadata.annotations ?? {})) {
      if (!isOurs(name) || anywhere.some((prefix) => name.startsWith(prefix))) continue;
      const at = `metadata.annotations[${JSON.stringify(name)}]`;
      const kinds = known[name];
      if (kinds === undefined) {
        const near = nearestWord(name, Object.keys(known));
        tell(
          'IST0108',
          object,
          at,
          `Unknown annotation: ${name}${near ? `; did you mean ${JSON.stringify(near)}?` : ''}`,
        );
      } else if (!kinds.includes(object.kind))
        tell('IST0107', object, at, `Misplaced annotation: ${name} can only be applied to ${kinds.join(', ')}`);
    }
}
