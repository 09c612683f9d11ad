/**
 * The data path's entrance: opens the table's listeners, keeps what outlives a push (connections, pools, outlier state),
 * and drains. Everything runs on the calling thread.
 */
import { chainsOf, clustersOfListener, clustersOfRoutes } from './config/named-clusters.ts';
import type { Cluster, Listener, Overload, RouteTable, Table } from './config/table.ts';
import type { Telemetry } from './http/exchange.ts';
import { KeySets } from './http/filters/jwt-keys.ts';
import type { LocalNode, Plane } from './http/plane.ts';
import { Draining } from './net/draining.ts';
import { type Interception, type Place, placesOf } from './net/interception.ts';
import {
  type Acceptor,
  activeConnections,
  BoundListener,
  type ConnectionCounters,
  type SharedPorts,
} from './net/listener.ts';
import { originalDstFailure } from './net/original-dst.ts';
import { output } from './net/output.ts';
import { OverloadState } from './net/overload.ts';
import type { Secrets } from './net/secrets.ts';
import { Statistics } from './telemetry/statistics.ts';
import { Aggregate } from './upstream/aggregate.ts';
import { ClusterPool } from './upstream/cluster.ts';
import type { Neighbours } from './upstream/zones.ts';

export interface RuntimeOptions {
  readonly table: Table;
  readonly secrets: Secrets;
  readonly telemetry: Telemetry;
  /** Default: nameless. */
  readonly node?: LocalNode;
  /** Connections at a time, over all listeners; more are closed and counted. Default 50,000. */
  readonly maxConnections?: number;
  readonly overload?: Overload | null;
  /** Takes the place of iptables where there is none. */
  readonly interception?: Interception | null;
  /** How long connections stay whose filter chain is gone; 600 s unless told. */
  readonly drainMs?: number;
  /** Null when no other thread serves the same ports. */
  readonly shared?: SharedPorts | null;
}

export type { SharedPorts };

export interface RuntimeStats extends Readonly<ConnectionCounters> {
  readonly listeners: ReadonlyArray<{ readonly name: string; readonly port: number }>;
  readonly clusters: number;
}

const atOnce = { inboundOnly: false, spanMs: 0 };
/** As Envoy: --drain-time-s. */
const defaultDrainMs = 600_000;

const sweepMs = 1000;
const drainPollMs = 50;
/** Longest wait for a cluster's first answer of DNS: as long as Envoy's resolver tries. */
const warmMs = 15_000;
const warmPollMs = 10;

export class Runtime implements Plane {
  table: Table;
  readonly node: LocalNode;
  readonly secrets: Secrets;
  readonly telemetry: Telemetry;
  readonly statistics: Statistics = new Statistics();
  readonly draining: Draining = new Draining();
  unhealthy = false;
  readonly overload: OverloadState;
  readonly keySets: KeySets = new KeySets();
  private readonly aggregates = new WeakMap<ClusterPool, Aggregate>();
  private readonly pools = new Map<string, ClusterPool>();
  private readonly retired = new Set<ClusterPool>();
  private readonly warming = new Map<string, { readonly pool: ClusterPool; readonly untilTick: number }>();
  /** What was applied last; `table` is as much of it as is warm. */
  private wanted: Table;
  /** Resolved at the next change of `table`. */
  private warmer = Promise.withResolvers<void>();
  private warmTimer: NodeJS.Timeout | null = null;
  private readonly bound = new Map<string, BoundListener>();
  private readonly acceptor: Acceptor;
  private readonly interception: Interception | null;
  private readonly timer: NodeJS.Timeout;
  private applying: Promise<void> = Promise.resolve();

