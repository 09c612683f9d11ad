/** A thread that serves: its own table, connections and counters; the main thread tells it what to serve (workers.ts). */
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { emptyTable } from '../config/compile.ts';
import { runtimeValues } from '../config/runtime-values.ts';
import { SecretStore } from '../config/secret-store.ts';
import { forgetStart } from '../forget-start.ts';
import { flushLogFilesSync, forwardLogLines } from '../telemetry/log-file.ts';
import { type AskKind, type Asks, type Order, received, type Word, type WorkerStart } from './messages.ts';
import { OneThread } from './one-thread.ts';
import { ReceivedTables } from './table-image.ts';

async function serve(port: MessagePort, start: WorkerStart): Promise<void> {
  const say = (word: Word) => port.postMessage(word);
  const unexpected = (error: unknown) =>
    say({ kind: 'unexpected', text: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.on('uncaughtException', unexpected);
  process.on('unhandledRejection', unexpected);
  forwardLogLines((path, lines) => say({ kind: 'lines', path, lines }));

  const takeValues = (values: ReadonlyMap<string, string>) =>
    runtimeValues.set([{ name: 'main', values: new Map(values) }], null);
  takeValues(start.runtimeValues);
  const secrets = new SecretStore();
  for (const [name, secret] of start.secrets) secrets.set(name, received(secret));
  const ports = new Map<string, number>();
  const plane = await OneThread.open(start.settings, emptyTable, secrets, {
    index: start.index,
    active: new Int32Array(start.active),
    ports,
  });
  const tables = new ReceivedTables(secrets);
  forgetStart();

  const answers: { [K in AskKind]: (given: Asks[K][0]) => Promise<Asks[K][1]> } = {
    async apply({ image, ports: chosen }) {
      for (const [place, at] of chosen) ports.set(place, at);
      let fault: string | null = null;
      try {
        await plane.apply(tables.table(image));
      } catch (error) {
        fault = (error as Error).message;
      }
      return { fault, ports: plane.runtime.ports, listeners: plane.listeners };
    },
    drain: ({ limitMs, minimumMs }) => plane.drain(limitMs, minimumMs).then(() => null),
    counts: ({ unusedClusters }) => plane.counts(unusedClusters),
    clustersPage: ({ query, fixed }) => plane.clustersPage(query, fixed),
    settled: () => Promise.resolve(null),
    async close() {
      await plane.close();
      flushLogFilesSync();
      return null;
    },
  };

  port.on('message', (order: Order) => {
    switch (order.kind) {
      case 'ask':
        (answers[order.what] as (given: unknown) => Promise<unknown>)(order.given).then(
          (answer) => say({ kind: 'answer', id: order.id, answer }),
          unexpected,
        );
        return;
      case 'secret':
        if (order.secret === null) secrets.delete(order.name);
        else secrets.set(order.name, received(order.secret));
        return;
      case 'runtime':
        takeValues(order.values);
        return;
      case 'beginDrain':
        plane.beginDrain(order.request);
        return;
      case 'failHealth':
        plane.failHealth(order.failed);
        return;
      case 'closeListeners':
        plane.closeListeners(order.inboundOnly);
        return;
      case 'resetCounters':
        plane.resetCounters();
    }
  });
}

/** Whether this thread was started to serve. */
export const isWorker = (): boolean =>
  !isMainThread && (workerData as WorkerStart | null)?.kind === 'lateen proxy worker';

if (isWorker()) await serve(parentPort!, workerData as WorkerStart);
