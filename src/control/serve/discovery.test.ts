import { webcrypto } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import test from 'ava';
import { type AdsClientOptions, type AdsState, createAdsClient, type XdsUpdate } from '../../xds/ads-client.ts';
import { createCertificateMethod, requestCertificate } from '../../xds/ca-client.ts';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '../../xds/gen/istio/v1/auth/ca_pb.js';
import { callUnary, type GrpcTarget } from '../../xds/grpc/client.ts';
import { createGrpcServer, type GrpcServer } from '../../xds/grpc/server.ts';
import { GrpcError } from '../../xds/grpc/status.ts';
import { Authority, makeRoot } from '../ca/authority.ts';
import { authenticator } from '../ca/caller.ts';
import { certificateService } from '../ca/certificate-service.ts';
import * as x509 from '../ca/x509.ts';
import { Discovery } from './discovery.ts';
import { Metrics } from './metrics.ts';
import { encodeResources } from './resources.ts';
import type { Nack } from './session.ts';

const limits = { defaultSeconds: 3600, maxSeconds: 3600 };
const serverName = 'istiod.istio-system.svc';

async function keyAndCsr(): Promise<{ key: string; csr: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return { key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`, csr: csr.toString('pem') };
}

class Plane {
  world = ['a', 'b'];
  version = 1;
  nacks: Nack[] = [];
  known = true;
  readonly metrics = new Metrics();
  readonly discovery: Discovery;
  readonly server: GrpcServer;
  readonly authority: Authority;
  port = 0;

  static async start(authority?: Authority): Promise<Plane> {
    const signing = authority ?? (await Authority.of(await makeRoot('cluster.local'), limits));
    const { chain, key } = await signing.issueServing([serverName], 3600);
    return new Plane(signing, { chain, key, clientRoots: signing.roots });
  }

  private constructor(authority: Authority, identity: { chain: string; key: string; clientRoots: string }) {
    this.authority = authority;
    const reviewToken = async (token: string) => {
      const [, namespace, serviceAccount] = /^token-of-(\w+)-(\w+)$/.exec(token) ?? [];
      if (!namespace) throw new GrpcError('unauthenticated', 'no such token');
      return { trustDomain: 'cluster.local', namespace, serviceAccount };
    };
    const authenticate = authenticator(reviewToken, 'cluster.local');
    this.discovery = new Discovery({
      identifier: 'test',
      metrics: this.metrics,
      unknownWaitMs: 60_000,
      resourcesFor: (_, anyway) =>
        this.known || anyway
          ? encodeResources(`${this.version}`, {
              cluster: this.world.map((name) => create(ClusterSchema, { name, altStatName: `${this.version}` })),
            })
          : null,
      onNack: (_, nack) => this.nacks.push(nack),
    });
    const certificates = certificateService({ authority: () => authority, authenticate, burst: 3, refillMs: 60_000 });
    const methods = { ...this.discovery.methods(authenticate), ...certificates };
    this.server = createGrpcServer({ methods, identity });
  }

  async listen(port = 0): Promise<this> {
    this.port = await this.server.listen(port, '127.0.0.1');
    return this;
  }

  target(proof: Partial<GrpcTarget> & { certificate?: { chain: string; key: string } } = {}): GrpcTarget {
    const { certificate, ...rest } = proof;
    const tls = { serverName, roots: () => this.authority.roots, certificate: () => certificate ?? null };
    return { host: '127.0.0.1', port: this.port, tls, ...rest };
  }

  push(): void {
    this.version++;
    this.discovery.push(performance.now());
  }
}

function follow(
  t: { teardown(run: () => unknown): void },
  target: GrpcTarget,
  options: Partial<AdsClientOptions> = {},
) {
  const held = new Map<string, string>();
  let updates = 0;
  const waiting = new Set<() => void>();
  const client = createAdsClient({
    target,
    node: { id: 'sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local', metadata: { NAMESPACE: 'shop' } },
    firstBackoffMs: 5,
    maxBackoffMs: 20,
    ...options,
    onUpdate: (update: XdsUpdate) => {
      updates++;
      const refused = options.onUpdate?.(update) ?? [];
      const names = new Set(refused.map(({ name }) => name));
      if (update.type === 'cluster')
        for (const [name, { altStatName }] of update.changed) if (!names.has(name)) held.set(name, altStatName);
      for (const name of update.removed) held.delete(name);
      return refused;
    },
    onState: () => {
      for (const wake of waiting) wake();
    },
  });
  client.start();
  t.teardown(() => client.stop());
  const until = (holds: (state: AdsState) => boolean) =>
    new Promise<AdsState>((resolve) => {
      const look = () => {
        if (!holds(client.state)) return;
        waiting.delete(look);
        resolve(client.state);
      };
      waiting.add(look);
      look();
    });
  return { client, held, until, updates: () => updates };
}

const token = () => 'token-of-shop-cart';

for (const protocol of ['delta', 'sotw'] as const) {
  test(`${protocol}: a proxy with a token follows, refuses, and follows again`, async (t) => {
    const plane = await (await Plane.start()).listen();
    t.teardown(() => plane.server.close(0));
    const refuse = new Set<string>();
    const { held, until } = follow(t, plane.target({ token }), {
      protocol,
      onUpdate: ({ changed }) =>
        [...changed.keys()].filter((name) => refuse.has(name)).map((name) => ({ name, reason: 'no' })),
    });
    await until(({ types }) => types.cluster.version === '1');
    t.deepEqual(Object.fromEntries(held), { a: '1', b: '1' });
    plane.world = ['b', 'c'];
    plane.push();
    await until(({ types }) => types.cluster.version === '2' && types.cluster.count === 2);
    t.deepEqual(Object.fromEntries(held), { b: '2', c: '2' });
    refuse.add('b');
    plane.push();
    const state = await until(({ types }) => types.cluster.rejected === 1);
    t.is(state.types.cluster.lastRejection, 'b: no');
    t.is(held.get('b'), '2');
    t.is(held.get('c'), '3');
    refuse.clear();
    plane.push();
    await until(({ types }) => types.cluster.version === '4');
    t.is(held.get('b'), '4');
    t.like(plane.nacks, [{ type: 'cluster', message: 'b: no' }]);
    t.regex(plane.metrics.text(), /pilot_total_xds_rejects\{type="cds"\} 1/);
    t.regex(plane.metrics.text(), /^pilot_xds 1$/m);
  });
}

test('a token is exchanged for a certificate, and the certificate opens discovery', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  const { key, csr } = await keyAndCsr();
  const chain = await requestCertificate(plane.target({ token }), { csr, validitySeconds: 600 });
  const certificate = { chain: chain.slice(0, -1).join(''), key };
  const { until } = follow(t, plane.target({ certificate }));
  const { controlPlane } = await until(({ types }) => types.cluster.count === 2);
  t.is(controlPlane, 'test');
  t.is(plane.discovery.connections[0].identity?.serviceAccount, 'cart');
  const again = await requestCertificate(plane.target({ certificate }), { csr, validitySeconds: 600 });
  t.is(again.length, chain.length);
});

test('who proves nothing, or asks for what is not theirs, is refused', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  const { csr } = await keyAndCsr();
  const ask = (target: GrpcTarget, request = csr) => requestCertificate(target, { csr: request, validitySeconds: 60 });
  t.is((await t.throwsAsync<GrpcError>(ask(plane.target()))).code, 'unauthenticated');
  t.is((await t.throwsAsync<GrpcError>(ask(plane.target({ token: () => 'forged' })))).code, 'unauthenticated');
  t.is((await t.throwsAsync<GrpcError>(ask(plane.target({ token }), 'nonsense'))).code, 'invalidArgument');
  const stranger = await Authority.of(await makeRoot('cluster.local'), limits);
  const own = await keyAndCsr();
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' };
  const forged = { chain: (await stranger.signWorkload(own.csr, identity, 60))[0], key: own.key };
  t.is((await t.throwsAsync<GrpcError>(ask(plane.target({ certificate: forged })))).code, 'unauthenticated');
  const distrusting = { ...plane.target({ token }), tls: { serverName, roots: () => stranger.roots } };
  t.is((await t.throwsAsync<GrpcError>(ask(distrusting))).code, 'unavailable');
  const { until } = follow(t, plane.target({ token: () => 'token-of-other-cart' }));
  const { lastError } = await until((state) => state.lastError !== null);
  t.regex(lastError!, /may not ask for namespace shop/);
});

test('certificates are limited for each identity', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  const { csr } = await keyAndCsr();
  for (let at = 0; at < 3; at++) await requestCertificate(plane.target({ token }), { csr, validitySeconds: 60 });
  const refused = await t.throwsAsync<GrpcError>(
    requestCertificate(plane.target({ token }), { csr, validitySeconds: 60 }),
  );
  t.is(refused.code, 'resourceExhausted');
  await t.notThrowsAsync(
    requestCertificate(plane.target({ token: () => 'token-of-shop-till' }), { csr, validitySeconds: 60 }),
  );
});

test('a control plane that is replaced loses no proxy and sends nothing twice', async (t) => {
  const first = await (await Plane.start()).listen();
  const { held, until, updates } = follow(t, first.target({ token }));
  await until(({ types }) => types.cluster.count === 2);
  const seen = updates();
  first.discovery.close();
  await first.server.close(1_000);
  await until(({ connection }) => connection === 'disconnected');
  const second = await (await Plane.start(first.authority)).listen(first.port);
  t.teardown(() => second.server.close(0));
  await until(({ connection, types }) => connection === 'connected' && types.cluster.accepted === 2);
  t.is(updates(), seen);
  second.push();
  await until(({ types }) => types.cluster.version === '2');
  t.is(held.get('a'), '2');
});

test('a proxy whose pod is not known yet waits for it', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  plane.known = false;
  const { until, held } = follow(t, plane.target({ token }));
  await until(({ connection }) => connection === 'connected');
  while (plane.discovery.connections.length === 0) await new Promise(setImmediate);
  plane.push();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.is(held.size, 0);
  plane.known = true;
  plane.push();
  await until(({ types }) => types.cluster.version === '3');
});

test('a renewed serving certificate counts for new connections', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  const { chain, key } = await plane.authority.issueServing(['renamed.svc'], 60);
  plane.server.renew({ chain, key, clientRoots: plane.authority.roots });
  const { csr } = await keyAndCsr();
  const target = plane.target({ token });
  await t.throwsAsync(requestCertificate(target, { csr, validitySeconds: 60 }), { message: /renamed\.svc|altnames/ });
  const renamed = { ...target, tls: { ...target.tls!, serverName: 'renamed.svc' } };
  await t.notThrowsAsync(requestCertificate(renamed, { csr, validitySeconds: 60 }));
});

test('a method that does not exist, and a message that is too large, end with their status', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  const call = (path: string, bytes: Uint8Array) =>
    callUnary(plane.target({ token }), path, bytes, { timeoutMs: 5_000 });
  t.is((await t.throwsAsync<GrpcError>(call('/no.Such/Method', new Uint8Array()))).code, 'unimplemented');
  t.is(
    (await t.throwsAsync<GrpcError>(call(createCertificateMethod, new Uint8Array(17 << 20)))).code,
    'resourceExhausted',
  );
  t.is(
    (await t.throwsAsync<GrpcError>(call(createCertificateMethod, Buffer.from('\xff\xff')))).code,
    'invalidArgument',
  );
});

test('a client of another make is understood', async (t) => {
  const plane = await (await Plane.start()).listen();
  t.teardown(() => plane.server.close(0));
  const { csr } = await keyAndCsr();
  const ssl = credentials.createSsl(Buffer.from(plane.authority.roots));
  const client = new Client(`127.0.0.1:${plane.port}`, ssl, { 'grpc.ssl_target_name_override': serverName });
  t.teardown(() => client.close());
  const ask = (bearer: string) => {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${bearer}`);
    const request = create(IstioCertificateRequestSchema, { csr, validityDuration: 60n });
    return new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(
        createCertificateMethod,
        (value: Buffer) => value,
        (value: Buffer) => value,
        Buffer.from(toBinary(IstioCertificateRequestSchema, request)),
        metadata,
        (error, value) => (error ? reject(error) : resolve(value!)),
      ),
    );
  };
  t.is(fromBinary(IstioCertificateResponseSchema, await ask('token-of-shop-cart')).certChain.length, 2);
  const error = await t.throwsAsync<Error & { code: number }>(ask('forged'));
  t.is(error.code, 16);
  t.regex(error.message, /no such token/);
});
