/** `lateen operator`: reconciles IstioInstallations while it leads; answers its probes always. */
import { createServer, type Server } from 'node:http';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import pino from 'pino';
import type { IstioInstallation } from '../api/installation/istio-installation.ts';
import { connect } from '../kube/connect.ts';
import { Informer } from '../kube/informer.ts';
import { Lease } from '../kube/lease.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import { version } from '../lib/version.ts';
import { installations } from './installations.ts';
import { LiveObjects } from './live-objects.ts';
import { Reconciler } from './reconcile.ts';

/** Everything is looked at again so often, for what no watch tells: a namespace that was not ours and is gone. */
const resyncMs = 10 * 60_000;

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      namespace: { type: 'string', default: process.env.POD_NAMESPACE ?? 'lateen-operator' },
      healthPort: { type: 'string', default: '8081' },
      logLevel: { type: 'string', default: process.env.LOG_LEVEL ?? 'info' },
    },
  });
  const log = pino({ level: values.logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime });
  const ending = new AbortController();
  const end = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'ending');
    ending.abort();
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);

  const client = await connect({
    kubeconfig: values.kubeconfig,
    context: values.context,
    userAgent: `lateen-operator/${version}`,
  });
  const onError = (error: Error) => log.warn({ error: error.message }, 'will be tried again');
  const identity = `${process.env.POD_NAME ?? hostname()}_${process.pid}`;
  const lease = new Lease({
    client,
    namespace: values.namespace,
    name: 'lateen-operator',
    identity,
    onError,
    lead: async (signal) => {
      log.info({ identity }, 'leading');
      await lead(signal);
      log.info({ identity }, 'leading no more');
    },
  });

  async function lead(signal: AbortSignal): Promise<void> {
    const known = new Informer<IstioInstallation>(client, installations, { onError });
    const live = new LiveObjects({
      client,
      onError,
      onChange: (owner) => (owner === null ? addAll() : queue.add(owner)),
    });
    const reconciler = new Reconciler({ client, live, installations: known, log });
    const queue = new WorkQueue({
      concurrency: 2,
      process: (name, ended) => reconciler.reconcile(name, ended),
      onError: (installation, error, retryInMs) =>
        log.warn({ installation, error: error.message, retryInMs: Math.round(retryInMs) }, 'not reconciled'),
    });
    const addAll = () => {
      for (const { metadata } of known.values()) queue.add(metadata.name ?? '');
    };
    known.on({
      add: (_installation, name) => queue.add(name),
      update: (_installation, _previous, name) => queue.add(name),
      // A removal that it kept from being the last may be waiting.
      delete: addAll,
    });
    await Promise.all([known.start().synced, live.start()]);
    if (!signal.aborted) queue.start();
    const resync = setInterval(addAll, resyncMs);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    clearInterval(resync);
    await Promise.all([queue.stop(), known.stop(), live.stop()]);
  }

  const health = await serveHealth(Number(values.healthPort));
  log.info({ version, server: client.server }, 'started');
  await lease.run(ending.signal);
  health.closeAllConnections();
  health.close();
  client.close();
  process.off('SIGTERM', end);
  process.off('SIGINT', end);
  return 0;
}

/** `/healthz` and `/readyz`: the process turns; who leads does not matter to its readiness. */
async function serveHealth(port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const known = request.url === '/healthz' || request.url === '/readyz';
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain' }).end(known ? 'ok\n' : 'not found\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
  return server;
}
