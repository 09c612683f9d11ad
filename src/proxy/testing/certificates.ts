/** Makes a certificate authority and leaf certificates with SPIFFE names, in memory. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { SecretStore } from '../config/secret-store.ts';

x509.cryptoProvider.set(webcrypto as never);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

const rsa = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};

function generate(kind: 'ecdsa' | 'rsa' = 'ecdsa') {
  return webcrypto.subtle.generateKey(kind === 'rsa' ? rsa : algorithm, true, ['sign', 'verify']);
}

async function keyPem(key: webcrypto.CryptoKey): Promise<Buffer> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return Buffer.from(
    `-----BEGIN PRIVATE KEY-----\n${der.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END PRIVATE KEY-----\n`,
  );
}

export interface Leaf {
  readonly chain: Buffer;
  readonly key: Buffer;
}

export class TestAuthority {
  readonly roots: Buffer;
  private readonly certificate: x509.X509Certificate;
  private readonly keys: webcrypto.CryptoKeyPair;

  private constructor(certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.certificate = certificate;
    this.keys = keys;
    this.roots = Buffer.from(certificate.toString('pem'));
  }

  static async make(): Promise<TestAuthority> {
    const keys = await generate();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'O=cluster.local',
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      signingAlgorithm: algorithm,
      keys: keys as never,
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    });
    return new TestAuthority(certificate, keys);
  }

  /** A list that revokes what has these serial numbers. */
  async revoke(...serials: string[]): Promise<Buffer> {
    const list = await x509.X509CrlGenerator.create({
      issuer: this.certificate.subject,
      thisUpdate: new Date(Date.now() - 60_000),
      nextUpdate: new Date(Date.now() + 3_600_000),
      signingAlgorithm: algorithm,
      signingKey: this.keys.privateKey as never,
      entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date(Date.now() - 1000) })),
    });
    return Buffer.from(list.toString('pem').replaceAll(' CRL---', ' X509 CRL---'));
  }

  /** `names`: a SPIFFE name, or several of any kind. */
  async issue(
    names: string | x509.JsonGeneralName[],
    kind: 'ecdsa' | 'rsa' = 'ecdsa',
    validMs = 3_600_000,
  ): Promise<Leaf> {
    const keys = await generate(kind);
    const alternative = typeof names === 'string' ? [{ type: 'url' as const, value: names }] : names;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8)))
        .toString('hex')
        .replace(/^[89a-f]/, '1'),
      subject: '',
      issuer: this.certificate.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + validMs),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey as never,
      signingKey: this.keys.privateKey as never,
      extensions: [new x509.SubjectAlternativeNameExtension(alternative, true)],
    });
    return { chain: Buffer.from(certificate.toString('pem')), key: await keyPem(keys.privateKey) };
  }
}

/** The secrets of a proxy whose identity is `uri`, under Istio's names. */
export async function secretsOf(authority: TestAuthority, uri: string): Promise<SecretStore> {
  const store = new SecretStore();
  const { chain, key } = await authority.issue(uri);
  store.set('default', { kind: 'certificate', chain, key });
  store.set('ROOTCA', { kind: 'trust', roots: authority.roots });
  return store;
}
