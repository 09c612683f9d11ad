import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import test from 'ava';
import { Authority, CsrError, certificatesOf, makeRoot } from './authority.ts';
import { identityOfUri, identityOfUser, uriOf } from './identity.ts';
import * as x509 from './x509.ts';

const limits = { defaultSeconds: 86_400, maxSeconds: 86_400 };
const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' };

async function csrFor(algorithm: object): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(algorithm as webcrypto.EcKeyGenParams, true, ['sign', 'verify']);
  const params = { keys, signingAlgorithm: { ...algorithm, hash: 'SHA-256' } };
  return (await x509.Pkcs10CertificateRequestGenerator.create(params as never)).toString('pem');
}
const p256 = { name: 'ECDSA', namedCurve: 'P-256' };
const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
});

test('a workload certificate carries the identity, both usages and a chain to the root', async (t) => {
  const authority = await Authority.of(await makeRoot('cluster.local'), limits);
  for (const algorithm of [p256, rsa(2048)]) {
    const pems = await authority.signWorkload(await csrFor(algorithm), identity, 3600);
    t.is(pems.length, 2);
    const leaf = new X509Certificate(pems[0]);
    const root = new X509Certificate(pems[1]);
    t.is(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/cart');
    t.true(leaf.verify(root.publicKey));
    t.true(leaf.checkIssued(root));
    t.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    t.false(leaf.ca);
    const seconds = (Date.parse(leaf.validTo) - Date.now()) / 1000;
    t.true(seconds > 3590 && seconds <= 3600);
    t.true(Date.parse(leaf.validFrom) < Date.now() - 60_000);
    const san = new x509.X509Certificate(pems[0]).getExtension('2.5.29.17');
    t.true(san?.critical, 'RFC 5280 §4.2.1.6: critical when the subject is empty');
  }
});

test('no certificate is valid for longer than the cap, or than its issuer', async (t) => {
  const authority = await Authority.of(await makeRoot('cluster.local'), limits);
  const [leaf] = await authority.signWorkload(await csrFor(p256), identity, 10 ** 9);
  t.true(Date.parse(new X509Certificate(leaf).validTo) <= Date.now() + 86_400_000);
  const patient = await Authority.of(await makeRoot('cluster.local'), { defaultSeconds: 1, maxSeconds: 10 ** 10 });
  const [long] = await patient.signWorkload(await csrFor(p256), identity, 10 ** 9);
  t.true(Date.parse(new X509Certificate(long).validTo) <= patient.expiresAtMs);
});

test('requests that cannot be trusted are refused with the reason', async (t) => {
  const authority = await Authority.of(await makeRoot('cluster.local'), limits);
  const refuse = async (csr: string, message: RegExp) => {
    const error = await t.throwsAsync(authority.signWorkload(csr, identity, 0), { instanceOf: CsrError });
    t.regex(error.message, message);
  };
  await refuse('nonsense', /PKCS#10/);
  await refuse('x'.repeat(20_000), /bytes/);
  await refuse(await csrFor(rsa(1024)), /2048/);
  await refuse(await csrFor({ name: 'ECDSA', namedCurve: 'P-521' }), /P-256/);
  const good = await csrFor(p256);
  const der = Buffer.from(good.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  der[der.length - 3] ^= 1;
  const broken = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  await refuse(broken, /signature|PKCS#10/);
});

test('a plugged-in intermediate is shown between leaf and root', async (t) => {
  const root = await makeRoot('corp');
  const rootAuthority = await Authority.of(root, limits);
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify']);
  const rootKey = await webcrypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(root.key).export({ type: 'pkcs8', format: 'der' }),
    p256,
    false,
    ['sign'],
  );
  const intermediate = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=intermediate',
    issuer: new x509.X509Certificate(root.certificate).subjectName,
    notAfter: new Date(Date.now() + 3_600_000),
    publicKey: keys.publicKey,
    signingKey: rootKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const exported = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const material = {
    certificate: intermediate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${Buffer.from(exported).toString('base64')}\n-----END PRIVATE KEY-----`,
    chain: intermediate.toString('pem') + root.certificate,
    roots: root.certificate,
  };
  const authority = await Authority.of(material, limits);
  const pems = await authority.signWorkload(await csrFor(p256), identity, 60);
  t.is(pems.at(-1), rootAuthority.roots);
  t.true(new X509Certificate(pems[0]).verify(new X509Certificate(pems[1]).publicKey));
  const mismatch = { ...material, key: root.key };
  await t.throwsAsync(Authority.of(mismatch, limits), { message: /not the key of ca-cert.pem/ });
  const other = await makeRoot('other');
  await t.throwsAsync(Authority.of({ ...material, chain: '', roots: other.roots }, limits), {
    message: /root-cert.pem/,
  });
  await t.throwsAsync(Authority.of({ ...material, certificate: pems[0] }, limits), { message: /not a CA/ });
});

test('a serving certificate is for DNS names, with its key', async (t) => {
  const authority = await Authority.of(await makeRoot('cluster.local'), limits);
  const { chain, key } = await authority.issueServing(['istiod.istio-system.svc', 'istiod'], 60);
  const leaf = new X509Certificate(certificatesOf(chain)[0]);
  t.is(leaf.subjectAltName, 'DNS:istiod.istio-system.svc, DNS:istiod');
  t.true(leaf.checkPrivateKey(createPrivateKey(key)));
});

test('identities are read from their two written forms and no others', (t) => {
  t.deepEqual(identityOfUri(uriOf(identity)), identity);
  t.deepEqual(identityOfUser('system:serviceaccount:shop:cart', 'cluster.local'), identity);
  t.is(identityOfUser('system:node:n1', 'cluster.local'), null);
  t.is(identityOfUser('system:serviceaccount:shop:cart:x', 'cluster.local'), null);
  for (const bad of [
    'spiffe://td/ns/a/sa/',
    'spiffe://td/ns/../sa/b',
    'https://td/ns/a/sa/b',
    'spiffe://td/ns/a/sa/b/c',
  ])
    t.is(identityOfUri(bad), null, bad);
});
