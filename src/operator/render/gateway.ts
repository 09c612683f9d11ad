/**
 * A gateway: Deployment, Service, identity, rights. Its pod is rendered whole, not injected (as istioctl does too), so that
 * a gateway can start on another node while no control plane runs, and rolls when its installation's version changes.
 */
import type { InstallationServicePort, KubernetesSettings } from '../../api/installation/istio-installation.ts';
import type { ResolvedGateway } from '../../api/installation/profiles.ts';
import type { ApiObject, Deployment, Role, RoleBinding, Service, ServiceAccount } from '../../kube/object.ts';
import { replicas, scaling } from './scaling.ts';
import { type Component, ownLabels, podSettings, type Scope, withRevision } from './scope.ts';

type Direction = 'IngressGateway' | 'EgressGateway';

export function gateway(scope: Scope, direction: Direction, settings: ResolvedGateway): Component {
  const { name, namespace, k8s } = settings;
  const { annotations, ports = [], ...exposure } = k8s.service;
  const selector = {
    app: name,
    istio: direction === 'IngressGateway' ? 'ingressgateway' : 'egressgateway',
    ...settings.labels,
  };
  const labels = { ...ownLabels(scope, name), ...selector, 'app.kubernetes.io/name': name };
  const serviceAccountName = `${name}-service-account`;

  const account: ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccountName, namespace, labels },
    imagePullSecrets: podSettings(scope, k8s).imagePullSecrets,
  };
  // The secrets that Gateway resources name; the control plane asks whether the gateway may read them.
  const role: Role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: `${name}-sds`, namespace, labels },
    rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get', 'watch', 'list'] }],
  };
  const binding: RoleBinding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: `${name}-sds`, namespace, labels },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: `${name}-sds` },
    subjects: [{ kind: 'ServiceAccount', name: serviceAccountName, namespace }],
  };
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels, annotations },
    spec: {
      selector,
      ...exposure,
      ports: ports.map((port) => ({
        ...port,
        targetPort: port.targetPort ?? port.port,
        protocol: port.protocol ?? 'TCP',
      })),
    },
  };
  const objects: ApiObject[] = [
    account,
    role,
    binding,
    service,
    deployment(scope, { name, namespace, k8s, labels, selector, serviceAccountName }),
    ...scaling({ name, namespace, labels, selector }, k8s),
  ];
  return { kind: direction, name, namespace, objects };
}

interface GatewayDeployment {
  name: string;
  namespace: string;
  k8s: KubernetesSettings;
  labels: { [key: string]: string };
  selector: { [key: string]: string };
  serviceAccountName: string;
}

