/**
 * Wires the control plane to a Kubernetes cluster:
 *
 *   every replica   discovery and CA (15012), webhooks (15017), metrics and debug pages (15014), the webhooks' CA bundle
 *   the leader      ConfigMap istio-ca-root-cert in every namespace, status conditions, what runs the Gateways of the Gateway API
 */
import pino from 'pino';
import type { KubeClient } from '../kube/client.ts';
import { connect } from '../kube/connect.ts';
import { Informer } from '../kube/informer.ts';
import { Lease } from '../kube/lease.ts';
import {
  configMaps,
  type MutatingWebhookConfiguration,
  mutatingWebhookConfigurations,
  validatingWebhookConfigurations,
} from '../kube/object.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import { version } from '../lib/version.ts';
import { patchCaBundles } from '../webhook/ca-bundle.ts';
import { type InjectionConfig, overlaidProxyConfig, parseInjectionConfig } from '../webhook/config.ts';
import type { ConfigFor } from '../webhook/injection-review.ts';
import { createWebhookServer } from '../webhook/server.ts';
import { Authority } from './ca/authority.ts';
import { keptMaterial } from './ca/kubernetes-keys.ts';
import { distributeRoot } from './ca/root-distribution.ts';
import { servingNames } from './ca/serving-certificate.ts';
import { kubernetesTokenReviewer } from './ca/token-review.ts';
import type { ControlFlags } from './flags.ts';
import { followGateways } from './gateways/controller.ts';
import type { MeshObjects } from './model/objects.ts';
import { proxySettingsOf } from './model/proxy-config.ts';
import { type ControlPlaneLog, createControlPlane } from './serve/control-plane.ts';
import { writeConditions } from './status/conditions.ts';
import { ObjectChanges } from './status/distribution.ts';
import { KubernetesSource } from './watch/kubernetes.ts';
import { KubernetesSecrets } from './watch/kubernetes-secrets.ts';
import { readMeshConfig } from './watch/mesh-config.ts';

/** Proxies have so long to take their leave when this replica ends. */
const closeGraceMs = 1_500;

/** Runs until SIGTERM or SIGINT. */
export async function runControl(flags: ControlFlags): Promise<number> {
  const { namespace, revision, podName, clusterId, domain } = flags;
  const log = pino({ level: flags.logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime });
  const ending = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.on(name, () => {
      log.info({ signal: name }, 'ending');
      ending.abort();
    });
  const ended = new Promise<void>((resolve) => ending.signal.addEventListener('abort', () => resolve()));

  const suffix = revision === 'default' ? '' : `-${revision}`;
  const meshConfigMap = `istio${suffix}`;
  const client = await connect({
    kubeconfig: flags.kubeconfig,
    context: flags.context,
    userAgent: `lateen-control/${version}`,
  });
  const onKindError = (kind: string, error: Error) => log.warn({ kind, error: error.message }, 'watch is tried again');
  const source = new KubernetesSource({
    client,
    namespace,
    meshConfigMap,
    injectorConfigMap: `istio-sidecar-injector${suffix}`,
    clusterDomain: domain,
    clusterId,
    onError: onKindError,
  });
  const secrets = new KubernetesSecrets(
    client,
    (error) => onKindError('Secret', error),
    (key, secret) => source.takeSecret(key, secret),
  );
  const trustDomain = await readTrustDomain(client, namespace, meshConfigMap, log);
  const limits = { defaultSeconds: flags.defaultCertificateSeconds, maxSeconds: flags.maxCertificateSeconds };
  const authority = await Authority.of(await keptMaterial(client, namespace, trustDomain), limits);
  let isTrusted = false;
  const control = await createControlPlane({
    source,
    secrets,
    authority: () => authority,
    trustDomain,
    reviewToken: kubernetesTokenReviewer(client, trustDomain),
    names: servingNames(namespace, revision),
    identifier: podName,
    clusterId,
    version,
    log,
    isReady: () => isTrusted,
    moreMetrics: () => webhooks.metrics(),
  });
  const webhooks = createWebhookServer({
    tls: () => ({ cert: control.serving.current.chain, key: control.serving.current.key }),
    config: injectionConfig(source, namespace, revision),
    advise: (object, dryRun) => control.mesh.advise(object, dryRun),
    log,
  });
  const ports = await control.listen({
    secure: { port: flags.securePort },
    plaintext: flags.plaintextPort === null ? null : { port: flags.plaintextPort },
    monitoring: flags.monitoringPorts.map((port) => ({ port })),
  });
  const webhookPort = await webhooks.listen(flags.webhookPort);
  log.info({ ...ports, webhooks: webhookPort, version, revision, trustDomain }, 'listening');

  const bundles = keepCaBundles({ client, revision, namespace, roots: () => authority.roots, log });
  void bundles.first.then(() => {
    isTrusted = true;
  });
  void secrets.start(ending.signal);
  const changes = new ObjectChanges();
  control.mesh.onSnapshot(() => control.mesh.snapshot && changes.follow(control.mesh.snapshot));
  const replica = () => (replicasOf(source.read().endpointSlices, namespace, `istiod${suffix}`) > 1 ? podName : null);
  const proxies = { discovery: control.discovery, changes, replica };
  const lease = new Lease({
    client,
    namespace,
    name: `istio-leader${suffix}`,
    identity: podName,
    onError: (error) => log.warn({ error: error.message }, 'leader election is tried again'),
    lead: async (signal) => {
      log.info({ identity: podName }, 'leading');
      const onError = (error: Error) => log.warn({ error: error.message }, 'a write is tried again');
      await Promise.all([
        distributeRoot({ client, roots: () => authority.roots, onError }, signal),
        writeConditions({ client, mesh: control.mesh, proxies, onError }, signal),
        followGateways({ client, mesh: control.mesh, revision, onError }, signal),
      ]);
    },
  });
  const led = lease.run(ending.signal);
  await control.start();
  log.info({ readyAfterMs: Math.round(process.uptime() * 1000) }, 'ready');

  await ended;
  await Promise.all([control.close(closeGraceMs), webhooks.close(), bundles.stop(), led]);
  client.close();
  log.info({}, 'ended');
  return 0;
}

