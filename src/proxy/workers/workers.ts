import { Worker } from 'node:worker_threads';
import type { Reply } from '../admin/http-server.ts';
import { mergedClusters } from '../admin/merged-clusters.ts';
import { runtimeValues } from '../config/runtime-values.ts';
import type { SecretStore } from '../config/secret-store.ts';
import type { Table } from '../config/table.ts';
import type { DrainRequest } from '../net/draining.ts';
import type { Log } from '../telemetry/log.ts';
import { logFile } from '../telemetry/log-file.ts';
import { mergeStats } from '../telemetry/stat.ts';
import type { BoundPort, Counts, DataPlane, PlaneSettings } from './data-plane.ts';
import { type AskKind, type Asks, type Order, sendable, type Word, type WorkerStart } from './messages.ts';
import { TableImages } from './table-image.ts';

/** From sources a file of its own; the bundle of the proxy is one file, which knows by its `workerData` what it is to be. */
const program = new URL(
  import.meta.url.endsWith('/workers/workers.ts') ? './worker.ts' : import.meta.url,
  import.meta.url,
);

/** A worker that falls again and again is not started again at once. */
const firstPauseMs = 100;
const longestPauseMs = 10_000;
/** One that has lived so long begins with the first pause again. */
const steadyMs = 60_000;
/** A worker that says nothing for so long is left out of an admin page. */
const answerMs = 10_000;
/** Longest warming of a listener, and more. */
const applyMs = 60_000;

/** One thread that serves. */
class Thread {
  readonly worker: Worker;
  readonly images: TableImages = new TableImages();
  readonly startedTick: number = performance.now();
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #next = 0;
  gone = false;

  constructor(start: WorkerStart, onWord: (word: Word) => void) {
    this.worker = new Worker(program, { workerData: start });
    this.worker.on('message', (word: Word) => {
      if (word.kind !== 'answer') return onWord(word);
      this.#waiting.get(word.id)?.(word.answer);
      this.#waiting.delete(word.id);
    });
  }

  tell(order: Order): void {
    if (!this.gone) this.worker.postMessage(order);
  }

  /** Null when the worker is gone, or silent for longer than `limitMs`. */
  ask<K extends AskKind>(what: K, given: Asks[K][0], limitMs: number): Promise<Asks[K][1] | null> {
    if (this.gone) return Promise.resolve(null);
    const id = this.#next++;
    const { promise, resolve } = Promise.withResolvers<Asks[K][1] | null>();
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      resolve(null);
    }, limitMs);
    this.#waiting.set(id, (answer) => {
      clearTimeout(timer);
      resolve(answer as Asks[K][1] | null);
    });
    this.tell({ kind: 'ask', id, what, given });
    return promise;
  }

  /** Nobody answers any more. */
  lost(): void {
    this.gone = true;
    for (const resolve of this.#waiting.values()) resolve(null);
    this.#waiting.clear();
  }
}

/**
 * The data path on several threads that share its ports: the kernel deals connections out (SO_REUSEPORT). Each has its own table,
 * pools, circuit breakers and outlier detection; counters are added up when someone reads them. One that falls is replaced.
 */
export class Workers implements DataPlane {
  readonly concurrency: number;
  table: Table;
  /** What callers were asked, for workers that come later. */
  #drains: DrainRequest[] = [];
  replaced = 0;
  readonly #settings: PlaneSettings;
  readonly #secrets: SecretStore;
  readonly #log: Log;
  readonly #threads: Thread[] = [];
  readonly #active: SharedArrayBuffer;
  readonly #pausesMs: number[];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #unwatch: () => void;
  #unhealthy = false;
  #closed: 'no' | 'inbound' | 'all' = 'no';
  #ended = false;
  #listeners: readonly BoundPort[] = [];
  #ports: ReadonlyMap<string, number> = new Map();
  #applying: Promise<unknown> = Promise.resolve();

