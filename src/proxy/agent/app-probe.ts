/**
 * The application's probes, asked for by the kubelet on the status port, since its plain request would not pass strict mTLS.
 * Istio's rules: same headers and time limits as the kubelet's own probe, from 127.0.0.6 so that interception lets it through.
 */
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { GrpcTarget } from '../../xds/grpc/client.ts';
import { type Handler, type Reply, text } from '../admin/http-server.ts';

interface Prober {
  httpGet?: {
    path?: string;
    port: number;
    scheme?: string;
    host?: string;
    httpHeaders?: Array<{ name: string; value: string }>;
  };
  tcpSocket?: { port: number };
  grpc?: { port: number; service?: string };
  timeoutSeconds?: number;
}

export interface AppProbeOptions {
  /** JSON of path → prober, as the injector writes it. */
  config: string;
  podIp: string;
  statusPort: number;
  /** Source of the connections; 127.0.0.6 unless told. */
  localAddress?: string;
}

const pathPattern = /^\/(app-health|app-lifecycle)\/[^/]+\/(livez|readyz|startupz|prestopz|poststartz)$/;
const maxBodyBytes = 10 << 10;
const maxRedirects = 10;

/** Throws an Error that names what is wrong with the configuration. */
export function appProbes(options: AppProbeOptions): Handler {
  const probers = readProbers(options.config);
  const localAddress = options.localAddress ?? (options.podIp.includes(':') ? '::6' : '127.0.0.6');
  return (request, url) => {
    const prober = Object.hasOwn(probers, url.pathname) ? probers[url.pathname] : null;
    if (!prober) return text(`app prober config does not exists for ${url.pathname}`, 400);
    const timeoutMs = (prober.timeoutSeconds || 1) * 1000;
    const target = { host: options.podIp, localAddress, timeoutMs };
    if (prober.httpGet) return probeHttp(request, prober.httpGet, target, options.statusPort);
    if (prober.tcpSocket) return probeTcp(prober.tcpSocket.port, target);
    return probeGrpc(prober.grpc ?? { port: 0 }, target);
  };
}

function readProbers(config: string): Record<string, Prober> {
  if (config === '') return {};
  let probers: Record<string, Prober>;
  try {
    probers = JSON.parse(config);
  } catch (error) {
    throw new Error(`ISTIO_KUBE_APP_PROBERS: is no JSON: ${(error as Error).message}`);
  }
  for (const [path, prober] of Object.entries(probers)) {
    if (!pathPattern.test(path))
      throw new Error(`ISTIO_KUBE_APP_PROBERS: ${path} must look like /app-health/NAME/livez`);
    const kinds = [prober.httpGet, prober.tcpSocket, prober.grpc].filter(Boolean);
    if (kinds.length !== 1)
      throw new Error(`ISTIO_KUBE_APP_PROBERS: ${path} must have one of httpGet, tcpSocket, grpc`);
    if (!Number.isInteger(kinds[0]?.port)) throw new Error(`ISTIO_KUBE_APP_PROBERS: ${path} must have a port number`);
  }
  return probers;
}

interface ProbeTarget {
  host: string;
  localAddress: string;
  timeoutMs: number;
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'te',
  'trailer',
]);

async function probeHttp(
  incoming: IncomingMessage,
  action: NonNullable<Prober['httpGet']>,
  target: ProbeTarget,
  statusPort: number,
): Promise<Reply> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(incoming.headers))
    if (value !== undefined && !hopByHop.has(name)) headers[name] = value;
  // A Host of the probe's own configuration stays; the status port in it is the application's.
  if (headers.host) headers.host = String(headers.host).replace(new RegExp(`:${statusPort}$`), `:${action.port}`);
  let path = action.path || '/';
  if (!path.startsWith('/')) path = `/${path}`;
  const deadline = performance.now() + target.timeoutMs;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const answer = await get(action, path, headers, {
      ...target,
      timeoutMs: Math.ceil(Math.max(1, deadline - performance.now())),
    });
    if (answer.status < 300 || answer.status >= 400) return answer;
    // Like the kubelet: a redirect on the same host is followed, one that leads elsewhere is a success.
    const location = URL.parse(answer.location, `http://${target.host}:${action.port}${path}`);
    if (!location || location.hostname !== target.host) return text('', 200);
    path = location.pathname + location.search;
  }
  return text(`stopped after ${maxRedirects} redirects`, 500);
}

function get(
  action: NonNullable<Prober['httpGet']>,
  path: string,
  headers: Record<string, string | string[]>,
  target: ProbeTarget,
): Promise<Reply & { location: string }> {
  const secure = action.scheme?.toUpperCase() === 'HTTPS';
  const { request: start } = process.getBuiltinModule(secure ? 'node:https' : 'node:http');
  return new Promise((resolve) => {
    const failed = (error: Error) => resolve({ ...text(`${error.message}\n`, 500), location: '' });
    const request = start(
      {
        host: target.host,
        port: action.port,
        path,
        headers,
        localAddress: target.localAddress,
        agent: false,
        signal: AbortSignal.timeout(target.timeoutMs),
        // The kubelet does not verify either.
        ...(secure && { rejectUnauthorized: false }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('error', failed);
        response.on('data', (chunk: Buffer) => {
          if (bytes < maxBodyBytes) chunks.push(chunk.subarray(0, maxBodyBytes - bytes));
          bytes += chunk.length;
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 500,
            body: Buffer.concat(chunks),
            location: response.headers.location ?? '',
          }),
        );
      },
    );
    request.on('error', failed);
    request.end();
  });
}

function probeTcp(port: number, { host, localAddress, timeoutMs }: ProbeTarget): Promise<Reply> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, localAddress });
    const end = (status: number, why: string) => {
      socket.destroy();
      resolve(text(why, status));
    };
    socket.setTimeout(timeoutMs, () => end(500, `no connection within ${timeoutMs} ms\n`));
    socket.once('connect', () => end(200, ''));
    socket.once('error', (error) => end(500, `${error.message}\n`));
  });
}

/** grpc.health.v1.Health/Check: field 1 of the request is the service, field 1 of the answer is 1 for SERVING. */
async function probeGrpc(action: NonNullable<Prober['grpc']>, { host, timeoutMs }: ProbeTarget): Promise<Reply> {
  const { callUnary } = await import('../../xds/grpc/client.ts');
  const service = Buffer.from(action.service ?? '');
  const request = service.length === 0 ? service : Buffer.concat([Buffer.of(0x0a, service.length), service]);
  const target: GrpcTarget = { host, port: action.port, tls: null };
  try {
    const answer = await callUnary(target, '/grpc.health.v1.Health/Check', request, { timeoutMs });
    return answer.length === 2 && answer[0] === 0x08 && answer[1] === 1 ? text('') : text('not serving\n', 500);
  } catch (error) {
    return text(`${(error as Error).message}\n`, 500);
  }
}
