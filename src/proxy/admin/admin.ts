/** The pages on 127.0.0.1:15000 that people and istioctl read, under Envoy's paths. */
import { X509Certificate } from 'node:crypto';
import { version } from '../../lib/version.ts';
import type { SecretStore } from '../config/secret-store.ts';
import type { Runtime } from '../runtime.ts';
import { type Log, parseLevel } from '../telemetry/log.ts';
import { prometheusText, type Stat, statsText } from '../telemetry/proxy-stats.ts';
import type { DumpSource } from './config-dump.ts';
import { type Handler, json, post, type Reply, type Routes, text } from './http-server.ts';

export interface AdminOptions {
  runtime: Runtime;
  secrets: SecretStore;
  log: Log;
  nodeId: string;
  dump(): DumpSource;
  stats(): Stat[];
  /** Prometheus text beyond `stats`. */
  metrics(): string;
  isLive(): boolean;
  /** From now on readiness is refused (true), or no longer. */
  failHealth(failed: boolean): void;
  /** Lets callers go, stays up. */
  drain(): void;
  /** Ends the process. */
  quit(): void;
}

export function adminRoutes(options: AdminOptions): Routes {
  const { runtime, log } = options;
  const ok = (act: () => void): Handler =>
    post(() => {
      act();
      return text('OK\n');
    });
  const routes: Record<string, Handler> = {
    '/': () => text(`${Object.keys(routes).sort().join('\n')}\n`),
    '/help': () => text(`${Object.keys(routes).sort().join('\n')}\n`),
    '/ready': () => (options.isLive() ? text('LIVE\n') : text('PRE_INITIALIZING\n', 503)),
    '/stats': (_request, url) => stats(options, url),
    '/stats/prometheus': () => text(metricsText(options)),
    '/clusters': (_request, url) =>
      url.searchParams.get('format') === 'json' ? json(clusterStatuses(runtime)) : text(clustersText(runtime)),
    '/listeners': () =>
      text(runtime.stats.listeners.map(({ name, port }) => `${name}::${addressOf(runtime, name, port)}\n`).join('')),
    '/config_dump': async (_request, url) => {
      const { configDump } = await import('./config-dump.ts');
      const dump = configDump(options.dump()) as { configs: Array<{ '@type': string }> };
      const wanted = url.searchParams.get('resource');
      if (!wanted) return json(dump);
      const configs = dump.configs.filter((section) => Object.hasOwn(section, wanted));
      return json({ configs: configs.flatMap((section) => (section as unknown as Record<string, object[]>)[wanted]) });
    },
    '/certs': () => json({ certificates: certificates(options.secrets) }),
    '/server_info': () => json(serverInfo(options)),
    '/memory': () => json(process.memoryUsage()),
    '/logging': post((_request, url) => {
      const given = url.searchParams.get('level') ?? [...url.searchParams.values()][0];
      const level = given === undefined ? log.level : parseLevel(given);
      if (!level) return text(`${given} is no level: debug, info, warning, error, off\n`, 400);
      log.level = level;
      return text(`active loggers:\n  all: ${level}\n`);
    }),
    '/drain_listeners': ok(() => options.drain()),
    '/healthcheck/fail': ok(() => options.failHealth(true)),
    '/healthcheck/ok': ok(() => options.failHealth(false)),
    '/quitquitquit': ok(() => options.quit()),
  };
  return routes;
}

export function metricsText(options: Pick<AdminOptions, 'stats' | 'metrics'>): string {
  return options.metrics() + prometheusText(options.stats());
}

function stats(options: AdminOptions, url: URL): Reply {
  const pattern = url.searchParams.get('filter');
  if (url.searchParams.get('format') === 'prometheus') return text(metricsText(options));
  let filter: RegExp | null = null;
  try {
    filter = pattern && pattern.length < 200 ? new RegExp(pattern) : null;
  } catch (error) {
    return text(`${(error as Error).message}\n`, 400);
  }
  const list = options.stats();
  const usedOnly = url.searchParams.has('usedonly');
  if (url.searchParams.get('format') === 'json')
    return json({
      stats: list.filter(({ name }) => !filter || filter.test(name)).map(({ name, value }) => ({ name, value })),
    });
  return text(statsText(list, filter, usedOnly));
}

