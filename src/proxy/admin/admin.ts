/** The pages on 127.0.0.1:15000 that people and istioctl read, under Envoy's paths and with its parameters. */
import { version } from '../../lib/version.ts';
import { runtimeValues } from '../config/runtime-values.ts';
import type { SecretStore } from '../config/secret-store.ts';
import { questionParameters } from '../decide/question.ts';
import { type Log, parseLevel } from '../telemetry/log.ts';
import { reopenLogFiles } from '../telemetry/log-file.ts';
import type { Stat } from '../telemetry/stat.ts';
import type { DataPlane } from '../workers/data-plane.ts';
import { certificates } from './certs-page.ts';
import type { DumpSource } from './config-dump.ts';
import { type Handler, json, type Reply, type Routes, text } from './http-server.ts';
import { helpText, type Page, type Pages, routesOf, unknownPage } from './pages.ts';
import { prometheusPage, statsPage } from './stats-page.ts';

export interface AdminOptions {
  plane: DataPlane;
  secrets: SecretStore;
  log: Log;
  /** Of the bootstrap file, or of the pod: as /server_info and /config_dump tell it. */
  node: object;
  /** What was given on the command line, by Envoy's names. */
  commandLine: object;
  dump(): DumpSource;
  /** `metrics` is Prometheus text beyond `stats`. */
  counts(): Promise<{ stats: Stat[]; metrics: string }>;
  state(): ServerState;
  /** From now on readiness is refused (true), or no longer. */
  failHealth(failed: boolean): void;
  /** Lets callers go, stays up. `graceful` leaves the listeners open for the time of draining, or for good with `skipExit`. */
  drain(how: { graceful: boolean; skipExit: boolean; inboundOnly: boolean }): void;
  /** Ends the process. */
  quit(): void;
}

/** Of Envoy's states those that this proxy has. */
export type ServerState = 'LIVE' | 'DRAINING' | 'PRE_INITIALIZING' | 'INITIALIZING';

export interface Admin {
  readonly routes: Routes;
  /** Answers a path that is none of `routes`. */
  readonly unknown: Handler;
}

const flag = (url: URL, name: string): boolean => url.searchParams.has(name);

const filterParams = [
  ['usedonly', 'Only include stats that have been written since the start'],
  ['filter', 'Regular expression (RE2) for filtering stats'],
  ['invert_filter', 'Invert the filter regex'],
] as const;

export function admin(options: AdminOptions): Admin {
  const { plane } = options;
  const does = (help: string, act: (url: URL) => void, params: Page['params'] = []): Page => ({
    help,
    params,
    post: true,
    answer: async (_request, url) => {
      act(url);
      await plane.settled();
      return text('OK\n');
    },
  });
  const pages: Pages = {
    '/': { help: 'Admin home page', answer: () => text(helpText(pages)) },
    '/help': { help: 'print out list of admin commands', answer: () => text(helpText(pages)) },
    '/ready': {
      help: 'print server state, return 200 if LIVE, otherwise return 503',
      answer: () => text(`${options.state()}\n`, options.state() === 'LIVE' ? 200 : 503),
    },
    '/stats': {
      help: 'print server stats',
      params: [
        ...filterParams,
        ['format', 'Format to use; One of (text, json, prometheus)'],
        ['type', 'Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)'],
        ['histogram_buckets', 'Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)'],
      ],
      answer: async (_request, url) => {
        const { stats, metrics } = await options.counts();
        return url.searchParams.get('format') === 'prometheus'
          ? prometheusPage(stats, url.searchParams, metrics)
          : statsPage(stats, url.searchParams);
      },
    },
    '/stats/prometheus': {
      help: 'print server stats in prometheus format',
      params: filterParams,
      answer: async (_request, url) => {
        const { stats, metrics } = await options.counts();
        return prometheusPage(stats, url.searchParams, metrics);
      },
    },
    '/clusters': {
      help: 'upstream cluster status',
      params: [
        ['format', 'File format to use; One of (text, json)'],
        ['filter', 'Regular expression (RE2) for filtering clusters by name'],
      ],
      answer: (_request, url) =>
        plane.clustersPage(
          `${url.searchParams}`,
          [...(options.dump().fixed?.all('cluster') ?? [])].map(([name]) => name),
        ),
    },
    '/listeners': {
      help: 'print listener info',
      params: [['format', 'File format to use; One of (text, json)']],
      answer: (_request, url) => listenersPage(plane, url.searchParams.get('format')),
    },
    '/config_dump': {
      help: 'dump current configs',
      params: [
        ['resource', 'The resource to dump'],
        ['mask', 'The mask to apply, a field mask; with resource, to every element'],
        ['name_regex', 'Dump only configurations whose names match the regular expression'],
        ['include_eds', 'Dump endpoints as well'],
      ],
      answer: async (_request, url) => {
        const { configDump } = await import('./config-dump.ts');
        const dump = configDump(options.dump(), url.searchParams);
        return 'fault' in dump ? text(dump.fault, dump.status) : json(dump.body);
      },
    },
    '/explain': {
      help: 'what becomes of a request, and by which rules; nothing is sent',
      params: questionParameters,
      answer: async (_request, url) => (await import('./explain-page.ts')).explainPage(plane.table, url.searchParams),
    },
    '/certs': { help: 'print certs on machine', answer: () => json({ certificates: certificates(options.secrets) }) },
    '/server_info': { help: 'print server version/status information', answer: () => json(serverInfo(options)) },
    '/runtime': { help: 'print runtime values', answer: () => json(runtimeValues.shown) },
    '/runtime_modify': {
      help: 'Adds or modifies runtime values as passed in query parameters; an empty value deletes what was added',
      post: true,
      answer: (_request, url) => modifyRuntime(plane, url.searchParams),
    },
    '/memory': { help: 'print current allocation/heap usage', answer: () => json(memory()) },
    '/init_dump': {
      help: 'dump what the start still waits for',
      answer: () =>
        json(!options.state().endsWith('INITIALIZING') ? {} : { unready_targets_dumps: [{ name: 'server' }] }),
    },
    '/hot_restart_version': { help: 'print the hot restart compatibility version', answer: () => text('disabled') },
    '/logging': {
      help: 'query/change logging levels',
      params: [
        ['paths', 'Change levels by <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>'],
        ['level', 'desired logging level; One of (trace, debug, info, warning, error, critical, off)'],
      ],
      post: true,
      answer: (_request, url) => logging(options.log, url.searchParams),
    },
    '/drain_listeners': does(
      'drain listeners',
      (url) =>
        options.drain({
          graceful: flag(url, 'graceful'),
          skipExit: flag(url, 'skip_exit'),
          inboundOnly: flag(url, 'inboundonly'),
        }),
      [
        ['graceful', 'enter a graceful drain period prior to closing listeners'],
        ['skip_exit', 'drain the connections but never stop the listeners'],
        ['inboundonly', 'Drains all inbound listeners alone'],
      ],
    ),
    '/healthcheck/fail': does('cause the server to fail health checks', () => options.failHealth(true)),
    '/healthcheck/ok': does('cause the server to pass health checks', () => options.failHealth(false)),
    '/reset_counters': does('reset all counters to zero', () => plane.resetCounters()),
    '/reopen_logs': does('reopen access logs', () => reopenLogFiles()),
    '/quitquitquit': {
      help: 'exit the server',
      post: true,
      answer: () => {
        options.quit();
        return text('OK\n');
      },
    },
  };
  return { routes: routesOf(pages), unknown: () => unknownPage(pages) };
}

