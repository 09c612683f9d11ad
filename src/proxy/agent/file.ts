/** The proxy that an Envoy bootstrap file describes (`lateen proxy -c FILE`). */
import { admin as adminPages, type ServerState } from '../admin/admin.ts';
import { type SmallServer, serve } from '../admin/http-server.ts';
import type { ParsedBootstrap } from '../config/bootstrap.ts';
import { type Subscription, subscribe } from '../config/subscription.ts';
import { istioText } from '../telemetry/istio-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import { proxyStats } from '../telemetry/proxy-stats.ts';
import { workloadOfNode } from '../telemetry/workload.ts';
import { placeOf } from '../upstream/zones.ts';
import type { DataPlane } from '../workers/data-plane.ts';
import { openPlane } from '../workers/open.ts';
import { Lifecycle } from './lifecycle.ts';

export interface FileProxy {
  readonly plane: DataPlane;
  /** 0 without an admin address in the file. */
  readonly adminPort: number;
  readonly lifecycle: Lifecycle;
  readonly ended: Promise<void>;
}

const noneWarming = { clusters: 0, listeners: 0 };

/** By Envoy's names. */
export interface DrainOptions {
  readonly timeMs: number;
  readonly strategy: 'gradual' | 'immediate';
}

export interface FileOptions {
  /** Longest time of draining when the process is told to end. */
  readonly drainMs: number;
  readonly drain: DrainOptions;
  /** Threads that serve; 1 is the calling one. */
  readonly concurrency: number;
}

/** Rejects when a listener of the file cannot be bound. */
export async function startFromFile(
  bootstrap: ParsedBootstrap,
  { drainMs, drain, concurrency }: FileOptions,
  log: Log,
): Promise<FileProxy> {
  const { secrets, store, table, node, ads, tells } = bootstrap;
  const startedAtMs = Date.now();
  const settings = {
    workload: workloadOfNode(node?.metadata),
    principal: '',
    node: {
      id: node?.id ?? '',
      cluster: node?.cluster ?? '',
      zone: node?.locality?.zone ?? '',
      place: placeOf({
        region: node?.locality?.region ?? '',
        zone: node?.locality?.zone ?? '',
        subzone: node?.locality?.subZone ?? '',
      }),
      localCluster: bootstrap.localCluster,
    },
    overload: bootstrap.overload,
    drainMs: drain.timeMs,
    interception: null,
  };
  const plane = await openPlane(concurrency, settings, table, secrets, log);
  const lifecycle = new Lifecycle({
    plane,
    terminationDrainMs: drainMs,
    drainSpanMs: drain.strategy === 'gradual' ? drain.timeMs : 0,
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
        plane.apply(next).catch((error: Error) => log.error(`listeners: ${error.message}`));
      },
      onRejected: (reason) => log.warn(`refused: ${reason}`),
    });
    subscribed.start();
    subscription = subscribed;
  }
  const state = (): ServerState => {
    if (!lifecycle.accepts) return 'DRAINING';
    return subscription?.phase ?? 'LIVE';
  };
  let server: SmallServer | null = null;
  if (bootstrap.admin) {
    const pages = adminPages({
      plane,
      secrets,
      log,
      node: nodeJson(bootstrap),
      commandLine: {
        drain_time: `${drain.timeMs / 1000}s`,
        drain_strategy: drain.strategy === 'gradual' ? 'Gradual' : 'Immediate',
        mode: 'Serve',
        concurrency: plane.concurrency,
      },
      async counts() {
        const { stats, istio } = await plane.counts(true);
        const told = {
          ads: subscription?.state ?? null,
          live: state() === 'LIVE',
          warming: subscription?.warming ?? noneWarming,
          tells,
        };
        return { stats: proxyStats(plane, stats, told), metrics: istioText(istio) };
      },
      state,
      failHealth: (failed) => {
        lifecycle.failHealth(failed);
        plane.failHealth(failed);
      },
      drain: (how) => lifecycle.drainListeners(how),
      quit: () => lifecycle.quit(),
      dump: () => ({
        fixed: store,
        arrived: subscription?.store ?? null,
        own: new Map(),
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
    await plane.close();
  });
  return { plane, adminPort: server?.port ?? 0, lifecycle, ended };
}

/** The node as it is told: what the file says of it, and who runs it. */
function nodeJson({ json }: ParsedBootstrap): object {
  const { node } = json() as { node?: object };
  return { ...node, user_agent_name: 'lateen' };
}