function deployment(scope: Scope, part: GatewayDeployment): Deployment {
  const { name, namespace, k8s, labels, selector, serviceAccountName } = part;
  const mesh = scope.spec.meshConfig;
  const trustDomain = mesh.trustDomain ?? 'cluster.local';
  const field = (fieldPath: string) => ({ fieldRef: { apiVersion: 'v1', fieldPath } });
  const proxyConfig = mesh.defaultConfig ?? {};
  const metadata = Object.entries(proxyConfig.proxyMetadata ?? {}).map(([key, value]) => ({ name: key, value }));
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels },
    spec: {
      replicas: replicas(k8s),
      selector: { matchLabels: selector },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '100%', maxUnavailable: '25%' } },
      template: {
        metadata: {
          labels: {
            ...k8s.podLabels,
            ...selector,
            'istio.io/rev': scope.revision,
            'istio.io/dataplane-mode': 'none',
            'service.istio.io/canonical-name': name,
            'service.istio.io/canonical-revision': 'latest',
            'sidecar.istio.io/inject': 'false',
          },
          annotations: {
            'istio.io/rev': scope.revision,
            'prometheus.io/path': '/stats/prometheus',
            'prometheus.io/port': '15020',
            'prometheus.io/scrape': 'true',
            'sidecar.istio.io/inject': 'false',
            ...k8s.podAnnotations,
          },
        },
        spec: {
          ...podSettings(scope, k8s),
          serviceAccountName,
          securityContext: { runAsUser: 1337, runAsGroup: 1337, runAsNonRoot: true },
          // Longer than the proxy's drain.
          terminationGracePeriodSeconds: 60,
          containers: [
            {
              name: 'istio-proxy',
              image: scope.image,
              imagePullPolicy: k8s.imagePullPolicy ?? scope.pullPolicy,
              args: [
                'proxy',
                'router',
                '--domain',
                '$(POD_NAMESPACE).svc.cluster.local',
                '--proxyLogLevel=warning',
                '--proxyComponentLogLevel=misc:error',
                '--log_output_level=default:info',
              ],
              env: [
                { name: 'PILOT_CERT_PROVIDER', value: 'istiod' },
                { name: 'CA_ADDR', value: `${withRevision(scope, 'istiod')}.${scope.namespace}.svc:15012` },
                { name: 'POD_NAME', valueFrom: field('metadata.name') },
                { name: 'POD_NAMESPACE', valueFrom: field('metadata.namespace') },
                { name: 'INSTANCE_IP', valueFrom: field('status.podIP') },
                { name: 'HOST_IP', valueFrom: field('status.hostIP') },
                { name: 'SERVICE_ACCOUNT', valueFrom: field('spec.serviceAccountName') },
                { name: 'ISTIO_CPU_LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } } },
                { name: 'PROXY_CONFIG', value: JSON.stringify(proxyConfig) },
                { name: 'ISTIO_META_CLUSTER_ID', value: 'Kubernetes' },
                { name: 'ISTIO_META_NODE_NAME', valueFrom: field('spec.nodeName') },
                { name: 'ISTIO_META_WORKLOAD_NAME', value: name },
                {
                  name: 'ISTIO_META_OWNER',
                  value: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${name}`,
                },
                { name: 'ISTIO_META_MESH_ID', value: trustDomain },
                { name: 'ISTIO_META_UNPRIVILEGED_POD', value: 'true' },
                { name: 'TRUST_DOMAIN', value: trustDomain },
                ...metadata,
                ...(k8s.env ?? []),
              ],
              ports: [
                ...containerPorts(k8s.service?.ports ?? []),
                { name: 'http-envoy-prom', containerPort: 15090, protocol: 'TCP' },
              ],
              readinessProbe: {
                httpGet: { path: '/healthz/ready', port: 15021, scheme: 'HTTP' },
                periodSeconds: 1,
                timeoutSeconds: 1,
                failureThreshold: 30,
              },
              resources: k8s.resources,
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                privileged: false,
                readOnlyRootFilesystem: true,
                runAsGroup: 1337,
                runAsNonRoot: true,
                runAsUser: 1337,
              },
              volumeMounts: [
                { name: 'istio-envoy', mountPath: '/etc/istio/proxy' },
                { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio' },
                { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
                { name: 'istio-data', mountPath: '/var/lib/istio/data' },
                { name: 'istio-podinfo', mountPath: '/etc/istio/pod' },
              ],
            },
          ],
          volumes: [
            { name: 'istio-envoy', emptyDir: { medium: 'Memory' } },
            { name: 'istio-data', emptyDir: {} },
            { name: 'istiod-ca-cert', configMap: { name: 'istio-ca-root-cert' } },
            {
              name: 'istio-token',
              projected: {
                sources: [
                  { serviceAccountToken: { audience: 'istio-ca', expirationSeconds: 43_200, path: 'istio-token' } },
                ],
              },
            },
            {
              name: 'istio-podinfo',
              downwardAPI: {
                items: [
                  { path: 'labels', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.labels' } },
                  { path: 'annotations', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.annotations' } },
                ],
              },
            },
          ],
        },
      },
    },
  };
}

function containerPorts(ports: InstallationServicePort[]) {
  const numbers = new Map<string, { containerPort: number; protocol: 'TCP' | 'UDP' }>();
  for (const port of ports) {
    const containerPort = port.targetPort ?? port.port;
    const protocol = port.protocol ?? 'TCP';
    if (typeof containerPort === 'number') numbers.set(`${containerPort}/${protocol}`, { containerPort, protocol });
  }
  return [...numbers.values()];
}