function listenersPage(plane: DataPlane, format: string | null): Reply {
  const listeners = plane.listeners.map(({ name, port }) => ({
    name,
    host: plane.table.listeners.get(name)?.address.host ?? '0.0.0.0',
    port,
  }));
  if (format !== 'json') return text(listeners.map(({ name, host, port }) => `${name}::${host}:${port}\n`).join(''));
  return json({
    listener_statuses: listeners.map(({ name, host, port }) => ({
      name,
      local_address: { socket_address: { address: host, port_value: port } },
    })),
  });
}

const modifyUsage = `usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN
use an empty value to remove a previously added override`;

async function modifyRuntime(plane: DataPlane, query: URLSearchParams): Promise<Reply> {
  if (query.size === 0) return text(modifyUsage, 400);
  const fault = runtimeValues.override(query);
  if (fault !== null) return text(fault, 503);
  await plane.settled();
  return text('OK\n');
}

/** V8's figures under the names of Envoy's allocator; bytes as text, as 64 bits are in JSON. */
function memory(): object {
  const { heapUsed, heapTotal, external, rss } = process.memoryUsage();
  return {
    allocated: `${heapUsed + external}`,
    heap_size: `${heapTotal}`,
    pageheap_unmapped: '0',
    pageheap_free: `${heapTotal - heapUsed}`,
    total_thread_cache: '0',
    total_physical_bytes: `${rss}`,
  };
}

const loggingUsage = `
usage: /logging?level=<level> (change all levels)
usage: /logging?paths=all:<level> (the same)
levels: trace debug info warning error critical off
`;

/** This proxy has one logger, which it calls `all`. */
function logging(log: Log, query: URLSearchParams): Reply {
  for (const [name, value] of query) {
    const pairs = name === 'paths' ? value.split(',').map((pair) => pair.split(':')) : [[name, value]];
    for (const [logger, given] of pairs) {
      const level = parseLevel(given ?? '');
      if (logger !== 'level' && logger !== 'all') return text(`error: unknown logger name\n${loggingUsage}`, 400);
      if (level === null) return text(`error: unknown logger level\n${loggingUsage}`, 400);
      log.level = level;
    }
  }
  return text(`active loggers:\n  all: ${log.level}\n\n`);
}

function serverInfo(options: AdminOptions): object {
  const uptime = `${Math.floor(process.uptime())}s`;
  return {
    version: `lateen/${version}/node-${process.version}`,
    state: options.state(),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    hot_restart_version: 'disabled',
    command_line_options: options.commandLine,
    node: options.node,
    pid: process.pid,
  };
}
