/**
 * Opens connections, sends one request on each, then keeps them idle until its standard input ends:
 * `node idle.ts PORT COUNT plain|tls ROOTS CHAIN KEY`. Prints `open N` when all are open, or what went wrong.
 */
import { readFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';

const [port, count, kind, roots, chain, key] = process.argv.slice(2);
const concurrent = 16;
const request = 'GET /api/v1/items/42 HTTP/1.1\r\nHost: shop\r\nX-Tenant: acme\r\n\r\n';
const secureContext =
  kind === 'tls'
    ? createSecureContext({ ca: readFileSync(roots), cert: readFileSync(chain), key: readFileSync(key) })
    : null;
const sockets: Socket[] = [];

function dial(): Socket {
  const at = { host: '127.0.0.1', port: Number(port) };
  if (secureContext === null) return connectPlain(at);
  // In full: connections that resume one session may share what each of them would keep.
  return connectTls({
    ...at,
    secureContext,
    servername: 'shop.bench.svc.cluster.local',
    checkServerIdentity: () => undefined,
  });
}

function open(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = dial();
  sockets.push(socket);
  socket.once('data', (bytes: Buffer) =>
    bytes.toString('latin1', 0, 12) === 'HTTP/1.1 200' ? resolve() : reject(new Error(bytes.toString('latin1', 0, 80))),
  );
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('a connection was closed')));
  socket.write(request);
  return promise;
}

let left = Number(count);
await Promise.all(
  Array.from({ length: concurrent }, async () => {
    while (left-- > 0) await open();
  }),
);
console.log(`open ${sockets.length}`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
