/**
 * Opens connections with mutual TLS, one request on each, eight at a time, for some seconds:
 * `node handshakes.ts PORT SECONDS full|resumed ROOTS CHAIN KEY`. Prints one line of JSON.
 */
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, connect } from 'node:tls';

const [port, seconds, kind, roots, chain, key] = process.argv.slice(2);
const concurrent = 8;
const options: ConnectionOptions = {
  host: '127.0.0.1',
  port: Number(port),
  ca: readFileSync(roots),
  cert: readFileSync(chain),
  key: readFileSync(key),
  servername: 'shop.bench.svc.cluster.local',
  // The certificate names a SPIFFE identity, no host.
  checkServerIdentity: () => undefined,
  ALPNProtocols: ['http/1.1'],
};
const request = 'GET /api/v1/items/42 HTTP/1.1\r\nHost: shop\r\nX-Tenant: acme\r\nConnection: close\r\n\r\n';
const timesMs: number[] = [];
let errors = 0;
let reused = 0;

/** One connection; what the server gives to resume it by goes to `onSession`. */
function once(session: Buffer | undefined, onSession: (session: Buffer) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const start = performance.now();
  const socket = connect({ ...options, session });
  let head = '';
  socket.on('secureConnect', () => {
    if (socket.isSessionReused()) reused++;
    socket.write(request);
  });
  socket.on('session', onSession);
  socket.on('data', (bytes) => {
    if (head.length < 16) head += bytes.toString('latin1', 0, 16);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (head.startsWith('HTTP/1.1 200')) timesMs.push(performance.now() - start);
    else errors++;
    resolve();
  });
  return promise;
}

let session: Buffer | undefined;
await once(undefined, (given) => {
  session = given;
});
if (errors > 0 || (kind === 'resumed' && session === undefined)) {
  console.error(errors > 0 ? 'the first connection failed' : 'the server gives no session');
  process.exit(1);
}
timesMs.length = 0;
const start = performance.now();
const until = start + Number(seconds) * 1000;
await Promise.all(
  Array.from({ length: concurrent }, async () => {
    while (performance.now() < until) await once(kind === 'resumed' ? session : undefined, () => {});
  }),
);
const passed = (performance.now() - start) / 1000;
timesMs.sort((a, b) => a - b);
const at = (part: number) => timesMs[Math.max(0, Math.ceil(part * timesMs.length) - 1)];
// Whoever was to resume and did not is counted as an error: its figure would be the other case's.
const wrong = kind === 'resumed' ? timesMs.length - reused : reused;
console.log(
  JSON.stringify({
    count: timesMs.length,
    perSecond: timesMs.length / passed,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    errors: errors + Math.max(0, wrong),
  }),
);
