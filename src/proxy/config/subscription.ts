/**
 * The control plane's side of the configuration: what arrives by ADS goes into the store, what it refers to is asked for, and
 * a table is published when it can be used.
 *
 *     CDS ─► EDS names ─┐                   clusters, endpoints: live at once
 *     LDS ─► RDS names ─┼─► nothing pending?  listeners, routes: live when all that is pending has arrived,
 *            SDS names ─┘                     or `warmMs` after they came
 *
 * A removed cluster stays for `lingerMs`, until the routes that named it are gone too (make before break).
 */
import type { AdsClient, AdsClientOptions, AdsState, Rejection, XdsUpdate } from '../../xds/ads-client.ts';
import { emptyTable, ResourceStore, withInline } from './compile.ts';
import type { References } from './references.ts';
import type { SecretStore } from './secret-store.ts';
import type { Cluster, Listener, RouteTable, Table } from './table.ts';

export interface SubscriptionOptions {
  /** Makes the exchange: `createAdsClient` with its target and node filled in. */
  connect(handlers: Pick<AdsClientOptions, 'onUpdate' | 'onState'>): AdsClient;
  secrets: SecretStore;
  /** Secrets that this process holds by itself (`default`, `ROOTCA`): never asked for. */
  isLocalSecret(name: string): boolean;
  onTable(table: Table): void;
  onState?(state: AdsState): void;
  /** Told of each refused resource. */
  onRejected?(reason: string): void;
  /** Resources of the bootstrap file, always part of the table. */
  fixed?: Table;
  /** Longest wait for what new listeners and routes refer to; 5 s unless told. */
  warmMs?: number;
  /** How long a removed cluster stays; 5 s unless told. */
  lingerMs?: number;
}

export interface Subscription {
  readonly store: ResourceStore;
  readonly state: AdsState;
  /** Whether a first complete configuration has been published. */
  readonly complete: boolean;
  start(): void;
  stop(): Promise<void>;
}

