/** What the injector's two own templates, `sidecar` and `gateway`, add to a pod. */
import type { ProxySettings } from './annotations.ts';
import type { InjectionConfig } from './config.ts';
import { environmentOf } from './environment.ts';
import { applications, type Container, type Pod, type Volume } from './pod.ts';
import type { Workload } from './workload.ts';

export interface TemplateFacts {
  /** Without what an earlier injection added. */
  pod: Pod;
  namespace: string;
  workload: Workload;
  settings: ProxySettings;
  config: InjectionConfig;
  /** From the webhook's path: `/inject/cluster/c2/net/n2`. */
  environment: Readonly<Record<string, string>>;
}

/** A pod in part; every list may be absent. */
export interface PartialPod {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: {
    [field: string]: unknown;
    containers?: Container[];
    initContainers?: Container[];
    volumes?: Volume[];
    imagePullSecrets?: Array<{ name?: string }>;
  };
}

/** Differences from Istio's template that are ours on purpose: docs/adr/0007-injected-pod.md. */
export function sidecarTemplate(facts: TemplateFacts): PartialPod {
  const { settings, config } = facts;
  const { native } = settings;
  const proxy = sidecarContainer(facts);
  const init = settings.interceptionMode !== 'NONE' && settings.initContainer ? [initContainer(facts)] : [];
  return {
    metadata: {
      labels: {
        'security.istio.io/tlsMode': facts.pod.metadata?.labels?.['security.istio.io/tlsMode'] || 'istio',
        ...canonicalLabels(facts),
      },
      annotations: commonAnnotations(facts),
    },
    spec: {
      ...(native ? { initContainers: [...init, proxy] } : { initContainers: init, containers: [proxy] }),
      volumes: volumes(facts),
      ...pullSecrets(config),
    },
  };
}

export function gatewayTemplate(facts: TemplateFacts): PartialPod {
  const { config } = facts;
  return {
    metadata: { labels: canonicalLabels(facts), annotations: commonAnnotations(facts) },
    spec: {
      // Lets the gateway bind ports below 1024 without a capability.
      securityContext: { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }] },
      containers: [gatewayContainer(facts)],
      volumes: volumes(facts),
      ...pullSecrets(config),
    },
  };
}

function commonAnnotations({ pod, config }: TemplateFacts): Record<string, string> {
  const annotations: Record<string, string> = { 'istio.io/rev': config.revision };
  const first = applications(pod.spec)[0]?.name;
  if (first === undefined) return annotations;
  for (const name of ['kubectl.kubernetes.io/default-container', 'kubectl.kubernetes.io/default-logs-container'])
    if (pod.metadata?.annotations?.[name] === undefined) annotations[name] = first;
  return annotations;
}

/** https://istio.io/latest/docs/ops/deployment/ "canonical service": the first of these labels that is there, else the workload. */
function canonicalLabels({ pod, workload }: TemplateFacts): Record<string, string> {
  const labels = pod.metadata?.labels ?? {};
  const name =
    labels['service.istio.io/canonical-name'] || labels['app.kubernetes.io/name'] || labels.app || workload.name;
  const revision =
    labels['service.istio.io/canonical-revision'] || labels['app.kubernetes.io/version'] || labels.version || 'latest';
  return {
    'service.istio.io/canonical-name': name.slice(0, 63).replace(/^[-_.]+|[-_.]+$/g, ''),
    'service.istio.io/canonical-revision': revision,
  };
}

/** `lateen iptables` with what it must know, as istio-iptables takes it. */
function redirection({ settings, config }: TemplateFacts): string[] {
  const { traffic } = settings;
  const args = [
    'iptables',
    ...['-p', String(config.mesh.proxyListenPort ?? 15_001)],
    ...['-z', String(config.mesh.proxyInboundListenPort ?? 15_006)],
    ...['-u', '1337'],
    ...['-m', settings.interceptionMode],
    ...['-i', traffic.includeOutboundIPRanges],
    ...['-x', traffic.excludeOutboundIPRanges],
    ...['-b', traffic.includeInboundPorts],
    ...['-d', `15090,15021${traffic.excludeInboundPorts ? `,${traffic.excludeInboundPorts}` : ''}`],
  ];
  if (traffic.includeOutboundPorts) args.push('-q', traffic.includeOutboundPorts);
  if (traffic.excludeOutboundPorts) args.push('-o', traffic.excludeOutboundPorts);
  if (traffic.rerouteInterfaces) args.push('-k', traffic.rerouteInterfaces);
  if (traffic.excludeInterfaces) args.push('-c', traffic.excludeInterfaces);
  args.push(`--log_output_level=${settings.agentLogLevel}`);
  if (config.logAsJson) args.push('--log_as_json');
  return args;
}