  constructor(options: RuntimeOptions) {
    this.table = { version: 0, listeners: new Map(), clusters: new Map(), routeTables: new Map() };
    this.wanted = this.table;
    this.node = options.node ?? { id: '', cluster: '', zone: '', place: '', localCluster: '' };
    this.secrets = options.secrets;
    this.telemetry = options.telemetry;
    this.interception = options.interception ?? null;
    this.acceptor = {
      plane: this,
      maxConnections: options.maxConnections ?? 50_000,
      counters: {
        accepted: 0,
        active: 0,
        overLimit: 0,
        noFilterChain: 0,
        detectTimedOut: 0,
        tlsFailed: 0,
        rbacDenied: 0,
        gateClosed: 0,
        proxyProtocolFound: 0,
        proxyProtocolRefused: 0,
        lastTlsFailure: '',
      },
      swept: new Set(),
      drainMs: options.drainMs ?? defaultDrainMs,
      shared: options.shared ?? null,
    };
    this.overload = new OverloadState(options.overload ?? null, () => activeConnections(this.acceptor));
    this.timer = setInterval(() => this.sweep(), sweepMs);
    this.timer.unref();
  }

  pool(cluster: string): ClusterPool | null {
    const pool = this.pools.get(cluster);
    if (pool === undefined) return null;
    return pool.config.discovery === 'aggregate' ? this.chooseFrom(pool) : pool;
  }

  /** What zone-aware routing compares with; the proxy's own cluster has nothing else to compare with. */
  private neighboursOf(cluster: string): Neighbours | null {
    const { localCluster, place } = this.node;
    if (localCluster === '' || localCluster === cluster) return null;
    const own = () => this.pools.get(localCluster) ?? null;
    return {
      place,
      get version() {
        return own()?.version ?? -1;
      },
      level: () => own()?.levels()[0] ?? null,
    };
  }

  private chooseFrom(pool: ClusterPool): ClusterPool | null {
    let aggregate = this.aggregates.get(pool);
    if (aggregate === undefined) {
      aggregate = new Aggregate(pool.config, (name) => this.pools.get(name) ?? null);
      this.aggregates.set(pool, aggregate);
    }
    return aggregate.choose();
  }

  /**
   * Swaps the table in: from here on new requests see it, connections stay. A cluster that is new or other than before warms first
   * (DNS must have answered): the one before it serves meanwhile, and so do listeners and routes that name one which is all new.
   * Resolves when new listeners are bound; rejects, naming each, when some cannot be, and the rest of the table holds nevertheless.
   */
  apply(table: Table): Promise<void> {
    this.wanted = table;
    for (const [name, cluster] of table.clusters) this.take(name, cluster);
    for (const name of this.pools.keys()) if (!table.clusters.has(name)) this.drop(name);
    for (const [name, { pool }] of this.warming)
      if (!table.clusters.has(name)) {
        this.warming.delete(name);
        pool.retire();
      }
    this.statistics.adopt(table);
    this.telemetry.adopt(table);
    this.swap();
    this.applying = this.applying.catch(() => {}).then(() => this.bindAll(table));
    return this.applying;
  }

  private take(name: string, cluster: Cluster): void {
    const pool = this.pools.get(name);
    const next = this.warming.get(name)?.pool;
    if (pool !== undefined && pool.config.hash === cluster.hash) {
      if (pool.config !== cluster) pool.update(cluster);
      this.warming.delete(name);
      next?.retire();
      return;
    }
    if (next !== undefined && next.config.hash === cluster.hash) {
      if (next.config !== cluster) next.update(cluster);
      return;
    }
    next?.retire();
    const made = new ClusterPool(
      cluster,
      this.secrets,
      this.interception,
      this.statistics.cluster(cluster),
      this.neighboursOf(name),
    );
    this.warming.set(name, { pool: made, untilTick: performance.now() + warmMs });
  }

  /** Puts warm clusters into use, and with them what waited for them. */
  private swap(): void {
    const now = performance.now();
    for (const [name, { pool, untilTick }] of this.warming) {
      if (!pool.warm && now < untilTick) continue;
      this.warming.delete(name);
      this.drop(name);
      this.pools.set(name, pool);
    }
    const missing = new Set([...this.warming.keys()].filter((name) => !this.pools.has(name)));
    this.table = missing.size === 0 ? this.wanted : withoutMissing(this.wanted, this.table, missing);
    this.warmer.resolve();
    this.warmer = Promise.withResolvers();
    if (this.warming.size > 0) this.warmTimer ??= setTimeout(() => this.look(), warmPollMs).unref();
  }

