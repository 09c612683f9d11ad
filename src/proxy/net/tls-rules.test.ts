import { hash, X509Certificate } from 'node:crypto';
import { type ConnectionOptions, connect, createServer, type TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { SecretStore } from '../config/secret-store.ts';
import type { DownstreamTls, UpstreamTls } from '../config/table.ts';
import { createRuntime } from '../runtime.ts';
import { type Leaf, TestAuthority } from '../testing/certificates.ts';
import { Caller, Witness } from '../testing/peers.ts';
import { chainOf, clusterOf, endpointOf, listenerOf, tableOf, tcpOf, tlsDefaults } from '../testing/tables.ts';

const dns = (...names: string[]) => names.map((value) => ({ type: 'dns' as const, value }));
const hexOf = ({ chain }: Leaf) => new X509Certificate(chain).fingerprint256.replaceAll(':', '').toLowerCase();

async function ending(t: ExecutionContext, secrets: SecretStore, tls: Partial<DownstreamTls>) {
  const runtime = await createRuntime({
    table: tableOf({
      listeners: [
        listenerOf([
          chainOf({
            tls: { ...tlsDefaults, certificates: [], requireClientCertificate: false, scansAll: false, ...tls },
            answer: Buffer.from('hello'),
          }),
        ]),
      ],
    }),
    secrets,
    telemetry: new Witness(),
  });
  t.teardown(() => runtime.close());
  return runtime;
}

/** What the server answered, or '' when it refused; `seen` looks at the socket after the handshake. */
async function ask(port: number, options: ConnectionOptions, seen: (socket: TLSSocket) => void = () => {}) {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes;
  });
  socket.on('error', () => {});
  socket.once('secureConnect', () => seen(socket));
  socket.on('end', () => socket.end());
  await new Promise((closed) => socket.once('close', closed));
  return text;
}

test('of several certificates the one with the name is shown, a wildcard after the exact, by kind of key', async (t) => {
  const authority = await TestAuthority.make();
  const secrets = new SecretStore();
  const leaves: Record<string, Leaf> = {
    first: await authority.issue(dns('other.test')),
    wild: await authority.issue(dns('*.shop.test')),
    exact: await authority.issue(dns('a.shop.test')),
    rsa: await authority.issue(dns('a.shop.test'), 'rsa'),
  };
  for (const [name, leaf] of Object.entries(leaves)) secrets.set(name, { kind: 'certificate', ...leaf });
  const runtime = await ending(t, secrets, { certificates: Object.keys(leaves) });
  const shown = async (servername: string | undefined, options: ConnectionOptions = {}) => {
    let fingerprint = '';
    await ask(runtime.portOf('listener'), { servername, ...options }, (socket) => {
      fingerprint = socket.getPeerX509Certificate()!.fingerprint256.replaceAll(':', '').toLowerCase();
    });
    return Object.keys(leaves).find((name) => hexOf(leaves[name]) === fingerprint);
  };
  t.is(await shown('a.shop.test'), 'exact');
  t.is(await shown('A.shop.test', { sigalgs: 'rsa_pss_rsae_sha256' }), 'rsa');
  t.is(await shown('b.shop.test'), 'wild');
  t.is(await shown('x.y.shop.test'), 'first');
  t.is(await shown('unknown.test'), 'first');
  secrets.set('exact', { kind: 'certificate', ...leaves.first });
  t.is(await shown('b.shop.test'), 'wild');
  t.is(await shown('a.shop.test', { sigalgs: 'rsa_pss_rsae_sha256' }), 'rsa');
});