/** Ready control planes behind a Service. */
function replicasOf(slices: MeshObjects['endpointSlices'], namespace: string, service: string): number {
  const addresses = [...slices.values()]
    .filter(({ metadata }) => metadata.namespace === namespace)
    .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service)
    .flatMap(({ endpoints }) => (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false))
    .flatMap((endpoint) => endpoint.addresses);
  return new Set(addresses).size;
}

/** The CA speaks for one trust domain for as long as it runs; a changed one takes effect with a restart, as in Istio. */
async function readTrustDomain(
  client: KubeClient,
  namespace: string,
  name: string,
  log: ControlPlaneLog,
): Promise<string> {
  const map = await client.get(configMaps, name, namespace);
  try {
    return readMeshConfig(map?.data?.mesh ?? '', `ConfigMap ${namespace}/${name}`).trustDomain || 'cluster.local';
  } catch (error) {
    log.error({ error: (error as Error).message }, 'the mesh configuration cannot be read; its defaults are used');
    return 'cluster.local';
  }
}

/** The injector's configuration, read again when one of its texts changes. */
function injectionConfig(source: KubernetesSource, namespace: string, revision: string): ConfigFor {
  let texts: Array<string | undefined> = [];
  let current: InjectionConfig | null = null;
  const read = (): InjectionConfig => {
    const { values, config } = source.injectorConfig;
    const now = [source.meshConfigText, values, config];
    if (current && now.every((text, at) => text === texts[at])) return current;
    current = parseInjectionConfig({ mesh: now[0], values, config, namespace, revision });
    texts = now;
    return current;
  };
  return (place, labels) => {
    const config = read();
    const { proxyConfigs } = source.read();
    if (proxyConfigs.size === 0) return config;
    const rootNamespace = typeof config.mesh.rootNamespace === 'string' ? config.mesh.rootNamespace : namespace;
    const { below, above } = proxySettingsOf(proxyConfigs.values(), rootNamespace, place, labels);
    const defaultConfig = overlaidProxyConfig(config.mesh.defaultConfig, { ...below });
    return { ...config, mesh: { ...config.mesh, defaultConfig }, workloadConfig: { ...above } };
  };
}

interface CaBundleKeeping {
  client: KubeClient;
  revision: string;
  namespace: string;
  roots(): string;
  log: ControlPlaneLog;
}

/** Keeps the CA bundle in the webhooks' configurations, whoever writes them anew. `first` resolves after the first round. */
function keepCaBundles({ client, revision, namespace, roots, log }: CaBundleKeeping) {
  let tell: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const queue = new WorkQueue({
    onError: (_, error) => {
      log.warn({ error: error.message }, 'the CA bundle of the webhooks is tried again');
      // Discovery and certificates must not wait for rights on webhooks.
      tell();
    },
    process: async (_, signal) => {
      await patchCaBundles(roots(), { kube: client, revision, namespace, log, signal });
      tell();
      return undefined;
    },
  }).start();
  queue.add('all');
  const informers = [mutatingWebhookConfigurations, validatingWebhookConfigurations].map((kind) =>
    new Informer(client, kind as typeof mutatingWebhookConfigurations, {
      labelSelector: `istio.io/rev=${revision}`,
      onError: (error) => log.warn({ kind: kind.kind, error: error.message }, 'watch is tried again'),
      project: (object: MutatingWebhookConfiguration) => object.metadata?.resourceVersion,
    }).start(),
  );
  for (const informer of informers) informer.on({ add: () => queue.add('all'), update: () => queue.add('all') });
  return {
    first,
    stop: () => Promise.all([queue.stop(), ...informers.map((informer) => informer.stop())]),
  };
}