function initContainer(facts: TemplateFacts): Container {
  const { settings, config } = facts;
  const { proxyConfig } = settings;
  const env = Object.entries(proxyConfig.proxyMetadata ?? {}).map(([name, value]) => ({ name, value }));
  return {
    name: 'istio-init',
    image: settings.initImage,
    imagePullPolicy: config.imagePullPolicy,
    args: redirection(facts),
    ...(env.length > 0 ? { env } : {}),
    resources: structuredClone(settings.initResources),
    securityContext: {
      allowPrivilegeEscalation: config.proxy.privileged,
      privileged: config.proxy.privileged,
      capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] },
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      ...seccomp(config),
    },
  };
}

function sidecarContainer(facts: TemplateFacts): Container {
  const { settings, config } = facts;
  const container: Container = { ...proxyContainer(facts, 'sidecar') };
  if (setsRules(settings)) container.args = [...redirection(facts), '--', ...(container.args ?? [])];
  Object.assign(container, {
    ...(settings.native ? { restartPolicy: 'Always' } : {}),
    ...lifecycle(facts),
    securityContext: proxySecurity(facts),
    resources: structuredClone(settings.resources),
  });
  if (settings.statusPort === 0) return container;
  const httpGet = () => ({ path: '/healthz/ready', port: 15_021 });
  // The hook tells sooner; a probe comes when the kubelet has seen the container run, in whole seconds.
  if (config.proxy.startupProbe.enabled && !container.lifecycle?.postStart)
    container.startupProbe = {
      httpGet: httpGet(),
      periodSeconds: 1,
      timeoutSeconds: 3,
      failureThreshold: config.proxy.startupProbe.failureThreshold,
    };
  container.readinessProbe = {
    httpGet: httpGet(),
    initialDelaySeconds: settings.readinessInitialDelaySeconds,
    periodSeconds: settings.readinessPeriodSeconds,
    timeoutSeconds: 3,
    failureThreshold: settings.readinessFailureThreshold,
  };
  return container;
}

function gatewayContainer(facts: TemplateFacts): Container {
  const { config } = facts;
  return {
    ...proxyContainer(facts, 'router'),
    ...(config.proxy.lifecycle ? { lifecycle: structuredClone(config.proxy.lifecycle) } : {}),
    securityContext: { runAsUser: 1337, runAsGroup: 1337 },
    readinessProbe: {
      httpGet: { path: '/healthz/ready', port: 15_021 },
      initialDelaySeconds: config.proxy.readinessInitialDelaySeconds,
      periodSeconds: config.proxy.readinessPeriodSeconds,
      timeoutSeconds: 3,
      failureThreshold: config.proxy.readinessFailureThreshold,
    },
  };
}

/** What sidecar and gateway have in common. */
function proxyContainer(facts: TemplateFacts, kind: 'sidecar' | 'router'): Container {
  const { settings, config } = facts;
  const args = [
    'proxy',
    kind,
    '--domain',
    `$(POD_NAMESPACE).svc.${config.proxy.clusterDomain}`,
    `--proxyLogLevel=${settings.logLevel}`,
    `--proxyComponentLogLevel=${settings.componentLogLevel}`,
    `--log_output_level=${settings.agentLogLevel}`,
  ];
  if (config.logAsJson) args.push('--log_as_json');
  return {
    name: 'istio-proxy',
    image: settings.image,
    imagePullPolicy: config.imagePullPolicy,
    args,
    ports: [{ containerPort: 15_090, protocol: 'TCP', name: 'http-envoy-prom' }],
    env: environmentOf(facts, kind),
    volumeMounts: [
      { mountPath: '/var/run/secrets/workload-spiffe-uds', name: 'workload-socket' },
      { mountPath: '/var/run/secrets/credential-uds', name: 'credential-socket' },
      { mountPath: '/var/run/secrets/workload-spiffe-credentials', name: 'workload-certs' },
      { mountPath: '/var/run/secrets/istio', name: 'istiod-ca-cert' },
      { mountPath: '/var/lib/istio/data', name: 'istio-data' },
      ...(settings.bootstrapOverride
        ? [{ mountPath: '/etc/istio/custom-bootstrap', name: 'custom-bootstrap-volume' }]
        : []),
      { mountPath: '/etc/istio/proxy', name: 'istio-envoy' },
      { mountPath: '/var/run/secrets/tokens', name: 'istio-token' },
      { mountPath: '/etc/istio/pod', name: 'istio-podinfo' },
      ...(kind === 'sidecar' ? structuredClone(settings.userVolumeMounts) : []),
    ],
  };
}