  private constructor(settings: PlaneSettings, table: Table, secrets: SecretStore, concurrency: number, log: Log) {
    this.#settings = settings;
    this.table = table;
    this.#secrets = secrets;
    this.concurrency = concurrency;
    this.#log = log;
    this.#active = new SharedArrayBuffer(concurrency * Int32Array.BYTES_PER_ELEMENT);
    this.#pausesMs = Array<number>(concurrency).fill(firstPauseMs);
    for (let i = 0; i < concurrency; i++) this.#threads.push(this.#start(i));
    this.#unwatch = secrets.watch((name, secret) =>
      this.#tell({ kind: 'secret', name, secret: secret && sendable(secret) }),
    );
    runtimeValues.onChange = (values) => this.#tell({ kind: 'runtime', values });
  }

  /** Rejects when a listener of the table cannot be bound. */
  static async open(
    settings: PlaneSettings,
    table: Table,
    secrets: SecretStore,
    concurrency: number,
    log: Log,
  ): Promise<Workers> {
    const workers = new Workers(settings, table, secrets, concurrency, log);
    try {
      await workers.apply(table);
    } catch (error) {
      await workers.close();
      throw error;
    }
    return workers;
  }

  #start(index: number): Thread {
    const thread = new Thread(
      {
        kind: 'lateen proxy worker',
        index,
        settings: this.#settings,
        secrets: this.#secrets.names.map((name) => [name, sendable(this.#secrets.get(name)!)]),
        runtimeValues: runtimeValues.values,
        active: this.#active,
      },
      (word) => {
        if (word.kind === 'lines') logFile(word.path)?.append(word.lines);
        else if (word.kind === 'unexpected') this.#log.error(`worker ${index}: unexpected: ${word.text}`);
      },
    );
    thread.worker.on('error', (error) => this.#log.error(`worker ${index}: ${(error as Error).message}`));
    thread.worker.on('exit', () => {
      thread.lost();
      if (!this.#ended) this.#replace(index, thread);
    });
    return thread;
  }

  /** Its connections are lost; those of the others are not. */
  #replace(index: number, fallen: Thread): void {
    new Int32Array(this.#active)[index] = 0;
    if (performance.now() - fallen.startedTick > steadyMs) this.#pausesMs[index] = firstPauseMs;
    const pauseMs = this.#pausesMs[index];
    this.#pausesMs[index] = Math.min(longestPauseMs, pauseMs * 2);
    this.replaced++;
    this.#log.error(`worker ${index} fell; another takes its place in ${pauseMs} ms`);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const thread = this.#start(index);
      this.#threads[index] = thread;
      for (const request of this.#drains) thread.tell({ kind: 'beginDrain', request });
      if (this.#unhealthy) thread.tell({ kind: 'failHealth', failed: true });
      void this.#applyTo(thread).then((answer) => {
        if (this.#closed !== 'no') thread.tell({ kind: 'closeListeners', inboundOnly: this.#closed === 'inbound' });
        if (answer?.fault) this.#log.error(`worker ${index}: ${answer.fault}`);
        if (answer !== null) this.#log.info(`worker ${index} serves again`);
      });
    }, pauseMs);
    this.#timers.add(timer);
  }

  #tell(order: Order): void {
    for (const thread of this.#threads) thread.tell(order);
  }

  async #askAll<K extends AskKind>(what: K, given: Asks[K][0], limitMs = answerMs): Promise<Asks[K][1][]> {
    const answers = await Promise.all(this.#threads.map((thread) => thread.ask(what, given, limitMs)));
    return answers.filter((answer) => answer !== null);
  }

  #applyTo(thread: Thread): Promise<Asks['apply'][1] | null> {
    const given = { image: thread.images.of(this.table), ports: this.#ports };
    return thread.ask('apply', given, applyMs);
  }

  get listeners(): readonly BoundPort[] {
    return this.#listeners;
  }

  portOf(listener: string): number {
    return this.#ports.get(listener) ?? 0;
  }

  /** The first worker goes ahead only where the system is to choose a port that the others must take too. */
  apply(table: Table): Promise<void> {
    this.table = table;
    const chosen = [...table.listeners.values()].some(
      ({ name, bind }) => bind !== null && bind.port === 0 && !this.#ports.has(name),
    );
    const applied = this.#applying.then(async () => {
      const [first, ...others] = this.#threads;
      const leading = this.#applyTo(first).then((answer) => {
        this.#ports = answer?.ports ?? this.#ports;
        this.#listeners = answer?.listeners ?? this.#listeners;
        return answer;
      });
      if (chosen) await leading;
      const answers = await Promise.all([leading, ...others.map((thread) => this.#applyTo(thread))]);
      const faults = new Set(answers.flatMap((answer) => (answer?.fault ? [answer.fault] : [])));
      if (faults.size > 0) throw new Error([...faults].join('; '));
    });
    this.#applying = applied.catch(() => {});
    return applied;
  }

  get draining(): boolean {
    return this.#drains.length > 0;
  }

  beginDrain(request: DrainRequest): void {
    this.#drains = [...this.#drains.slice(-1), request];
    this.#tell({ kind: 'beginDrain', request });
  }

  failHealth(failed: boolean): void {
    this.#unhealthy = failed;
    this.#tell({ kind: 'failHealth', failed });
  }

  async drain(limitMs: number, minimumMs: number): Promise<void> {
    this.#drains = [{ inboundOnly: false, spanMs: 0 }];
    this.#closed = 'all';
    await this.#askAll('drain', { limitMs, minimumMs }, limitMs + answerMs);
  }

  closeListeners(inboundOnly: boolean): void {
    if (this.#closed !== 'all') this.#closed = inboundOnly ? 'inbound' : 'all';
    this.#tell({ kind: 'closeListeners', inboundOnly });
  }

  async counts(unusedClusters: boolean): Promise<Counts> {
    const counts = await this.#askAll('counts', { unusedClusters });
    return {
      stats: mergeStats(counts.map(({ stats }) => stats)),
      istio: mergeStats(counts.map(({ istio }) => istio)),
    };
  }

  async clustersPage(query: string, fixed: readonly string[]): Promise<Reply> {
    return mergedClusters(await this.#askAll('clustersPage', { query, fixed }));
  }

  resetCounters(): void {
    this.#tell({ kind: 'resetCounters' });
  }

  async settled(): Promise<void> {
    await this.#askAll('settled', null);
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#unwatch();
    runtimeValues.onChange = null;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#askAll('close', null);
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  /** Open connections of each worker. */
  get connections(): number[] {
    return [...new Int32Array(this.#active)];
  }

  /** The worker itself, for tests of its loss. */
  thread(index: number): Worker {
    return this.#threads[index].worker;
  }
}
