/** `lateen proxy`: the data plane, out of an Envoy bootstrap file or as the sidecar or gateway of a pod. */
import { parseArgs } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { parseDurationMs } from '../lib/duration.ts';
import type { FileOptions } from './agent/file.ts';
import type { Lifecycle } from './agent/lifecycle.ts';
import { forgetStart, giveBackPages } from './forget-start.ts';
import { createLog, type Log, parseLevel } from './telemetry/log.ts';
import { flushLogFiles, flushLogFilesSync } from './telemetry/log-file.ts';

const maxConcurrency = 256;
/** As Envoy: --drain-time-s; the end of the process does not wait so long. */
const defaultDrainMs = 600_000;

const usage = `Usage:
  lateen proxy -c FILE [--drain-time 5s] [--concurrency N]
                                                runs what an Envoy bootstrap file (YAML or JSON) describes, on N threads
                                                (0: one for each core; 1 unless told)
  lateen proxy -c FILE --mode validate          says what in the file is wrong or not supported
  lateen proxy sidecar|router [--domain NAME]   runs as the proxy of a pod, from Istio's environment
`;

/** Flags of istio-proxy and envoy that configure nothing here are taken and ignored: injected manifests carry them. */
const options = {
  config: { type: 'string', short: 'c' },
  mode: { type: 'string' },
  'drain-time': { type: 'string' },
  /** Envoy's name, in seconds. */
  'drain-time-s': { type: 'string' },
  'drain-strategy': { type: 'string' },
  /** Of hot restarts, which there are none of. */
  'parent-shutdown-time-s': { type: 'string' },
  domain: { type: 'string' },
  log_output_level: { type: 'string' },
  log_as_json: { type: 'boolean' },
  'log-level': { type: 'string', short: 'l' },
  proxyLogLevel: { type: 'string' },
  proxyComponentLogLevel: { type: 'string' },
  /** Threads that serve; a pod has it in its ProxyConfig. */
  concurrency: { type: 'string' },
  serviceCluster: { type: 'string' },
  stsPort: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

// The bundle is one file: a worker of the data path begins here too (workers/workers.ts).
if (!isMainThread) await import('./workers/worker.ts');

/** Exit codes: 0 ended as asked, 1 failed, 2 wrong usage or a file that is refused. */
export async function main(args: string[]): Promise<number> {
  let parsed: ReturnType<typeof parseArgs<{ args: string[]; options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    return refuse(`lateen proxy: ${(error as Error).message}\n${usage}`);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const given = (values.log_output_level ?? values['log-level'] ?? 'info').split(',')[0];
  const log = createLog(parseLevel(given.slice(given.lastIndexOf(':') + 1)) ?? 'info', values.log_as_json);
  const drainMs = parseDurationMs(values['drain-time'] ?? `${values['drain-time-s'] ?? 5}s`);
  if (drainMs === null)
    return refuse(
      `lateen proxy: --drain-time ${values['drain-time'] ?? values['drain-time-s']} is no duration such as 5s\n`,
    );
  const strategy = values['drain-strategy'] ?? 'gradual';
  if (strategy !== 'gradual' && strategy !== 'immediate')
    return refuse(`lateen proxy: --drain-strategy ${strategy} is neither gradual nor immediate\n`);
  const drain = {
    timeMs: values['drain-time'] || values['drain-time-s'] ? drainMs : defaultDrainMs,
    strategy,
  } as const;
  const concurrency = Number(values.concurrency ?? 1);
  if (!Number.isInteger(concurrency) || concurrency < 0 || concurrency > maxConcurrency)
    return refuse(
      `lateen proxy: --concurrency ${values.concurrency} is no number of threads from 0 to ${maxConcurrency}\n`,
    );
  // Whatever ends the process, the lines that wait are written.
  process.on('exit', flushLogFilesSync);
  process.on('uncaughtException', (error) => log.error(`unexpected: ${error.stack ?? error.message}`));
  process.on('unhandledRejection', (error) => log.error(`unexpected: ${error instanceof Error ? error.stack : error}`));
  try {
    if (values.config)
      return await runFile(values.config, values.mode === 'validate', { drainMs, drain, concurrency }, log);
    const [type] = positionals;
    if (type === 'sidecar' || type === 'router') return await runPod(type, values.domain ?? null, log);
  } catch (error) {
    log.error((error as Error).message);
    return 1;
  }
  return refuse(usage);
}

function refuse(text: string): number {
  process.stderr.write(text);
  return 2;
}

async function runFile(path: string, validate: boolean, options: FileOptions, log: Log): Promise<number> {
  const { readBootstrap, BootstrapError } = await import('./config/bootstrap.ts');
  let bootstrap: ReturnType<typeof readBootstrap>;
  try {
    bootstrap = readBootstrap(path);
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error;
    return refuse(`${error.message}\n`);
  }
  if (validate) {
    process.stdout.write(`configuration '${path}' OK\n`);
    return 0;
  }
  const { startFromFile } = await import('./agent/file.ts');
  const own = bootstrap.logAsJson ? createLog(log.level, true) : log;
  giveBackPages();
  const proxy = await startFromFile(bootstrap, options, own);
  own.info(`serving ${path}: ${proxy.plane.listeners.map(({ name, port }) => `${name} on ${port}`).join(', ')}`);
  return untilEnded(proxy);
}

async function runPod(type: 'sidecar' | 'router', domain: string | null, log: Log): Promise<number> {
  const [{ readEnvironment }, { startPod }] = await Promise.all([
    import('./agent/environment.ts'),
    import('./agent/pod.ts'),
  ]);
  giveBackPages();
  return untilEnded(await startPod(await readEnvironment({ type, domain }, process.env), log));
}

async function untilEnded(proxy: { lifecycle: Lifecycle; ended: Promise<void> }): Promise<number> {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => proxy.lifecycle.terminate());
  forgetStart();
  await proxy.ended;
  await flushLogFiles();
  // What is still open belongs to callers that did not leave; nobody waits for them.
  process.exit(0);
}
