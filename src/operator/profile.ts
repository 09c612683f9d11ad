import type { IstioInstallationSpec } from '../api/installation/istio-installation.ts';
export function resolve(spec: IstioInstallationSpec): IstioInstallationSpec {
  return {
    ...spec,
    components: {
      control: { k8s: { resources: { requests: { cpu: '10m', memory: '100Mi' } } } },
      ingressGateways: [
        { name: 'istio-ingressgateway', k8s: { resources: { requests: { cpu: '10m', memory: '40Mi' } } } },
      ],
      egressGateways: [{ name: 'istio-egressgateway' }],
      ...spec.components,
    },
  };
}
