import type { Cluster, Endpoint } from '../config/table.ts';
import type { Address } from '../net/connection.ts';
import type { Interception } from '../net/interception.ts';
import { output } from '../net/output.ts';
import { type ClusterCounters, OutlierCounters } from '../telemetry/counters.ts';
import type { HealthChecks } from './health-check.ts';
import { Host, hostKey } from './host.ts';
import { type Outcome, OutlierDetection } from './outlier.ts';
import { type HostGroup, type Level, levelsOf, makePicker, type PickContext, type Picker } from './picker.ts';
import { Resolution } from './resolution.ts';
import { makeSubsetPicker } from './subsets.ts';
import { type Neighbours, placeOf } from './zones.ts';

const maxPassingHosts = 10_000;
/** How long a host that took no request is left out of the choice: about as long as news of its end takes. */
const shunMs = 1500;

/** The hosts of a cluster, where they come from, how they fare, and which of them is next. */
export abstract class Membership {
  config: Cluster;
  /** They outlive the pool: a cluster of the same name goes on counting. */
  readonly counters: ClusterCounters;
  private readonly interception: Interception | null;
  protected readonly hosts: Map<string, Host> = new Map();
  private groups: HostGroup[] = [];
  private picker: Picker | null = null;
  /** Grows whenever hosts or their health change. */
  version = 0;
  /** Null where the proxy's own place makes no difference. */
  private readonly neighbours: Neighbours | null;
  private neighboursVersion = 0;
  private readonly outlier: OutlierDetection | null;
  /** Null where hosts are not asked. */
  protected checks: HealthChecks | null = null;
  private readonly resolution: Resolution = new Resolution(() => this.update(this.config));
  /** Hosts after the latest update. */
  private known = 0;
  closed = false;
  /** No host is shunned after this tick. */
  private shunnedUntilTick = 0;

  constructor(
    config: Cluster,
    interception: Interception | null,
    counters: ClusterCounters,
    neighbours: Neighbours | null,
  ) {
    this.neighbours = config.zoneAware === null ? null : neighbours;
    this.config = config;
    this.counters = counters;
    this.interception = interception;
    this.outlier =
      config.outlier === null
        ? null
        : new OutlierDetection(
            config.outlier,
            () => this.hosts.values(),
            () => this.repick(),
            this.outlierCounters(),
          );
  }

  /** A host is no longer among them: no request is to find its idle connections. */
  protected abstract closeIdle(host: Host): void;
  /** After that, and after the others were put in their place. */
  protected abstract breakOff(gone: readonly Host[]): void;

  private outlierCounters(): OutlierCounters {
    this.counters.outlierDetection ??= new OutlierCounters();
    return this.counters.outlierDetection;
  }

  private get byName(): boolean {
    return this.config.discovery === 'strictDns' || this.config.discovery === 'logicalDns';
  }

  /** Takes the endpoints of a new push; `config.hash` is the same as before. */
  update(config: Cluster): void {
    this.config = config;
    if (config.discovery === 'originalDst') return;
    const groups: HostGroup[] = [];
    const present = new Set<string>();
    for (const locality of config.endpoints) {
      const members: Host[] = [];
      for (const endpoint of this.byName
        ? locality.endpoints.flatMap((named) => this.addressesOf(named))
        : locality.endpoints) {
        const key = hostKey(endpoint);
        if (present.has(key)) continue;
        present.add(key);
        let host = this.hosts.get(key);
        if (host === undefined) {
          host = new Host(key, endpoint, config);
          this.hosts.set(key, host);
          this.checks?.add(host);
        }
        host.endpoint = endpoint;
        host.leaving = false;
        members.push(host);
      }
      const { priority, weight, overprovisioningPercent } = locality;
      groups.push({ priority, weight, overprovisioningPercent, place: placeOf(locality), hosts: members });
    }
    const gone: Host[] = [];
    for (const [key, host] of this.hosts) {
      if (present.has(key)) continue;
      // News of discovery may be wrong; who still answers is there (Envoy: ignore_health_on_host_removal).
      if (host.check === 'passing' && !config.forgetsHealthyHosts) {
        host.leaving = true;
        groups.push({ priority: 0, weight: 0, overprovisioningPercent: 140, place: '', hosts: [host] });
        continue;
      }
      this.checks?.remove(host);
      this.outlier?.forget(host);
      this.hosts.delete(key);
      host.removed = true;
      this.closeIdle(host);
      gone.push(host);
    }
    const changed = gone.length > 0 || this.hosts.size !== this.known;
    if (changed) this.counters.membershipChange++;
    this.known = this.hosts.size;
    this.groups = groups;
    this.repick();
    if (gone.length > 0) this.breakOff(gone);
    if (changed && config.closesOnHostSetChange) for (const host of this.hosts.values()) this.closeIdle(host);
    if (this.byName && !this.resolution.asked) this.resolution.ask(config);
  }

  protected endDetection(): void {
    this.outlier?.stop();
    this.resolution.closed = true;
  }

  private addressesOf(named: Endpoint): Endpoint[] {
    if (!Resolution.isName(named.host)) return [named];
    return this.resolution.addressesOf(named.host).map((host) => ({
      ...named,
      host,
      hostname: named.hostname || named.host,
    }));
  }

  /** False while DNS is asked for names of which nothing is known yet, and before every host was checked once. */
  get warm(): boolean {
    if (!this.config.waitsForWarm) return true;
    return (this.resolution.settled || this.hosts.size > 0) && (this.checks?.firstRoundOver ?? true);
  }