export function subscribe(options: SubscriptionOptions): Subscription {
  const { secrets, warmMs = 5000, lingerMs = 5000, fixed = emptyTable } = options;
  const store = new ResourceStore();
  const leaving = new Map<string, { cluster: Cluster; untilMs: number }>();
  let live: { listeners: Map<string, Listener>; routes: Map<string, RouteTable> } | null = null;
  let version = 0;
  let publishing: NodeJS.Immediate | null = null;
  let warmTimer: NodeJS.Timeout | null = null;
  let lingerTimer: NodeJS.Timeout | null = null;
  let inlineSecrets = new Set<string>();

  const ads = options.connect({ onUpdate, onState: options.onState });

  function onUpdate(update: XdsUpdate): Rejection[] {
    const rejections: Rejection[] = [];
    const refuse = (name: string, reason: string) => {
      rejections.push({ name, reason });
      options.onRejected?.(reason);
    };
    for (const [name, message] of update.changed) {
      const problems = store.put(update.type, name, message as never);
      if (problems.length > 0) refuse(name, problems.join('; '));
      else if (update.type === 'cluster') leaving.delete(name);
      else if (update.type === 'secret') keepSecret(name, refuse);
    }
    for (const name of update.removed) remove(update, name);
    if (update.type === 'cluster' || update.type === 'listener') askForReferences();
    publishSoon();
    return rejections;
  }

  function keepSecret(name: string, refuse: (name: string, reason: string) => void): void {
    const secret = store.get('secret', name);
    try {
      if (secret) secrets.set(name, secret);
    } catch (error) {
      refuse(name, `secret ${name}: ${(error as Error).message}`);
    }
  }

  function remove(update: XdsUpdate, name: string): void {
    const cluster = update.type === 'cluster' ? store.clusters().get(name) : undefined;
    if (cluster) {
      leaving.set(name, { cluster, untilMs: performance.now() + lingerMs });
      lingerTimer ??= setTimeout(dropLeaving, lingerMs).unref();
    }
    if (update.type === 'secret') secrets.delete(name);
    store.delete(update.type, name);
  }

  function dropLeaving(): void {
    lingerTimer = null;
    const now = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [name, { untilMs }] of leaving) {
      if (untilMs <= now + 1) leaving.delete(name);
      else nextMs = Math.min(nextMs, untilMs - now);
    }
    if (nextMs < Number.POSITIVE_INFINITY) lingerTimer = setTimeout(dropLeaving, nextMs).unref();
    publishSoon();
  }

  /** EDS for the clusters, RDS for the listeners, SDS for both. */
  function askForReferences(): void {
    const endpoints: string[] = [];
    const routes = new Set<string>();
    const wanted = new Set<string>();
    const inline = new Set<string>();
    const note = (references: References) => {
      for (const name of references.routes) routes.add(name);
      for (const name of references.secrets) if (!options.isLocalSecret(name)) wanted.add(name);
      for (const [name, secret] of references.inlineSecrets) {
        inline.add(name);
        if (!secrets.get(name)) secrets.set(name, secret);
      }
    };
    for (const [, { cluster, references }] of store.all('cluster')) {
      if (cluster.discovery === 'eds') endpoints.push(cluster.edsName);
      note(references);
    }
    for (const [, { references }] of store.all('listener')) note(references);
    for (const name of inlineSecrets) if (!inline.has(name)) secrets.delete(name);
    inlineSecrets = inline;
    drop('endpoint', new Set(endpoints));
    drop('route', routes);
    drop('secret', wanted);
    ads.subscribe('endpoint', new Set(endpoints));
    ads.subscribe('route', routes);
    ads.subscribe('secret', wanted);
  }

  function drop(type: 'endpoint' | 'route' | 'secret', wanted: ReadonlySet<string>): void {
    for (const [name] of store.all(type)) {
      if (wanted.has(name)) continue;
      store.delete(type, name);
      if (type === 'secret') secrets.delete(name);
    }
  }

  /** Several updates of one read make one table. */
  function publishSoon(): void {
    publishing ??= setImmediate(() => {
      publishing = null;
      publish(false);
    });
  }

  function isWarm(): boolean {
    const { types } = ads.state;
    return (['cluster', 'endpoint', 'listener', 'route', 'secret'] as const).every(
      (type) => types[type].pending.length === 0,
    );
  }

  /** Without a first answer to CDS and LDS there is no configuration yet, however long it takes. */
  function begun(): boolean {
    const { types } = ads.state;
    return types.cluster.pending.length === 0 && types.listener.pending.length === 0;
  }

  function publish(timedOut: boolean): void {
    if (isWarm() || (timedOut && begun())) {
      if (warmTimer) clearTimeout(warmTimer);
      warmTimer = null;
      const { listeners, inlineRoutes } = store.listeners();
      live = { listeners, routes: withInline(store.routes(), inlineRoutes) };
    } else if (begun()) warmTimer ??= setTimeout(() => publish(true), warmMs);
    // A first table without listeners would be no configuration.
    if (!live) return;
    const clusters = store.clusters();
    for (const [name, { cluster }] of leaving) if (!clusters.has(name)) clusters.set(name, cluster);
    version++;
    options.onTable({
      version,
      listeners: merged(fixed.listeners, live.listeners),
      clusters: merged(fixed.clusters, clusters),
      routeTables: merged(fixed.routeTables, live.routes),
    });
  }

  return {
    store,
    get state() {
      return ads.state;
    },
    get complete() {
      return live !== null;
    },
    start: () => ads.start(),
    async stop() {
      if (publishing) clearImmediate(publishing);
      if (warmTimer) clearTimeout(warmTimer);
      if (lingerTimer) clearTimeout(lingerTimer);
      await ads.stop();
    },
  };
}

function merged<T>(fixed: ReadonlyMap<string, T>, arrived: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return fixed.size === 0 ? arrived : new Map([...arrived, ...fixed]);
}
