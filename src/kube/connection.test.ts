import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import test, { type ExecutionContext } from 'ava';
import { clientOf, connect } from './connect.ts';
import { inClusterConnection } from './connection.ts';

interface Certificate {
  cert: string;
  key: string;
}

/** Self-signed, for 127.0.0.1. */
async function certificate(): Promise<Certificate> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=kubernetes',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return { cert: cert.toString('pem'), key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` };
}

/** Answers `/version` to whoever shows one of the `tokens`, as an API server does. */
async function secured(t: ExecutionContext, tokens: string[]) {
  const { cert, key } = await certificate();
  const seen: string[] = [];
  const server: Server = createServer({ cert, key }, (request, response) => {
    const shown = request.headers.authorization ?? '';
    seen.push(shown);
    const isKnown = tokens.some((token) => shown === `Bearer ${token}`);
    response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' });
    response.end(
      isKnown ? '{"gitVersion":"v1"}' : '{"kind":"Status","reason":"Unauthorized","message":"Unauthorized"}',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(join(tmpdir(), 'lateen-kube-'));
  t.teardown(async () => {
    rmSync(folder, { recursive: true });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { cert, seen, folder, port: (server.address() as AddressInfo).port };
}

test('a pod’s service account: the token is read again when the server refuses it', async (t) => {
  const { cert, seen, folder, port } = await secured(t, ['second']);
  writeFileSync(join(folder, 'ca.crt'), cert);
  writeFileSync(join(folder, 'token'), 'first\n');
  writeFileSync(join(folder, 'namespace'), 'istio-system');
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) };
  const client = clientOf(inClusterConnection(folder, env));
  t.teardown(() => client.close());
  t.is(client.namespace, 'istio-system');
  await t.throwsAsync(client.getRaw('/version'), { message: /401 Unauthorized/ });
  // The kubelet has renewed it.
  writeFileSync(join(folder, 'token'), 'second\n');
  t.is(await client.getRaw('/version'), '{"gitVersion":"v1"}');
  t.deepEqual(seen, ['Bearer first', 'Bearer first', 'Bearer first', 'Bearer second']);
});

test('a server with another certificate is not talked to', async (t) => {
  const { seen, folder, port } = await secured(t, ['token']);
  writeFileSync(join(folder, 'ca.crt'), (await certificate()).cert);
  writeFileSync(join(folder, 'token'), 'token');
  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) };
  const client = clientOf(inClusterConnection(folder, env), { attempts: 1 });
  await t.throwsAsync(client.getRaw('/version'), { message: /certificate/i });
  t.deepEqual(seen, []);
});

test('a kubeconfig file: its authority, its token, its contexts', async (t) => {
  const { cert, folder, port } = await secured(t, ['mine']);
  const path = join(folder, 'config');
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'a',
      clusters: [
        {
          name: 'c',
          cluster: {
            server: `https://127.0.0.1:${port}`,
            'certificate-authority-data': Buffer.from(cert).toString('base64'),
          },
        },
      ],
      users: [
        { name: 'me', user: { token: 'mine' } },
        { name: 'nobody', user: { token: 'none' } },
      ],
      contexts: [
        { name: 'a', context: { cluster: 'c', user: 'me', namespace: 'shop' } },
        { name: 'b', context: { cluster: 'c', user: 'nobody' } },
      ],
    }),
  );
  const client = await connect({ kubeconfig: path });
  t.is(client.namespace, 'shop');
  t.is(await client.getRaw('/version'), '{"gitVersion":"v1"}');
  client.close();
  const other = await connect({ kubeconfig: path, context: 'b' });
  await t.throwsAsync(other.getRaw('/version'), { message: /401/ });
  other.close();
  await t.throwsAsync(connect({ kubeconfig: path, context: 'd' }), { message: /no context "d"; it has a, b/ });
  await t.throwsAsync(connect({ kubeconfig: join(folder, 'absent') }), { message: /no such kubeconfig file/ });
});