test('a required certificate is required without a trust bundle too; pins take one certificate or one key', async (t) => {
  const authority = await TestAuthority.make();
  const secrets = new SecretStore();
  const [server, known, other] = await Promise.all(
    ['server', 'known', 'other'].map((name) => authority.issue(dns(name))),
  );
  secrets.set('own', { kind: 'certificate', ...server });
  const as = ({ chain, key }: Leaf) => ({ cert: chain, key });
  const requiring = await ending(t, secrets, { certificates: ['own'], requireClientCertificate: true });
  t.is(await ask(requiring.portOf('listener'), {}), '');
  t.is(await ask(requiring.portOf('listener'), as(other)), 'hello');
  const spki = new X509Certificate(known.chain).publicKey.export({ type: 'spki', format: 'der' });
  for (const pins of [
    { certificates: new Set([hexOf(known)]), keys: new Set<string>() },
    { certificates: new Set<string>(), keys: new Set([hash('sha256', spki, 'base64')]) },
  ]) {
    const pinning = await ending(t, secrets, { certificates: ['own'], pins });
    t.is(await ask(pinning.portOf('listener'), as(known)), 'hello');
    t.is(await ask(pinning.portOf('listener'), as(other)), '');
    t.regex(pinning.stats.lastTlsFailure, /is none of the pinned ones/);
  }
});

test('a revoked certificate is refused, an untrusted one taken where that is asked for', async (t) => {
  const [authority, stranger] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  const secrets = new SecretStore();
  const [server, good, bad] = await Promise.all(['server', 'good', 'bad'].map((name) => authority.issue(dns(name))));
  const foreign = await stranger.issue(dns('good'));
  secrets.set('own', { kind: 'certificate', ...server });
  const crl = await authority.revoke(new X509Certificate(bad.chain).serialNumber);
  secrets.set('roots', { kind: 'trust', roots: authority.roots, crl });
  const as = ({ chain, key }: Leaf) => ({ cert: chain, key });
  const strict = await ending(t, secrets, { certificates: ['own'], trust: 'roots' });
  t.is(await ask(strict.portOf('listener'), as(good)), 'hello');
  t.is(await ask(strict.portOf('listener'), as(bad)), '');
  t.is(await ask(strict.portOf('listener'), as(foreign)), '');
  const open = await ending(t, secrets, { certificates: ['own'], trust: 'roots', acceptUntrusted: true });
  t.is(await ask(open.portOf('listener'), as(foreign)), 'hello');
});

test('names of a server are held to their kind, in a resumed session too', async (t) => {
  const authority = await TestAuthority.make();
  const secrets = new SecretStore();
  const names = [...dns('*.shop.test'), { type: 'ip' as const, value: '10.0.0.9' }];
  const { chain, key } = await authority.issue(names);
  secrets.set('roots', { kind: 'trust', roots: authority.roots });
  const server = createServer({ cert: chain, key }, (socket) => socket.end('hello'));
  t.teardown(() => server.close());
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const settings = (name: UpstreamTls['subjectAltNames'][number]): UpstreamTls => ({
    ...tlsDefaults,
    certificate: null,
    trust: 'roots',
    sni: 'a.shop.test',
    autoSni: false,
    autoSan: false,
    subjectAltNames: [name],
  });
  const witness = new Witness();
  const table = (name: UpstreamTls['subjectAltNames'][number]) =>
    tableOf({
      listeners: [listenerOf([chainOf({ tcp: tcpOf('a') })])],
      clusters: [clusterOf('a', [endpointOf(port)], { tls: settings(name) })],
    });
  const is = (type: 'ip' | 'dns', value: string) => ({ type, text: value, test: (name: string) => name === value });
  const runtime = await createRuntime({ table: table(is('ip', '10.0.0.9')), secrets, telemetry: witness });
  t.teardown(() => runtime.close());
  const reached = async () => {
    const caller = await Caller.to(runtime.portOf('listener'));
    const text = await caller.finished();
    caller.stop();
    return text;
  };
  t.is(await reached(), 'hello');
  await runtime.apply(table(is('dns', '10.0.0.9')));
  t.is(await reached(), '');
  await runtime.apply(table(is('dns', '*.shop.test')));
  t.is(await reached(), 'hello');
  await witness.until(({ ended }) => ended.length === 3);
  t.regex(witness.ended[1].upstreamFailure, /holds none of the required names/);
});
