/** What runs a Gateway: a ServiceAccount, a Deployment whose pod the injector completes, a Service. Istio: "Automated Deployment". */
import type { KubernetesGateway } from '../../api/gateway/gateway.ts';
import type { ApiObject, Deployment, OwnerReference, Service, ServiceAccount } from '../../kube/object.ts';
import { gatewayClassLabel, gatewayNameLabel } from '../gateway-api/gateways.ts';

/** Marks what is made here. */
export const managedLabel = 'gateway.istio.io/managed';
const managedValue = 'istio.io-gateway-controller';

/** For readiness; nothing of the Gateway's own is there. */
const statusPort = { name: 'status-port', port: 15_021, targetPort: 15_021, protocol: 'TCP' as const };

/** Asked every second until the proxy is ready (Istio's template does so too), or its Service would have no endpoint for many. */
const startupProbe = {
  httpGet: { path: '/healthz/ready', port: statusPort.port },
  periodSeconds: 1,
  timeoutSeconds: 1,
  failureThreshold: 60,
};

/** @param name of all three */
export function workloadsOf(gateway: KubernetesGateway, name: string, revision: string): ApiObject[] {
  const { namespace, name: gatewayName = '', uid = '' } = gateway.metadata;
  const { gatewayClassName, infrastructure, listeners = [], addresses = [] } = gateway.spec;
  const owner: OwnerReference = {
    apiVersion: gateway.apiVersion,
    kind: gateway.kind,
    name: gatewayName,
    uid,
  };
  const selector = { [gatewayNameLabel]: gatewayName };
  const labels = {
    ...infrastructure?.labels,
    ...selector,
    [gatewayClassLabel]: gatewayClassName,
    [managedLabel]: managedValue,
  };
  const metadata = {
    name,
    namespace,
    labels,
    ...(infrastructure?.annotations && { annotations: infrastructure.annotations }),
    ownerReferences: [owner],
  };
  const account: ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
  const deployment: Deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      selector: { matchLabels: selector },
      template: {
        metadata: {
          labels: {
            ...labels,
            'istio.io/rev': revision,
            'istio.io/dataplane-mode': 'none',
            'service.istio.io/canonical-name': name,
            'service.istio.io/canonical-revision': 'latest',
            'sidecar.istio.io/inject': 'true',
          },
          annotations: { ...infrastructure?.annotations, 'inject.istio.io/templates': 'gateway' },
        },
        spec: { serviceAccountName: name, containers: [{ name: 'istio-proxy', image: 'auto', startupProbe }] },
      },
    },
  };
  const ports = new Map<number, { name: string; port: number; targetPort: number; protocol: 'TCP' }>();
  for (const { port, protocol } of listeners)
    if (protocol !== 'UDP' && !ports.has(port))
      ports.set(port, { name: `${protocol.toLowerCase()}-${port}`, port, targetPort: port, protocol: 'TCP' });
  const address = addresses.find(({ type = 'IPAddress', value }) => type === 'IPAddress' && value)?.value;
  const type =
    infrastructure?.annotations?.[serviceTypeAnnotation] ?? gateway.metadata.annotations?.[serviceTypeAnnotation];
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      type: (type ?? 'LoadBalancer') as 'LoadBalancer',
      selector,
      ports: [statusPort, ...ports.values()],
      ...(address && { loadBalancerIP: address }),
    },
  };
  return [account, service, deployment];
}

/** Istio's: `ClusterIP` where there is no load balancer. */
const serviceTypeAnnotation = 'networking.istio.io/service-type';
