/**
 * The control plane's side of the configuration: what arrives by ADS goes into the store, what it refers to is asked for, and
 * a table is published when there is something new to use (warming.ts).
 *
 *     CDS ─► EDS names ─┐
 *     LDS ─► RDS names ─┼─► store ─► warming ─► table
 *            SDS names ─┘
 *
 * The first table holds everything that came with the first answers. A removed cluster stays for `lingerMs`, until the routes that
 * named it are gone too (make before break).
 */
import type { AdsClient, AdsClientOptions, AdsState, Rejection, XdsUpdate } from '../../xds/ads-client.ts';
import type { NameTable } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { emptyTable, ResourceStore, withInline } from './compile.ts';
import type { References } from './references.ts';
import type { SecretStore } from './secret-store.ts';
import type { Cluster, Table } from './table.ts';
import { type Awaited, Warming } from './warming.ts';

export interface SubscriptionOptions {
  /** Makes the exchange: `createAdsClient` with its target and node filled in. */
  connect(handlers: Pick<AdsClientOptions, 'onUpdate' | 'onState' | 'routesOf'>): AdsClient;
  secrets: SecretStore;
  /** Secrets that this process holds by itself (`default`, `ROOTCA`): never asked for. */
  isLocalSecret(name: string): boolean;
  onTable(table: Table): void;
  /** Told of the names that DNS is answered with, which are asked for only with it. */
  onNames?(names: NameTable): void;
  onState?(state: AdsState): void;
  /** Told of each refused resource. */
  onRejected?(reason: string): void;
  /** Resources of the bootstrap file, always part of the table. */
  fixed?: Table;
  /** How long a removed cluster stays; 5 s unless told. */
  lingerMs?: number;
}

export interface Subscription {
  readonly store: ResourceStore;
  readonly state: AdsState;
  /** Whether a first complete configuration has been published. */
  readonly complete: boolean;
  /** Envoy's names: before clusters are there, before listeners are, and then. */
  readonly phase: 'PRE_INITIALIZING' | 'INITIALIZING' | 'LIVE';
  /** How many wait for what they refer to. */
  readonly warming: { readonly clusters: number; readonly listeners: number };
  start(): void;
  stop(): Promise<void>;
}

export function subscribe(options: SubscriptionOptions): Subscription {
  const { secrets, lingerMs = 5000, fixed = emptyTable } = options;
  const store = new ResourceStore();
  const leaving = new Map<string, { cluster: Cluster; untilMs: number }>();
  const warming = new Warming();
  let complete = false;
  let version = 0;
  let publishing: NodeJS.Immediate | null = null;
  let warmTimer: NodeJS.Timeout | null = null;
  let lingerTimer: NodeJS.Timeout | null = null;
  let inlineSecrets = new Set<string>();

  const unwatch = secrets.watch((name) => options.isLocalSecret(name) && publishSoon());
  const ads = options.connect({
    onUpdate,
    onState: options.onState,
    routesOf: (name) => store.bytesOf('route', name),
  });

  function onUpdate(update: XdsUpdate): Rejection[] {
    if (update.type === 'nameTable') {
      for (const names of update.changed.values()) options.onNames?.(names);
      return [];
    }
    const rejections: Rejection[] = [];
    const refuse = (name: string, reason: string) => {
      rejections.push({ name, reason });
      options.onRejected?.(reason);
    };
    for (const [name, message] of update.changed) {
      const problems =
        update.type === 'route'
          ? store.putRoutes(name, message as Uint8Array)
          : store.put(update.type, name, message as never);
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

  function remove(update: Exclude<XdsUpdate, { type: 'nameTable' }>, name: string): void {
    const cluster = update.type === 'cluster' ? store.clusters(warming.clusters).get(name) : undefined;
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
    // What serves while its successor warms keeps what it refers to.
    for (const { cluster, references } of new Set([...valuesOf(store.all('cluster')), ...warming.clusters.values()])) {
      if (cluster.discovery === 'eds') endpoints.push(cluster.edsName);
      note(references);
    }
    for (const { references } of new Set([...valuesOf(store.all('listener')), ...warming.listeners.values()]))
      note(references);
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
      publish();
    });
  }

  function isPending(type: Awaited, name: string): boolean {
    if (type === 'secret' && options.isLocalSecret(name)) return secrets.get(name) === null;
    return pending[type].has(name);
  }

  /** Names by type that have not arrived, while a table is made. */
  const pending: Record<Awaited, ReadonlySet<string>> = { endpoint: new Set(), route: new Set(), secret: new Set() };

  /** Without a first answer to CDS and LDS there is no configuration yet, however long it takes. */
  function begun(): boolean {
    const { types } = ads.state;
    return types.cluster.pending.length === 0 && types.listener.pending.length === 0;
  }

  function publish(): void {
    if (warmTimer !== null) clearTimeout(warmTimer);
    warmTimer = null;
    if (!complete && !begun()) return;
    const { types } = ads.state;
    for (const type of ['endpoint', 'route', 'secret'] as const) pending[type] = new Set(types[type].pending);
    const now = performance.now();
    const nextTick = warming.advance(store, isPending, now);
    if (nextTick < Number.POSITIVE_INFINITY) warmTimer = setTimeout(publish, Math.min(nextTick - now, maxTimerMs));
    if (!complete && warming.warmingClusters.size + warming.warmingListeners.size > 0) return;
    complete = true;
    // Successors that serve now need nothing of what only their predecessors referred to.
    askForReferences();
    const clusters = store.clusters(warming.clusters);
    for (const [name, { cluster }] of leaving) if (!clusters.has(name)) clusters.set(name, cluster);
    const { listeners, inlineRoutes } = store.listeners(warming.listeners);
    version++;
    options.onTable({
      version,
      listeners: merged(fixed.listeners, listeners),
      clusters: merged(fixed.clusters, clusters),
      routeTables: merged(fixed.routeTables, withInline(new Map(warming.routes), inlineRoutes)),
    });
  }

  return {
    store,
    get state() {
      return ads.state;
    },
    get complete() {
      return complete;
    },
    get phase() {
      if (complete) return 'LIVE';
      const clustersCame = ads.state.types.cluster.pending.length === 0;
      return clustersCame && warming.warmingClusters.size === 0 ? 'INITIALIZING' : 'PRE_INITIALIZING';
    },
    get warming() {
      return { clusters: warming.warmingClusters.size, listeners: warming.warmingListeners.size };
    },
    start() {
      if (options.onNames) ads.subscribe('nameTable', []);
      ads.start();
    },
    async stop() {
      unwatch();
      if (publishing) clearImmediate(publishing);
      if (warmTimer) clearTimeout(warmTimer);
      if (lingerTimer) clearTimeout(lingerTimer);
      await ads.stop();
    },
  };
}

const valuesOf = function* <T>(entries: Iterable<readonly [string, T]>): IterableIterator<T> {
  for (const [, value] of entries) yield value;
};

/** The longest that Node's timers wait. */
const maxTimerMs = 2 ** 31 - 1;

function merged<T>(fixed: ReadonlyMap<string, T>, arrived: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return fixed.size === 0 ? arrived : new Map([...arrived, ...fixed]);
}