  private look(): void {
    this.warmTimer = null;
    const now = performance.now();
    if ([...this.warming.values()].some(({ pool, untilTick }) => pool.warm || now >= untilTick)) this.swap();
    else this.warmTimer = setTimeout(() => this.look(), warmPollMs).unref();
  }

  private drop(name: string): void {
    const pool = this.pools.get(name);
    if (pool === undefined) return;
    this.pools.delete(name);
    this.retire(pool);
  }

  /** Clusters and listeners that are not in use yet, or only as they were before. */
  get stillWarming(): { clusters: number; listeners: number } {
    const { listeners } = this.wanted;
    let waiting = 0;
    for (const [name, listener] of listeners) if (this.table.listeners.get(name) !== listener) waiting++;
    return { clusters: this.warming.size, listeners: waiting };
  }

  /** Binds what is warm, then the rest as it gets warm, unless another table comes. */
  private async bindAll(table: Table): Promise<void> {
    for (;;) {
      const bound = this.table;
      const warmer = this.warmer.promise;
      await this.bind(bound);
      if (this.wanted !== table || (this.table === bound && bound === table)) return;
      if (this.table === bound) await warmer;
    }
  }

  private retire(pool: ClusterPool): void {
    pool.retire();
    if (pool.connections > 0) this.retired.add(pool);
  }

  private async bind(table: Table): Promise<void> {
    const wanted = new Map<string, { listener: Listener; place: Place }>();
    for (const [name, listener] of table.listeners)
      for (const [i, place] of placesOf(listener, this.interception).entries())
        wanted.set(i === 0 ? name : `${name} ${i}`, { listener, place });
    for (const [key, bound] of this.bound) {
      const next = wanted.get(key);
      if (
        next !== undefined &&
        next.place.host === bound.place.host &&
        (next.place.port === bound.place.port || next.place.port === 0)
      )
        bound.config = next.listener;
      else {
        this.bound.delete(key);
        bound.close();
      }
    }
    const faults: string[] = [];
    const blind = missingOriginalDst(wanted.values());
    if (blind !== null) faults.push(blind);
    for (const [key, { listener, place }] of wanted) {
      if (this.bound.has(key)) continue;
      const { shared } = this.acceptor;
      // A path cannot be shared.
      if (shared !== null && shared.index > 0 && place.host.startsWith('/')) continue;
      const known = place.port === 0 ? (shared?.ports.get(key) ?? 0) : place.port;
      const opened = new BoundListener(listener, { ...place, port: known }, this.acceptor);
      try {
        await opened.listen();
        this.bound.set(key, opened);
      } catch (error) {
        faults.push(error instanceof Error ? error.message : String(error));
      }
    }
    if (faults.length > 0) throw new Error(faults.join('; '));
  }

  /** Which of the threads that serve this is. */
  get worker(): number {
    return this.acceptor.shared?.index ?? 0;
  }

  /** Ports by place, for threads that share those that were chosen by the system. */
  get ports(): Map<string, number> {
    return new Map([...this.bound].map(([key, { port }]) => [key, port]));
  }

  /** Port of a bound listener, which matters when it was bound to port 0. */
  portOf(listener: string): number {
    return this.bound.get(listener)?.port ?? 0;
  }

  private sweep(): void {
    const now = performance.now();
    output.turn(() => {
      for (const connection of this.acceptor.swept) connection.sweep(now);
      for (const pool of this.pools.values()) pool.sweep(now);
    });
    for (const pool of this.retired) if (pool.connections === 0) this.retired.delete(pool);
  }

  get stats(): RuntimeStats {
    return {
      ...this.acceptor.counters,
      listeners: [...this.bound.values()].map(({ config, port }) => ({ name: config.name, port })),
      clusters: this.pools.size,
    };
  }

