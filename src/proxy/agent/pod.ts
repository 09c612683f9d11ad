/**
 * The proxy of a pod (`lateen proxy sidecar|router`): what is Istio's agent and Envoy there is one process here.
 *
 *     certificate ──┐
 *     ADS ──────────┼─► table applied, listeners bound, names known (with DNS) ─► ready (15021, 15020)
 *     servers bind ─┘
 *
 * Certificate and configuration are asked for at the same time: the first exchange proves itself with the pod's token.
 */
import { readFile } from 'node:fs/promises';
import { createAdsClient } from '../../xds/ads-client.ts';
import type { NameTable } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import type { GrpcTarget } from '../../xds/grpc/client.ts';
import { admin as adminPages, type ServerState } from '../admin/admin.ts';
import { fromLoopback, post, type Routes, type SmallServer, serve, text } from '../admin/http-server.ts';
import { emptyTable } from '../config/compile.ts';
import { SecretStore } from '../config/secret-store.ts';
import { subscribe } from '../config/subscription.ts';
import type { Table } from '../config/table.ts';
import { dnsText } from '../dns/counters.ts';
import { istioText } from '../telemetry/istio-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import { proxyStats } from '../telemetry/proxy-stats.ts';
import { prometheusText } from '../telemetry/stat.ts';
import { workloadOfNode } from '../telemetry/workload.ts';
import type { DataPlane } from '../workers/data-plane.ts';
import { openPlane } from '../workers/open.ts';
import { appProbes } from './app-probe.ts';
import { keepCertificate } from './certificate.ts';
import { answerDns } from './dns.ts';
import type { Environment, HostPort } from './environment.ts';
import { Lifecycle } from './lifecycle.ts';
import { mergedMetrics, scrapeTargets } from './merged-metrics.ts';

const localSecrets = new Set(['default', 'ROOTCA']);

export interface Pod {
  readonly ports: {
    readonly admin: number;
    readonly status: number;
    readonly readiness: number;
    readonly metrics: number;
    /** Null where DNS is not answered. */
    readonly dns: { readonly udp: number; readonly tcp: number } | null;
  };
  readonly lifecycle: Lifecycle;
  readonly plane: DataPlane;
  /** Resolves when the process should end. */
  readonly ended: Promise<void>;
}