function addressOf(runtime: Runtime, name: string, port: number): string {
  return `${runtime.table.listeners.get(name)?.address.host ?? '0.0.0.0'}:${port}`;
}

function clustersText(runtime: Runtime): string {
  let out = '';
  for (const pool of runtime.clusterPools()) {
    const { config } = pool;
    out += `${config.name}::observability_name::${config.altStatName || config.name}\n`;
    out += `${config.name}::default_priority::max_connections::${config.circuit.maxConnections}\n`;
    for (const host of pool.members()) {
      const place = `${config.name}::${host.address.ip}:${host.address.port}`;
      const ejected = host.ejectedUntilTick > performance.now();
      out += `${place}::cx_active::${host.connections}\n${place}::rq_active::${host.active}\n`;
      out += `${place}::health_flags::${ejected ? '/failed_outlier_check' : host.usable() ? 'healthy' : '/failed_eds_health'}\n`;
      out += `${place}::weight::${host.endpoint.weight}\n`;
    }
  }
  return out;
}

const edsHealth = { healthy: 'HEALTHY', unhealthy: 'UNHEALTHY', draining: 'DRAINING', degraded: 'DEGRADED' } as const;

/** The part of envoy.admin.v3.Clusters that istioctl proxy-config endpoints reads. */
function clusterStatuses(runtime: Runtime): object {
  return {
    cluster_statuses: [...runtime.clusterPools()].map((pool) => ({
      name: pool.config.name,
      added_via_api: true,
      host_statuses: [...pool.members()].map((host) => ({
        address: { socket_address: { address: host.address.ip, port_value: host.address.port } },
        health_status: {
          eds_health_status: edsHealth[host.endpoint.health],
          ...(host.ejectedUntilTick > performance.now() && { failed_outlier_check: true }),
        },
        weight: host.endpoint.weight,
        stats: [
          { name: 'cx_active', value: `${host.connections}`, type: 'GAUGE' },
          { name: 'rq_active', value: `${host.active}`, type: 'GAUGE' },
        ],
      })),
    })),
  };
}

function certificates(secrets: SecretStore): object[] {
  return secrets.names.flatMap((name) => {
    const secret = secrets.get(name);
    if (!secret) return [];
    const bundle = (secret.kind === 'trust' ? secret.roots : secret.chain).toString();
    const told = (bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((pem) => {
      const certificate = new X509Certificate(pem);
      return {
        path: name,
        serial_number: certificate.serialNumber.toLowerCase(),
        subject_alt_names: (certificate.subjectAltName ?? '')
          .split(', ')
          .filter(Boolean)
          .map((san) => (san.startsWith('URI:') ? { uri: san.slice(4) } : { dns: san.replace(/^DNS:/, '') })),
        valid_from: new Date(certificate.validFrom).toISOString(),
        expiration_time: new Date(certificate.validTo).toISOString(),
        days_until_expiration: `${Math.floor((Date.parse(certificate.validTo) - Date.now()) / 86_400_000)}`,
      };
    });
    return [secret.kind === 'trust' ? { ca_cert: told, cert_chain: [] } : { ca_cert: [], cert_chain: told }];
  });
}

function serverInfo(options: AdminOptions): object {
  const state = options.runtime.draining ? 'DRAINING' : options.isLive() ? 'LIVE' : 'PRE_INITIALIZING';
  const uptime = `${Math.floor(process.uptime())}s`;
  return {
    version: `lateen/${version}/node-${process.version}`,
    state,
    hot_restart_version: 'disabled',
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    node: { id: options.nodeId },
    pid: process.pid,
  };
}