  /** Listeners and filter chains that are gone, while connections of theirs are left. */
  get leftOver(): { listeners: number; chains: number } {
    const listeners = new Set<string>();
    const chains = new Set<string>();
    for (const connection of this.acceptor.swept) {
      const chain = connection.goneChain;
      if (chain === null) continue;
      if (this.table.listeners.has(connection.listenerName)) chains.add(chain);
      else listeners.add(connection.listenerName);
    }
    return { listeners: listeners.size, chains: chains.size };
  }

  *clusterPools(): IterableIterator<ClusterPool> {
    yield* this.pools.values();
  }

  /**
   * Lets callers go: responses say `Connection: close`, idle connections end, new ones are still served, since callers
   * learn of the departure with a delay. Resolves as soon as no connection is left after `minimumMs`, at the latest after
   * `limitMs`; listeners are closed by then.
   */
  async drain(limitMs: number, minimumMs = 0): Promise<void> {
    this.draining.begin(atOnce, performance.now());
    const start = performance.now();
    for (;;) {
      const passed = performance.now() - start;
      if (passed >= limitMs || (passed >= minimumMs && this.acceptor.counters.active === 0)) break;
      this.sweepDraining();
      await new Promise((resolve) => setTimeout(resolve, Math.min(drainPollMs, Math.max(1, limitMs - passed))));
    }
    for (const listener of this.bound.values()) listener.close();
  }

  /** Accepts no more connections, on all listeners or the inbound ones. */
  closeListeners(inboundOnly: boolean): void {
    for (const bound of this.bound.values()) if (!inboundOnly || bound.config.direction === 'inbound') bound.close();
  }

  private sweepDraining(): void {
    const now = performance.now();
    output.turn(() => {
      for (const connection of this.acceptor.swept) connection.sweep(now);
    });
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    if (this.warmTimer !== null) clearTimeout(this.warmTimer);
    this.overload.stop();
    this.wanted = this.table;
    this.warmer.resolve();
    await this.applying.catch(() => {});
    for (const listener of this.bound.values()) listener.close();
    this.bound.clear();
    for (const connection of this.acceptor.swept) connection.drop();
    for (const pool of this.pools.values()) pool.retire();
    for (const { pool } of this.warming.values()) pool.retire();
    this.pools.clear();
    this.warming.clear();
  }
}

/** `next` with what names a missing cluster as it was in `before`, or left out. */
function withoutMissing(next: Table, before: Table, missing: ReadonlySet<string>): Table {
  const routeTables = new Map<string, RouteTable>();
  for (const [name, routes] of next.routeTables) {
    const old = before.routeTables.get(name);
    if (old === routes || missing.isDisjointFrom(clustersOfRoutes(routes))) routeTables.set(name, routes);
    else if (old !== undefined) routeTables.set(name, old);
  }
  const listeners = new Map<string, Listener>();
  for (const [name, listener] of next.listeners) {
    const old = before.listeners.get(name);
    const ready = missing.isDisjointFrom(clustersOfListener(listener, next.routeTables));
    if (old === listener || ready) listeners.set(name, listener);
    else if (old !== undefined) {
      listeners.set(name, old);
      // Routes inside of a listener go with it.
      for (const { http } of chainsOf(old)) {
        const routes = http === null ? undefined : before.routeTables.get(http.routeName);
        if (routes !== undefined && !routeTables.has(http!.routeName)) routeTables.set(http!.routeName, routes);
      }
    }
  }
  return { ...next, listeners, routeTables };
}

/** Why listeners that hand connections on by their original destination would not find it, or null. */
function missingOriginalDst(wanted: Iterable<{ listener: Listener; place: Place }>): string | null {
  const names = [...wanted]
    .filter(
      ({ listener, place }) => place.destination === null && (listener.useOriginalDst || listener.inspect.originalDst),
    )
    .map(({ listener }) => listener.name);
  if (names.length === 0) return null;
  const failure = originalDstFailure();
  return failure === null ? null : `listeners ${names.join(', ')} need original destinations: ${failure}`;
}

/** Opens what `options.table` says; rejects when a listener cannot be bound. */
export async function createRuntime(options: RuntimeOptions): Promise<Runtime> {
  const runtime = new Runtime(options);
  await runtime.apply(options.table);
  return runtime;
}
