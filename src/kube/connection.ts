/** One API server as a place to send HTTP requests to: address, TLS, and credentials that renew themselves. */
import { existsSync, readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent, type AgentOptions, type RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ConnectOptions } from './client.ts';

const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What must go with every request. */
export interface Credentials {
  headers: { [name: string]: string };
  agent: HttpAgent | Agent;
}

export interface Connection {
  readonly server: URL;
  readonly namespace: string;
  /** `renew` asks for fresh ones, after a 401. */
  credentials(renew: boolean): Promise<Credentials>;
  close(): void;
}

const agentOptions: AgentOptions = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 8 };

/** A fixed server with fixed credentials: `http://127.0.0.1:8001` of `kubectl proxy`, a test's server. */
export function directConnection(
  server: string,
  tls: AgentOptions = {},
  headers: { [name: string]: string } = {},
): Connection {
  const url = new URL(server);
  const agent = url.protocol === 'https:' ? new Agent({ ...agentOptions, ...tls }) : new HttpAgent(agentOptions);
  return {
    server: url,
    namespace: 'default',
    credentials: async () => ({ headers, agent }),
    close: () => agent.destroy(),
  };
}

/**
 * The pod's own service account. The kubelet renews the projected token in place, so it is read again every minute
 * (as client-go does) and after a 401.
 */
export function inClusterConnection(folder = serviceAccountFolder, env = process.env): Connection {
  const host = env.KUBERNETES_SERVICE_HOST;
  if (!host) throw new Error('not in a pod: KUBERNETES_SERVICE_HOST is not set');
  const server = new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT ?? '443'}`);
  const agent = new Agent({ ...agentOptions, ca: readFileSync(join(folder, 'ca.crt')) });
  const namespaceFile = join(folder, 'namespace');
  let token = '';
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    server,
    namespace: existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : 'default',
    credentials: async (renew) => {
      if (renew || performance.now() - readAtMs > 60_000) {
        token = readFileSync(join(folder, 'token'), 'utf8').trim();
        readAtMs = performance.now();
      }
      return { headers: { authorization: `Bearer ${token}` }, agent };
    },
    close: () => agent.destroy(),
  };
}

/**
 * A kubeconfig file, read by the Kubernetes project's own client, which knows its authenticators (exec plug-ins, OIDC,
 * client certificates, token files). That package is loaded only here: in a pod it would cost 50 MB for nothing.
 */
async function kubeconfigConnection(path: string | undefined, context: string | undefined): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (path) config.loadFromFile(path);
  else config.loadFromDefault();
  if (context) {
    if (!config.getContextObject(context)) {
      const known = config.getContexts().map((each) => each.name);
      throw new Error(`the kubeconfig has no context "${context}"; it has ${known.join(', ') || 'none'}`);
    }
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (!cluster)
    throw new Error(
      'the kubeconfig names no cluster: set a current context (kubectl config use-context) or give --context',
    );
  const server = new URL(cluster.server);
  const plain = server.protocol === 'http:' ? new HttpAgent(agentOptions) : null;
  let agent: Agent | null = null;
  let material = '';
  let cached: Credentials | null = null;
  let readAtMs = 0;
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    credentials: async (renew) => {
      if (cached && !renew && performance.now() - readAtMs < 10_000) return cached;
      if (plain) {
        cached = { headers: {}, agent: plain };
        return cached;
      }
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      const { ca, cert, key, servername, rejectUnauthorized } = options;
      const current = JSON.stringify([String(ca), String(cert), String(key), servername, rejectUnauthorized]);
      if (!agent || current !== material) {
        // The agent that the package makes is used for its proxies only: it keeps no connection alive and no renewed certificate.
        agent = cluster.proxyUrl
          ? (options.agent as Agent)
          : new Agent({ ...agentOptions, ca, cert, key, servername, rejectUnauthorized });
        material = current;
      }
      const headers: { [name: string]: string } = {};
      for (const [name, value] of Object.entries(options.headers ?? {}))
        if (value !== undefined) headers[name] = String(value);
      if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
      cached = { headers, agent };
      readAtMs = performance.now();
      return cached;
    },
    close: () => {
      agent?.destroy();
      plain?.destroy();
    },
  };
}

/** Finds the API server as kubectl does, and in a pod by its service account. */
export async function openConnection(options: ConnectOptions = {}): Promise<Connection> {
  const { kubeconfig, context } = options;
  const inPod = process.env.KUBERNETES_SERVICE_HOST && existsSync(join(serviceAccountFolder, 'token'));
  if (!kubeconfig && !context && !process.env.KUBECONFIG && inPod) return inClusterConnection();
  if (kubeconfig && !existsSync(kubeconfig)) throw new Error(`${kubeconfig}: no such kubeconfig file`);
  if (!kubeconfig && !process.env.KUBECONFIG && !existsSync(join(homedir(), '.kube/config')))
    throw new Error('no cluster to talk to: give --kubeconfig, set KUBECONFIG, or have ~/.kube/config');
  return kubeconfigConnection(kubeconfig, context);
}
