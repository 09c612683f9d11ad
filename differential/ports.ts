import { type AddressInfo, createServer, type Server } from 'node:net';

/** Below what Linux gives to outgoing connections and to port 0 (net.ipv4.ip_local_port_range: 32768 and up). */
const first = 20_000;
const count = 12_000;

/** Each process begins elsewhere, so that two that run at once seldom meet. */
let next = (process.pid * 37) % count;

/** Lets a server listen on loopback; resolves with its port. */
export const listening = (server: Server, port = 0): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });

/** A port that nothing listens on, that this process has not given yet, and that the kernel gives to nobody. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < count; tries++) {
    const server = createServer();
    const port = await listening(server, first + (next++ % count)).catch(() => 0);
    if (port === 0) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error(`every port from ${first} to ${first + count - 1} is taken`);
}
