/** The proxy that an Envoy bootstrap file describes (`lateen proxy -c FILE`). */
import { admin as adminPages, type ServerState } from '../admin/admin.ts';
import { type SmallServer, serve } from '../admin/http-server.ts';
import type { ParsedBootstrap } from '../config/bootstrap.ts';
import { type Subscription, subscribe } from '../config/subscription.ts';
import { createRuntime, type Runtime } from '../runtime.ts';
import { IstioMetrics } from '../telemetry/istio-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import { proxyStats } from '../telemetry/proxy-stats.ts';
import { ProxyTelemetry } from '../telemetry/telemetry.ts';
import { workloadOfNode } from '../telemetry/workload.ts';
import { Lifecycle } from './lifecycle.ts';

export interface FileProxy {
  readonly runtime: Runtime;
  /** 0 without an admin address in the file. */
  readonly adminPort: number;
  readonly lifecycle: Lifecycle;
  readonly ended: Promise<void>;
}

/** Rejects when a listener of the file cannot be bound. */
export async function startFromFile(bootstrap: ParsedBootstrap, drainMs: number, log: Log): Promise<FileProxy> {
  const { secrets, store, table, node, ads, tells } = bootstrap;
  const startedAtMs = Date.now();
  const workload = workloadOfNode(node?.metadata);
  const metrics = workload && new IstioMetrics({ workload, principal: '' });
  const self = { id: node?.id ?? '', cluster: node?.cluster ?? '', zone: node?.locality?.zone ?? '' };
  const telemetry = new ProxyTelemetry({ metrics, node: self });
  const runtime = await createRuntime({ table, node: self, secrets, telemetry, overload: bootstrap.overload });
  const lifecycle = new Lifecycle({
    beginDrain() {
      runtime.draining = true;
    },
    drain: (limitMs, minimumMs) => runtime.drain(limitMs, minimumMs),
    closeListeners: (inboundOnly) => runtime.closeListeners(inboundOnly),
    terminationDrainMs: drainMs,
    minDrainMs: 0,
    exitOnZeroActiveConnections: true,
    log,
  });
  let subscription: Subscription | null = null;
  if (ads) {
    const { createAdsClient } = await import('../../xds/ads-client.ts');
    const subscribed = subscribe({
      connect: (handlers) =>
        createAdsClient({ target: ads.target, protocol: ads.protocol, node: node ?? {}, ...handlers }),
      secrets,
      isLocalSecret: (name) => store.get('secret', name) !== null,
      fixed: table,
      onTable: (next) => {
        runtime.apply(next).catch((error: Error) => log.error(`listeners: ${error.message}`));
      },
      onRejected: (reason) => log.warn(`refused: ${reason}`),
    });
    subscribed.start();
    subscription = subscribed;
  }
  const state = (): ServerState => {
    if (!lifecycle.accepts) return 'DRAINING';
    return (subscription?.complete ?? true) ? 'LIVE' : 'PRE_INITIALIZING';
  };
  let server: SmallServer | null = null;
  if (bootstrap.admin) {
    const pages = adminPages({
      runtime,
      secrets,
      log,
      node: nodeJson(bootstrap),
      commandLine: { drain_time: `${drainMs / 1000}s`, mode: 'Serve', concurrency: 1 },
      stats: () =>
        proxyStats(runtime, subscription?.state ?? null, state() === 'LIVE', {
          unusedClusters: true,
          tells,
          spans: (list) => telemetry.listSpans(list),
        }),
      metrics: () => metrics?.text() ?? '',
      state,
      failHealth: (failed) => {
        lifecycle.failHealth(failed);
        runtime.unhealthy = failed;
      },
      drain: (how) => lifecycle.drainListeners(how),
      quit: () => lifecycle.quit(),
      dump: () => ({
        fixed: store,
        arrived: subscription?.store ?? null,
        versions: {},
        bootstrap: bootstrap.json,
        startedAtMs,
      }),
    });
    server = await serve(bootstrap.admin.host, bootstrap.admin.port, pages.routes, pages.unknown);
  }
  const ended = lifecycle.ended.then(async () => {
    server?.close();
    await subscription?.stop();
    await telemetry.flushSpans(runtime, 1000);
    await runtime.close();
  });
  return { runtime, adminPort: server?.port ?? 0, lifecycle, ended };
}

/** The node as it is told: what the file says of it, and who runs it. */
function nodeJson({ json }: ParsedBootstrap): object {
  const { node } = json() as { node?: object };
  return { ...node, user_agent_name: 'lateen' };
}