/** The kubelet holds whatever comes after the proxy until its postStart hook has ended. */
function lifecycle({ settings, config }: TemplateFacts): Pick<Container, 'lifecycle'> {
  const own = structuredClone(config.proxy.lifecycle ?? {}) as Container['lifecycle'];
  const holds = settings.native
    ? config.proxy.startupProbe.enabled && settings.statusPort !== 0
    : settings.holdApplication;
  const wait = holds ? { postStart: { exec: { command: ['lateen', 'wait'] } } } : {};
  const both = { ...wait, ...own };
  return Object.keys(both).length > 0 ? { lifecycle: both } : {};
}

function setsRules({ interceptionMode, initContainer }: ProxySettings): boolean {
  return interceptionMode !== 'NONE' && !initContainer;
}

function proxySecurity({ settings, config }: TemplateFacts): Container['securityContext'] {
  const tproxy = settings.interceptionMode === 'TPROXY';
  const add = [
    ...(tproxy || setsRules(settings) ? ['NET_ADMIN'] : []),
    ...(settings.bindPrivilegedPorts ? ['NET_BIND_SERVICE'] : []),
    ...(setsRules(settings) ? ['NET_RAW', 'SETGID', 'SETUID'] : []),
  ];
  return {
    allowPrivilegeEscalation: config.proxy.privileged,
    capabilities: { ...(add.length > 0 ? { add } : {}), drop: ['ALL'] },
    privileged: config.proxy.privileged,
    readOnlyRootFilesystem: true,
    runAsGroup: setsRules(settings) ? 0 : 1337,
    // Capabilities reach a process only as root, unless its file carries them.
    runAsNonRoot: add.length === 0,
    runAsUser: add.length === 0 ? 1337 : 0,
    ...seccomp(config),
  };
}

function seccomp({ proxy }: InjectionConfig): object {
  return proxy.seccompProfile ? { seccompProfile: structuredClone(proxy.seccompProfile) } : {};
}

function volumes({ settings, config }: TemplateFacts): Volume[] {
  return [
    { name: 'workload-socket', emptyDir: {} },
    { name: 'credential-socket', emptyDir: {} },
    { name: 'workload-certs', emptyDir: {} },
    ...(settings.bootstrapOverride
      ? [{ name: 'custom-bootstrap-volume', configMap: { name: settings.bootstrapOverride } }]
      : []),
    { name: 'istio-envoy', emptyDir: { medium: 'Memory' } },
    { name: 'istio-data', emptyDir: {} },
    {
      name: 'istio-podinfo',
      downwardAPI: {
        items: [
          { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
          { path: 'annotations', fieldRef: { fieldPath: 'metadata.annotations' } },
        ],
      },
    },
    {
      name: 'istio-token',
      projected: {
        sources: [
          {
            serviceAccountToken: { audience: config.tokenAudience, expirationSeconds: 43_200, path: 'istio-token' },
          },
        ],
      },
    },
    { name: 'istiod-ca-cert', configMap: { name: 'istio-ca-root-cert' } },
    ...structuredClone(settings.userVolumes),
  ];
}

function pullSecrets({ imagePullSecrets }: InjectionConfig): Pick<NonNullable<PartialPod['spec']>, 'imagePullSecrets'> {
  return imagePullSecrets.length > 0 ? { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) } : {};
}
