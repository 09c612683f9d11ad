/**
 * Proves redirection: as the proxy's user, a connection to an address on loopback where nobody listens must arrive at one
 * of the proxy's ports (Istio: istio-iptables --run-validation).
 */
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server } from 'node:net';
import type { InterceptionOptions } from './options.ts';
import type { Family } from './rules.ts';

const addresses = { 4: { listen: '127.0.0.1', call: '127.0.0.6' }, 6: { listen: '::1', call: '::6' } } as const;
const pauseMs = 100;

/** Null when redirection works, otherwise why not. The ports of the proxy must be free. */
export async function redirectionProblem(options: InterceptionOptions, family: Family): Promise<string | null> {
  const { listen, call } = addresses[family];
  const nonce = randomBytes(16).toString('hex');
  const servers: Server[] = [];
  try {
    for (const port of [options.outboundPort, options.inboundPort]) servers.push(await serve(nonce, port, listen));
  } catch (error) {
    for (const server of servers) server.close();
    return `${(error as Error).message}; the proxy must not run yet`;
  }
  const restore = becomeProxy(options);
  try {
    const deadline = Date.now() + options.probeTimeoutMs;
    let problem = '';
    while (Date.now() < deadline) {
      const heard = await hear(call, options.probePort, deadline - Date.now());
      if (heard === nonce) return null;
      problem = heard;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return `a connection to ${call} port ${options.probePort} was not redirected: ${problem}`;
  } finally {
    restore();
    for (const server of servers) server.close();
  }
}

function serve(nonce: string, port: number, host: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(nonce);
    });
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

/** What the other end said, or the error's text. */
function hear(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let heard = '';
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('timed out')));
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1');
      if (heard.length > 64) socket.destroy(new Error('somebody else answered'));
    });
    socket.on('error', (error) => resolve(error.message));
    socket.on('close', () => resolve(heard));
  });
}

/** The rules know the proxy by its ids: root takes them on for the time of the call. */
function becomeProxy({ proxyUids, proxyGids }: InterceptionOptions): () => void {
  if (process.geteuid?.() !== 0) return () => {};
  const group = process.getegid?.() ?? 0;
  process.setegid?.(Number(proxyGids[0]));
  process.seteuid?.(Number(proxyUids[0]));
  return () => {
    process.seteuid?.(0);
    process.setegid?.(group);
  };
}
