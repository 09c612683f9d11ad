/**
 * A control plane without a place: discovery, the CA and the debug pages over any source of objects. `lateen control` gives it Kubernetes,
 * standalone use a folder of YAML.
 */
import { createGrpcServer, type GrpcServer } from '../../xds/grpc/server.ts';
import type { Authority } from '../ca/authority.ts';
import { authenticator, rememberingReviewer, type TokenReviewer } from '../ca/caller.ts';
import { certificateService } from '../ca/certificate-service.ts';
import { uriOf } from '../ca/identity.ts';
import { type ServingCertificate, serveCertificate } from '../ca/serving-certificate.ts';
import type { DebounceOptions } from '../watch/debounce.ts';
import type { ObjectSource } from '../watch/source.ts';
import { type AdminServer, createAdminServer, type Page } from './admin.ts';
import { debugPages } from './debug.ts';
import { Discovery } from './discovery.ts';
import type { SecretSource } from './gateway-secrets.ts';
import { Mesh } from './mesh.ts';
import { Metrics } from './metrics.ts';

export interface ControlPlaneLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export interface ControlPlaneOptions {
  source: ObjectSource;
  secrets?: SecretSource;
  /** Who signs; asked at each use. */
  authority: () => Authority;
  trustDomain: string;
  /** Tells whose token it is; without it only mesh certificates count. */
  reviewToken: TokenReviewer | null;
  /** DNS names of this control plane's own certificate. */
  names: readonly string[];
  /** What proxies show as their control plane. */
  identifier: string;
  clusterId: string;
  version: string;
  log: ControlPlaneLog;
  debounce?: Omit<DebounceOptions, 'run'>;
  /** A condition of readiness besides the mesh's having been read. */
  isReady?: () => boolean;
  /** Further pages, and further metrics, on the monitoring ports. */
  pages?: { readonly [path: string]: Page };
  moreMetrics?: () => string;
}

export interface Listeners {
  /** Discovery and CA over TLS. */
  secure: { port: number; host?: string };
  /** Discovery without TLS, for loopback; off unless told. */
  plaintext?: { port: number; host?: string } | null;
  /** Readiness, metrics, debug pages: the same at each. */
  monitoring: ReadonlyArray<{ port: number; host?: string }>;
}

export interface Ports {
  secure: number;
  plaintext: number | null;
  monitoring: number[];
}

export interface ControlPlane {
  readonly mesh: Mesh;
  readonly discovery: Discovery;
  readonly serving: ServingCertificate;
  readonly metrics: Metrics;
  /** Opens the ports; 0 takes a free one. */
  listen(listeners: Listeners): Promise<Ports>;
  /** Reads the objects; resolves when proxies are answered. */
  start(): Promise<void>;
  /** Sends the proxies to another replica; `graceMs` later every connection is cut. */
  close(graceMs: number): Promise<void>;
}

export async function createControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { source, secrets, authority, trustDomain, log, clusterId, version } = options;
  const metrics = new Metrics();
  const onError = (what: string) => (error: Error) => log.error({ error: error.message, stack: error.stack }, what);
  const mesh = new Mesh({
    source,
    secrets,
    metrics,
    debounce: options.debounce,
    onError: onError('the snapshot could not be built; proxies keep what they have'),
    onSnapshot: ({ version, services, workloadByName }, tookMs) =>
      log.info(
        { version, services: services.length, workloads: workloadByName.size, tookMs: Math.round(tookMs) },
        'snapshot',
      ),
  });
  const authenticate = authenticator(options.reviewToken && rememberingReviewer(options.reviewToken), trustDomain);
  const discovery = new Discovery({
    identifier: options.identifier,
    resourcesFor: mesh.resourcesFor.bind(mesh),
    metrics,
    onConnection: (proxy, event, detail) =>
      log[event === 'refused' ? 'warn' : 'info']({ node: proxy.id, detail }, `proxy ${event}`),
    onNack: (proxy, nack) =>
      log.warn(
        { node: proxy.id, type: nack.type, names: nack.names.slice(0, 20), error: nack.message },
        'proxy refused',
      ),
    onError: onError('a push failed'),
  });
  const signed = metrics.counter('citadel_server_success_cert_issuance_count', 'Certificates issued.');
  const requests = metrics.counter('citadel_server_csr_count', 'Certificate requests received.');
  const refused = metrics.counter('citadel_server_authentication_failure_count', 'Certificate requests refused.');
  metrics.gauge(
    'citadel_server_root_cert_expiry_timestamp',
    'When the signing certificate expires, Unix seconds.',
    () => Math.floor(authority().expiresAtMs / 1000),
  );
  const certificates = certificateService({
    authority,
    authenticate,
    onSigned: (identity) => {
      requests.add();
      signed.add();
      log.info({ identity: uriOf(identity) }, 'certificate issued');
    },
    onRefused: (reason, remote) => {
      requests.add();
      refused.add();
      log.warn({ reason, remote }, 'certificate refused');
    },
  });
  const serving = await serveCertificate(
    authority,
    options.names,
    onError('the serving certificate could not be renewed'),
  );
  const secure = createGrpcServer({
    methods: { ...discovery.methods(authenticate), ...certificates },
    identity: serving.current,
    onError: onError('a gRPC connection failed'),
  });
  serving.onRenewal((identity) => secure.renew(identity));
  const ending = new AbortController();
  const servers: GrpcServer[] = [secure];
  const admins: AdminServer[] = [];

  const isReady = () => mesh.isReady && !ending.signal.aborted && (options.isReady?.() ?? true);
  const pages: { [path: string]: Page } = {
    '/ready': () => (isReady() ? { body: 'ok\n' } : { status: 503, body: 'not ready\n' }),
    '/version': () => ({ body: { version } }),
    '/metrics': () => ({ body: metrics.text() + (options.moreMetrics?.() ?? '') }),
    '/debug/problems': () => ({ body: { source: source.problems, translation: mesh.problems } }),
    ...debugPages({ mesh, discovery, clusterId, version }),
    ...options.pages,
  };

  return {
    mesh,
    discovery,
    serving,
    metrics,
    async listen({ secure: at, plaintext, monitoring }) {
      const ports: Ports = { secure: await secure.listen(at.port, at.host), plaintext: null, monitoring: [] };
      if (plaintext) {
        const server = createGrpcServer({ methods: discovery.methods(null), identity: null });
        ports.plaintext = await server.listen(plaintext.port, plaintext.host);
        servers.push(server);
      }
      for (const { port, host } of monitoring) {
        const admin = createAdminServer(pages, onError('a debug page failed'));
        admins.push(admin);
        ports.monitoring.push(await admin.listen(port, host));
      }
      return ports;
    },
    start: () => mesh.start(discovery, ending.signal),
    async close(graceMs) {
      ending.abort();
      serving.stop();
      const closed = Promise.all(servers.map((server) => server.close(graceMs)));
      discovery.close();
      await Promise.all([closed, ...admins.map((admin) => admin.close())]);
    },
  };
}