  /** A check has found the host well. */
  protected onWell(host: Host): void {
    this.outlier?.foundWell(host, performance.now());
  }

  /** A host's health is another than before. */
  protected onHealth(host: Host): void {
    if (host.check === 'passing') host.sinceTick = performance.now();
    if (host.check === 'failing') {
      if (this.config.closesUnhealthy) {
        for (const connection of [...host.open]) connection.destroy();
        for (const relay of [...host.relays]) relay.destroy();
      }
      if (host.leaving) {
        this.update(this.config);
        return;
      }
    }
    this.repick();
  }

  /** What each priority has, the first first. */
  levels(): Level[] {
    return levelsOf(this.groups, performance.now());
  }

  /** The next request makes another picker; subsets are counted, so theirs is made at once. */
  private repick(): void {
    this.version++;
    this.picker = this.config.subsets === null ? null : this.makePicker();
  }

  private makePicker(): Picker {
    const { config, groups, counters, neighbours } = this;
    const now = performance.now();
    this.neighboursVersion = neighbours?.version ?? 0;
    if (config.subsets !== null) return makeSubsetPicker(config, config.subsets, groups, now, counters);
    return makePicker(config, groups, now, counters, neighbours);
  }

  /** Leaves a host out of the choice for a short while, as long as there are others. */
  shun(host: Host): void {
    host.shunnedUntilTick = output.tick + shunMs;
    this.shunnedUntilTick = host.shunnedUntilTick;
  }

  /** Whether a host is there that is none of these. */
  hasOther(than: readonly Host[]): boolean {
    return this.other(than, true) !== null;
  }

  /** A healthy host of the first priority that holds one, at random; those shunned count if asked for. */
  private other(than: readonly Host[] | null, shunned: boolean): Host | null {
    const now = output.tick;
    let chosen: Host | null = null;
    let priority = Number.POSITIVE_INFINITY;
    let seen = 0;
    for (const group of this.groups) {
      if (group.priority > priority) continue;
      for (const host of group.hosts) {
        if (!host.usable() || host.ejectedUntilTick > now || than?.includes(host)) continue;
        if (!shunned && host.shunnedUntilTick > now) continue;
        if (group.priority < priority) {
          priority = group.priority;
          seen = 0;
        }
        if (Math.random() * ++seen < 1) chosen = host;
      }
    }
    return chosen;
  }

  /** `destination` is used by original-destination clusters only. Null when there is nothing healthy. */
  pick(context: PickContext, destination: Address): Host | null {
    if (this.config.discovery !== 'originalDst') {
      if (this.neighbours !== null && this.neighbours.version !== this.neighboursVersion) this.picker = null;
      this.picker ??= this.makePicker();
      const drawn = this.picker.pick(context);
      const { avoid } = context;
      if (drawn === null || (avoid === null && output.tick >= this.shunnedUntilTick)) return drawn;
      if (drawn.shunnedUntilTick <= output.tick && !avoid?.includes(drawn)) return drawn;
      return this.other(avoid, false) ?? (avoid === null ? null : this.other(avoid, true)) ?? drawn;
    }
    const { ip, port } = destination;
    if (ip === '' || port === 0) return null;
    const key = `${ip}:${port}`;
    let host = this.hosts.get(key);
    if (host === undefined) {
      if (this.hosts.size >= maxPassingHosts) return null;
      // At the pod's own address the proxy itself listens.
      const to = ip === this.interception?.host ? this.interception.application : ip;
      const endpoint: Endpoint = {
        host: to,
        port,
        weight: 1,
        health: 'healthy',
        transportMatch: {},
        workload: '',
        hostname: '',
        metadata: null,
        check: null,
      };
      host = new Host(key, endpoint, this.config);
      this.hosts.set(key, host);
    }
    host.lastUsedTick = output.tick;
    return host;
  }

  /** A response of the host asks not to be sent more (x-envoy-immediate-health-check-fail). */
  failNow(host: Host): void {
    this.checks?.failNow(host);
  }

  get outlierAverages(): OutlierDetection['averages'] | null {
    return this.outlier?.averages ?? null;
  }

  get judgesAnswers(): boolean {
    return this.outlier !== null;
  }

  /** Connects are judged apart from answers. */
  get judgesConnects(): boolean {
    return this.outlier !== null && this.config.outlier!.splitExternalLocal;
  }

  report(host: Host, outcome: Outcome): void {
    if (this.outlier === null) return;
    host.lastUsedTick = output.tick;
    this.outlier.report(host, outcome, host.lastUsedTick);
  }

  /** Has no host at all. */
  get empty(): boolean {
    return this.hosts.size === 0;
  }

  *members(): IterableIterator<Host> {
    yield* this.hosts.values();
  }

  /** Weights change by themselves while some host is new. */
  private startsSlowly(now: number): boolean {
    const { slowStart } = this.config;
    if (slowStart === null) return false;
    for (const host of this.hosts.values()) if (now - host.sinceTick < slowStart.windowMs + 1000) return true;
    return false;
  }

  /** About once a second: forgets passing hosts, lets ejected hosts back, asks DNS again. */
  protected review(now: number): void {
    if (this.config.discovery === 'originalDst')
      for (const [key, host] of this.hosts)
        if (host.active === 0 && host.connections === 0 && now - host.lastUsedTick > this.config.cleanupMs)
          this.hosts.delete(key);
    if (this.startsSlowly(now)) this.repick();
    if (this.byName) this.resolution.review(this.config, now);
  }
}
