/**
 * Which of the resources that have arrived are in use. A new one waits for what it refers to; the one before it, if there is one,
 * serves meanwhile (Envoy documentation, "Initialization", and of CDS and LDS: warming).
 *
 *     cluster      its endpoints and secrets
 *     routes       the new clusters that they name
 *     listener     its routes and secrets, and the new clusters that it names
 *
 * After `initial_fetch_timeout` it is used with what is there.
 */
import type { EnvoyType } from '../../xds/type-urls.ts';
import type { CompiledCluster } from './cluster.ts';
import type { ResourceStore } from './compile.ts';
import { defaultFetchTimeoutMs } from './config-source.ts';
import type { CompiledListener } from './listener.ts';
import { clustersOfListener, clustersOfRoutes } from './named-clusters.ts';
import type { References } from './references.ts';
import type { RouteTable } from './table.ts';

export type Awaited = 'endpoint' | 'route' | 'secret';
/** Whether something that was asked for has neither arrived nor been said to be missing. */
export type IsPending = (type: Awaited, name: string) => boolean;

export class Warming {
  readonly clusters = new Map<string, CompiledCluster>();
  readonly listeners = new Map<string, CompiledListener>();
  readonly routes = new Map<string, RouteTable>();
  /** Names of those that are not in use yet, or only as they were before. */
  readonly warmingClusters = new Set<string>();
  readonly warmingListeners = new Set<string>();
  /** Those that were used although something was missing, by type. */
  readonly timedOut: { cluster: number; listener: number } = { cluster: 0, listener: 0 };
  readonly #sinceTick = new WeakMap<object, number>();
  #nextTick = Number.POSITIVE_INFINITY;

  /** Takes over what is ready; returns the tick at which the next one has waited long enough, infinite when none will. */
  advance(store: ResourceStore, isPending: IsPending, now: number): number {
    this.#nextTick = Number.POSITIVE_INFINITY;
    this.#clusters(store, isPending, now);
    const fresh = new Set([...this.warmingClusters].filter((name) => !this.clusters.has(name)));
    this.#routes(store, fresh);
    this.#listeners(store, isPending, fresh, now);
    return this.#nextTick;
  }

  #clusters(store: ResourceStore, isPending: IsPending, now: number): void {
    const present = new Set<string>();
    this.warmingClusters.clear();
    for (const [name, compiled] of store.all('cluster')) {
      present.add(name);
      if (this.clusters.get(name) === compiled) continue;
      const { cluster, references } = compiled;
      const waits =
        (cluster.discovery === 'eds' && isPending('endpoint', cluster.edsName)) ||
        waitsForSecret(references, isPending);
      if (waits && !this.#late(compiled, references, now, 'cluster')) this.warmingClusters.add(name);
      else this.clusters.set(name, compiled);
    }
    forgetOthers(this.clusters, present);
  }

  #routes(store: ResourceStore, fresh: ReadonlySet<string>): void {
    const present = new Set<string>();
    for (const [name, routes] of store.all('route')) {
      present.add(name);
      if (this.routes.get(name) === routes) continue;
      if (fresh.size === 0 || fresh.isDisjointFrom(clustersOfRoutes(routes))) this.routes.set(name, routes);
    }
    forgetOthers(this.routes, present);
  }

  #listeners(store: ResourceStore, isPending: IsPending, fresh: ReadonlySet<string>, now: number): void {
    const present = new Set<string>();
    this.warmingListeners.clear();
    for (const [name, compiled] of store.all('listener')) {
      present.add(name);
      if (this.listeners.get(name) === compiled) continue;
      const { listener, references, routeTables } = compiled;
      const tables = { get: (table: string) => routeTables.get(table) ?? this.routes.get(table) };
      const waits =
        [...references.routes].some((route) => isPending('route', route) || isHeld(store, this.routes, route)) ||
        waitsForSecret(references, isPending) ||
        (fresh.size > 0 && !fresh.isDisjointFrom(clustersOfListener(listener, tables)));
      if (waits && !this.#late(compiled, references, now, 'listener')) this.warmingListeners.add(name);
      else this.listeners.set(name, compiled);
    }
    forgetOthers(this.listeners, present);
  }

  /** Whether it has waited long enough. */
  #late(compiled: object, { fetchTimeoutMs }: References, now: number, type: 'cluster' | 'listener'): boolean {
    const since = this.#sinceTick.get(compiled);
    if (since === undefined) this.#sinceTick.set(compiled, now);
    const until = (since ?? now) + (fetchTimeoutMs ?? defaultFetchTimeoutMs);
    if (now >= until) {
      this.timedOut[type]++;
      return true;
    }
    this.#nextTick = Math.min(this.#nextTick, until);
    return false;
  }
}

const waitsForSecret = ({ secrets }: References, isPending: IsPending): boolean =>
  [...secrets].some((name) => isPending('secret', name));

/** Whether routes have arrived of which no version is in use yet. */
const isHeld = (store: ResourceStore, live: ReadonlyMap<string, RouteTable>, name: string): boolean =>
  store.get('route' satisfies EnvoyType, name) !== null && !live.has(name);

function forgetOthers(map: Map<string, unknown>, present: ReadonlySet<string>): void {
  for (const name of map.keys()) if (!present.has(name)) map.delete(name);
}
