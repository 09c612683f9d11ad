/** The control plane: Deployment, Service, identity, configuration. Names and ports are Istio's. */
import type { KubernetesSettings } from '../../api/installation/istio-installation.ts';
import { laidOver } from '../../api/installation/profiles.ts';
import type { ApiObject, ConfigMap, Deployment, Service, ServiceAccount } from '../../kube/object.ts';
import { controlPlaneRights } from './control-plane-rights.ts';
import { replicas, scaling } from './scaling.ts';
import { type Component, ownLabels, podSettings, type Scope, withRevision } from './scope.ts';
import { webhooks } from './webhooks.ts';

export function controlPlane(scope: Scope): Component {
  const name = withRevision(scope, 'istiod');
  const { namespace } = scope;
  const { k8s } = scope.spec.components.control;
  const labels = { ...ownLabels(scope, name), app: 'istiod', istio: 'pilot', 'app.kubernetes.io/name': 'istiod' };
  // As in Istio: the unnamed revision selects by `istio: pilot`, which no named revision carries.
  const selector: { [key: string]: string } =
    scope.revision === 'default'
      ? { app: 'istiod', istio: 'pilot' }
      : { app: 'istiod', 'istio.io/rev': scope.revision };

  const account: ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace, labels },
    imagePullSecrets: podSettings(scope, k8s).imagePullSecrets,
  };
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels },
    spec: {
      selector,
      ports: [
        { name: 'grpc-xds', port: 15010, protocol: 'TCP', targetPort: 15010 },
        { name: 'https-dns', port: 15012, protocol: 'TCP', targetPort: 15012 },
        { name: 'https-webhook', port: 443, protocol: 'TCP', targetPort: 15017 },
        { name: 'http-monitoring', port: 15014, protocol: 'TCP', targetPort: 15014 },
      ],
    },
  };
  const objects: ApiObject[] = [
    account,
    ...controlPlaneRights(scope, labels),
    meshConfigMap(scope, labels),
    injectorConfigMap(scope, labels),
    service,
    deployment(scope, k8s, labels, selector),
    ...scaling({ name, namespace, labels, selector }, k8s),
    ...webhooks(scope, labels),
  ];
  return { kind: 'ControlPlane', name, namespace, objects };
}

function deployment(
  scope: Scope,
  k8s: KubernetesSettings,
  labels: { [key: string]: string },
  selector: { [key: string]: string },
): Deployment {
  const name = withRevision(scope, 'istiod');
  const { namespace } = scope;
  const podLabels = {
    app: 'istiod',
    istio: scope.revision === 'default' ? 'pilot' : 'istiod',
    'istio.io/rev': scope.revision,
    'istio.io/dataplane-mode': 'none',
    'sidecar.istio.io/inject': 'false',
    'app.kubernetes.io/name': 'istiod',
    'app.kubernetes.io/part-of': 'istio',
  };
  const field = (path: string) => ({ fieldRef: { apiVersion: 'v1', fieldPath: path } });
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels },
    spec: {
      replicas: replicas(k8s),
      selector: { matchLabels: selector },
      // The new one serves before the old one goes; Istio's figures.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '100%', maxUnavailable: '25%' } },
      template: {
        metadata: {
          labels: { ...k8s.podLabels, ...podLabels },
          annotations: {
            'prometheus.io/port': '15014',
            'prometheus.io/scrape': 'true',
            'sidecar.istio.io/inject': 'false',
            ...k8s.podAnnotations,
          },
        },
        spec: {
          ...podSettings(scope, k8s),
          serviceAccountName: name,
          securityContext: { runAsUser: 1337, runAsGroup: 1337, runAsNonRoot: true },
          containers: [
            {
              name: 'discovery',
              image: scope.image,
              imagePullPolicy: k8s.imagePullPolicy ?? scope.pullPolicy,
              args: ['control'],
              env: [
                { name: 'REVISION', value: scope.revision },
                { name: 'POD_NAME', valueFrom: field('metadata.name') },
                { name: 'POD_NAMESPACE', valueFrom: field('metadata.namespace') },
                { name: 'SERVICE_ACCOUNT', valueFrom: field('spec.serviceAccountName') },
                { name: 'CLUSTER_ID', value: 'Kubernetes' },
                ...(k8s.env ?? []),
              ],
              ports: [
                { name: 'grpc-xds', containerPort: 15010, protocol: 'TCP' },
                { name: 'tls-xds', containerPort: 15012, protocol: 'TCP' },
                { name: 'https-webhooks', containerPort: 15017, protocol: 'TCP' },
                { name: 'http-monitoring', containerPort: 15014, protocol: 'TCP' },
              ],
              readinessProbe: {
                httpGet: { path: '/ready', port: 15014, scheme: 'HTTP' },
                periodSeconds: 1,
                timeoutSeconds: 5,
                failureThreshold: 3,
              },
              resources: k8s.resources,
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                readOnlyRootFilesystem: true,
                runAsNonRoot: true,
              },
              // Whatever a library wants to write, it may: the root file system is read-only.
              volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
            },
          ],
          volumes: [{ name: 'tmp', emptyDir: {} }],
        },
      },
    },
  };
}

/** JSON is YAML, and a rendering that never reorders keys keeps an idle installation idle. */
function text(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function meshConfigMap(scope: Scope, labels: { [key: string]: string }): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: withRevision(scope, 'istio'), namespace: scope.namespace, labels },
    data: { mesh: text(scope.spec.meshConfig), meshNetworks: 'networks: {}\n' },
  };
}

function injectorConfigMap(scope: Scope, labels: { [key: string]: string }): ConfigMap {
  const slash = scope.image.lastIndexOf('/');
  const colon = scope.image.lastIndexOf(':');
  const values = {
    revision: scope.revision === 'default' ? '' : scope.revision,
    global: {
      hub: scope.image.slice(0, slash),
      tag: scope.image.slice(colon + 1),
      imagePullPolicy: scope.pullPolicy,
      imagePullSecrets: scope.pullSecrets,
      istioNamespace: scope.namespace,
      proxy: { image: scope.image.slice(slash + 1, colon) },
    },
    sidecarInjectorWebhook: { rewriteAppHTTPProbe: true },
  };
  const config = { policy: 'enabled', alwaysInjectSelector: [], neverInjectSelector: [], injectedAnnotations: {} };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: withRevision(scope, 'istio-sidecar-injector'), namespace: scope.namespace, labels },
    data: { config: text(config), values: text(laidOver(values, scope.spec.values)) },
  };
}