/** `at` is where the pod's servers listen; null is every address, or the one that the pod's interception names. */
export async function startPod(environment: Environment, log: Log, at: string | null = null): Promise<Pod> {
  const { interception } = environment;
  const host = at ?? interception?.host ?? null;
  const secrets = new SecretStore();
  const startedAtMs = Date.now();
  const control = (to: HostPort): GrpcTarget => ({
    ...to,
    tls: {
      ...(environment.controlPlaneName !== null && { serverName: environment.controlPlaneName }),
      roots: () => readFile(environment.rootsPath),
    },
    token: () => readFile(environment.tokenPath, 'utf8').then((token) => token.trim()),
  });
  const certificate = keepCertificate({
    ca: control(environment.ca),
    identity: environment.identity,
    rootsPath: environment.rootsPath,
    validitySeconds: environment.certificateSeconds,
    secrets,
    log,
  });
  const settings = {
    workload: workloadOfNode(environment.metadata),
    principal: environment.identity,
    node: { id: environment.nodeId, cluster: environment.cluster, zone: '', place: '', localCluster: '' },
    overload: null,
    drainMs: environment.proxyConfig.drainMs,
    interception,
  };
  const plane = await openPlane(environment.proxyConfig.concurrency ?? 1, settings, emptyTable, secrets, log);

  let applied = false;
  const lifecycle = new Lifecycle({
    plane,
    terminationDrainMs: environment.proxyConfig.terminationDrainMs,
    // As Istio starts Envoy: --drain-strategy immediate.
    drainSpanMs: 0,
    minDrainMs: environment.minDrainMs,
    exitOnZeroActiveConnections: environment.exitOnZeroActiveConnections,
    log,
  });
  const apply = async (table: Table) => {
    try {
      await plane.apply(table);
    } catch (error) {
      // The other listeners are up; the next push tries again.
      log.error(`listeners: ${(error as Error).message}`);
    }
    if (!applied) log.info(`configuration in use: ${table.listeners.size} listeners, ${table.clusters.size} clusters`);
    applied = true;
  };
  const dns = environment.dns && (await answerDns(environment.dns));
  const onNames = (names: NameTable) => {
    if (!dns?.isReady) log.info(`names in use: ${Object.keys(names.table).length}`);
    dns?.take(names);
  };
  let lastConnection = '';
  const subscription = subscribe({
    connect: (handlers) =>
      createAdsClient({
        target: control(environment.discovery),
        node: {
          id: environment.nodeId,
          cluster: environment.cluster,
          metadata: environment.metadata as never,
          locality: environment.locality,
          userAgentName: 'lateen',
        },
        ...handlers,
      }),
    secrets,
    isLocalSecret: (name) => localSecrets.has(name),
    onTable: (table) => void apply(table),
    onNames: dns ? onNames : undefined,
    onState: ({ connection, lastError }) => {
      if (connection === lastConnection) return;
      lastConnection = connection;
      if (connection === 'connected') log.info('connected to the control plane');
      else if (connection === 'disconnected') log.warn(`control plane: ${lastError ?? 'the connection ended'}`);
    },
    onRejected: (reason) => log.warn(`refused: ${reason}`),
  });
  subscription.start();

  const knowsNames = () => dns?.isReady ?? true;
  const isReady = () => applied && certificate.current !== null && knowsNames() && lifecycle.accepts;
  const counts = async () => {
    const { stats, istio } = await plane.counts(false);
    const told = { ads: subscription.state, live: isReady(), warming: subscription.warming, tells: null };
    return { stats: proxyStats(plane, stats, told), metrics: istioText(istio) };
  };
  const ready: Routes[string] = () =>
    isReady() ? text('') : text(`${notReady(applied, certificate.current !== null, knowsNames(), lifecycle)}\n`, 503);
  const metricsText = async () => {
    const { stats, metrics } = await counts();
    return metrics + prometheusText(stats) + (dns ? dnsText(dns.counters) : '');
  };
  const prometheus: Routes[string] = async () => text(await metricsText());
  const { proxyConfig } = environment;
  const ownPorts = [proxyConfig.statusPort, environment.metricsPort, environment.readinessPort, 15_000, 15_001, 15_006];
  const probes = appProbes({
    config: environment.appProbers,
    podIp: environment.podIp,
    statusPort: proxyConfig.statusPort,
  });
  const merged = mergedMetrics(metricsText, scrapeTargets(environment.prometheus, ownPorts));
  const state = (): ServerState => {
    if (isReady()) return 'LIVE';
    if (!lifecycle.accepts) return 'DRAINING';
    return subscription.complete ? 'INITIALIZING' : subscription.phase;
  };
  const node = {
    id: environment.nodeId,
    cluster: environment.cluster,
    metadata: environment.metadata,
    user_agent_name: 'lateen',
  };
  const pages = adminPages({
    plane,
    secrets,
    log,
    node,
    commandLine: {
      service_cluster: environment.cluster,
      service_node: environment.nodeId,
      mode: 'Serve',
      concurrency: plane.concurrency,
    },
    counts,
    state,
    failHealth: (failed) => {
      lifecycle.failHealth(failed);
      plane.failHealth(failed);
    },
    drain: (how) => lifecycle.drainListeners(how),
    quit: () => lifecycle.quit(),
    dump: () => ({
      fixed: null,
      arrived: subscription.store,
      own: secrets.named(localSecrets),
      versions: versions(subscription.state.types),
      bootstrap: () => ({ node }),
      startedAtMs,
    }),
  });
  const servers: SmallServer[] = await Promise.all([
    serve(interception?.host ?? '127.0.0.1', proxyConfig.adminPort, pages.routes, pages.unknown),
    serve(host, proxyConfig.statusPort, {
      '/healthz/ready': ready,
      '/metrics': merged,
      '/stats/prometheus': merged,
      '/quitquitquit': fromLoopback(
        post(() => {
          lifecycle.quit();
          return text('OK');
        }),
      ),
      '/drain': fromLoopback(
        post(() => {
          lifecycle.drainNow();
          return text('OK');
        }),
      ),
      '/app-health/': probes,
      '/app-lifecycle/': probes,
    }),
    serve(host, environment.readinessPort, { '/healthz/ready': ready }),
    serve(host, environment.metricsPort, { '/stats/prometheus': prometheus }),
  ]);
  const [admin, status, readiness, metricsServer] = servers;
  const ended = lifecycle.ended.then(async () => {
    certificate.stop();
    for (const server of servers) server.close();
    dns?.close();
    await subscription.stop();
    await plane.close();
  });
  return {
    ports: {
      admin: admin.port,
      status: status.port,
      readiness: readiness.port,
      metrics: metricsServer.port,
      dns: dns?.ports ?? null,
    },
    lifecycle,
    plane,
    ended,
  };
}

function notReady(applied: boolean, certified: boolean, knowsNames: boolean, { accepts }: Lifecycle): string {
  if (!accepts) return 'draining';
  return [
    certified ? '' : 'no certificate yet',
    applied ? '' : 'no configuration yet',
    knowsNames ? '' : 'no names to answer DNS with yet',
  ]
    .filter(Boolean)
    .join('; ');
}

function versions(types: Record<string, { version: string }>): Record<string, string> {
  return Object.fromEntries(Object.entries(types).map(([type, { version }]) => [type, version]));
}
