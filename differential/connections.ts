/** Compares what becomes of the same connections at Envoy and at Lateen. See README.md. */
import { hash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { type Leaf, TestAuthority } from '../src/proxy/testing/certificates.ts';
import {
  type CertificateName,
  type ConnectionCase,
  certificates,
  listeners,
  type Made,
  telling,
  tellingSocket,
} from './cases/connections.ts';
import { freePort, listening } from './ports.ts';
import { type SubjectName, start } from './subject.ts';

/** A connection that is still open after this is compared as it is then. */
const openMs = 1700;

interface Seen {
  readonly length: number;
  readonly text: string;
  readonly end: 'closed' | 'open';
  readonly shown: string;
  readonly alpn: string;
  readonly version: string;
}

const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

function cluster(name: string, port: number | null): object {
  const endpoints = port === null ? [] : [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }];
  return { name, type: 'STATIC', connect_timeout: '1s', load_assignment: { cluster_name: name, endpoints } };
}

function attempt(port: number, given: ConnectionCase, leaves: Readonly<Record<CertificateName, Leaf>>): Promise<Seen> {
  return new Promise((resolve) => {
    const { tls } = given;
    const place = { port, host: '127.0.0.1', ...(given.from && { localAddress: given.from }) };
    let socket: Socket;
    let facts = { shown: '', alpn: '', version: '' };
    if (tls) {
      const own = tls.client && leaves[tls.client];
      const secure: TLSSocket = tlsConnect({
        ...place,
        rejectUnauthorized: false,
        ...(tls.servername && { servername: tls.servername }),
        ...(tls.alpn && { ALPNProtocols: [...tls.alpn] }),
        ...(tls.maxVersion && { maxVersion: tls.maxVersion }),
        ...(own && { cert: own.chain, key: own.key }),
      });
      secure.once('secureConnect', () => {
        const fingerprint = secure.getPeerX509Certificate()?.fingerprint256;
        facts = {
          shown:
            certificates.find((name) => new X509Certificate(leaves[name].chain).fingerprint256 === fingerprint) ?? '',
          alpn: secure.alpnProtocol || '',
          version: secure.getProtocol() ?? '',
        };
      });
      socket = secure;
    } else socket = connect(place);
    const parts: Buffer[] = [];
    const settle = (end: 'closed' | 'open') => {
      clearTimeout(timer);
      socket.destroy();
      const bytes = Buffer.concat(parts);
      // A handshake of version 1.3 is over for a client before the server has judged its certificate.
      const counts = end === 'open' || bytes.length > 0;
      const told = counts ? facts : { shown: '', alpn: '', version: '' };
      resolve({ length: bytes.length, text: bytes.toString('latin1', 0, 60), end, ...told });
    };
    const timer = setTimeout(() => settle('open'), openMs);
    socket.on('data', (bytes: Buffer) => parts.push(bytes));
    socket.on('error', () => {});
    // How a refusal arrives, as FIN or RST, depends on what lay unread just then.
    socket.on('end', () => settle('closed'));
    socket.on('close', () => settle('closed'));
    const send = given.send ?? (tls ? 'hello' : '');
    if (send.length > 0) socket.write(send);
  });
}

/** Takes CONNECT and POST, tells what it was asked for, and sends back what follows. */
const proxying = createHttpServer((request, response) => {
  response.write(`${request.method} ${request.url} ${request.headers.host}|`);
  request.pipe(response);
});
proxying.on('connect', (request, socket, head) => {
  if (request.url?.startsWith('refused')) {
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  socket.write(`HTTP/1.1 200 OK\r\n\r\n${request.url} ${request.headers['x-from'] ?? ''}|`);
  socket.write(head);
  socket.pipe(socket);
});

const folder = mkdtempSync(join(tmpdir(), 'differential-'));
const echo = createServer((socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
});
try {
  const [authority, foreign] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  const leaves = Object.fromEntries(
    await Promise.all(
      certificates.map(async (value) => [
        value,
        await (value === 'stranger' ? foreign : authority).issue([{ type: 'dns', value }]),
      ]),
    ),
  ) as Record<CertificateName, Leaf>;
  const made: Made = {
    certificate: (name) => ({
      certificate_chain: { inline_string: leaves[name].chain.toString() },
      private_key: { inline_string: leaves[name].key.toString() },
    }),
    roots: { inline_string: authority.roots.toString() },
    fingerprint: (name) => hash('sha256', new X509Certificate(leaves[name].chain).raw, 'hex'),
  };
  const [admin, dead] = [await freePort(), await freePort()];
  const ports = new Map<string, number>();
  for (const name of Object.keys(listeners)) ports.set(name, await freePort());
  const file = join(folder, 'bootstrap.json');
  const echoPort = await listening(echo);
  const connectPort = await listening(proxying);
  writeFileSync(
    file,
    JSON.stringify({
      admin: { address: address(admin) },
      static_resources: {
        listeners: Object.entries(listeners).map(([name, { fields }]) => ({
          name,
          address: address(ports.get(name)!),
          ...fields(made),
        })),
        clusters: [
          cluster('echo', echoPort),
          cluster('connect', connectPort),
          cluster('empty', null),
          cluster('dead', dead),
          ...telling.map((version) => ({
            ...cluster(`told${version}`, echoPort),
            transport_socket: tellingSocket(version),
          })),
        ],
      },
    }),
  );
  const run = async (name: SubjectName): Promise<Map<string, Seen>> => {
    const subject = await start(name, file, admin);
    const seen = new Map<string, Seen>();
    try {
      // Cases of one listener in their order, since a limit counts them; listeners side by side.
      await Promise.all(
        Object.entries(listeners).map(async ([listener, { cases }]) => {
          for (const each of cases)
            seen.set(`${listener}: ${each.name}`, await attempt(ports.get(listener)!, each, leaves));
        }),
      );
    } finally {
      await subject.stop();
    }
    return seen;
  };
  const envoy = await run('envoy');
  const lateen = await run('lateen');
  let failed = 0;
  for (const [listener, { cases }] of Object.entries(listeners))
    for (const { name, except } of cases) {
      const key = `${listener}: ${name}`;
      if (isDeepStrictEqual(envoy.get(key), lateen.get(key))) {
        if (!except) continue;
        console.log(`${key}: no longer differs; remove its exception`);
      } else if (except) continue;
      else
        console.log(`${key}\n  envoy  ${JSON.stringify(envoy.get(key))}\n  lateen ${JSON.stringify(lateen.get(key))}`);
      failed++;
    }
  const total = Object.values(listeners).reduce((sum, { cases }) => sum + cases.length, 0);
  console.log(`${total - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
} finally {
  echo.close();
  proxying.close();
  rmSync(folder, { recursive: true });
}
