/** A certificate authority: signs for identities and for the control plane itself. */
import { createHash, createPrivateKey, X509Certificate as NodeCertificate, randomBytes, webcrypto } from 'node:crypto';
import type { Identity } from './identity.ts';
import { uriOf } from './identity.ts';
import * as x509 from './x509.ts';

/** PEM texts, as a plugged-in CA brings them. */
export interface AuthorityMaterial {
  certificate: string;
  key: string;
  /** From the signing certificate's issuer up to, without, the root; empty when the root signs. */
  chain: string;
  /** Every root that workloads are to trust: more than one while roots are being rotated. */
  roots: string;
}

export interface SigningLimits {
  defaultSeconds: number;
  maxSeconds: number;
}

/** A request that is refused; the caller is to blame. */
export class CsrError extends Error {}

/** Certificates are valid from two minutes ago, so that clocks may differ (Istio's CA does the same). */
const backdateMs = 2 * 60_000;
const maxCsrBytes = 16 << 10;

export class Authority {
  readonly material: AuthorityMaterial;
  readonly #limits: SigningLimits;
  readonly #issuer: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;
  readonly #hash: string;
  /** What stands between a leaf and the roots. */
  readonly #upper: string[];

  private constructor(
    material: AuthorityMaterial,
    limits: SigningLimits,
    issuer: x509.X509Certificate,
    key: webcrypto.CryptoKey,
    hash: string,
  ) {
    this.material = material;
    this.#limits = limits;
    this.#issuer = issuer;
    this.#key = key;
    this.#hash = hash;
    const roots = new Set(certificatesOf(material.roots).map(fingerprint));
    this.#upper = certificatesOf(material.certificate + material.chain).filter((pem) => !roots.has(fingerprint(pem)));
  }

  /** Throws an error that says which part of `material` does not fit. */
  static async of(material: AuthorityMaterial, limits: SigningLimits): Promise<Authority> {
    const { key, hash } = await importKey(material.key);
    const certificate = new NodeCertificate(material.certificate);
    if (!certificate.ca) throw new Error('ca-cert.pem: not a CA certificate');
    if (!certificate.checkPrivateKey(createPrivateKey(material.key)))
      throw new Error('ca-key.pem: not the key of ca-cert.pem');
    if (Date.parse(certificate.validTo) <= Date.now())
      throw new Error(`ca-cert.pem: expired at ${certificate.validTo}; plug in a new one`);
    const roots = certificatesOf(material.roots).map((pem) => new NodeCertificate(pem));
    if (roots.length === 0) throw new Error('root-cert.pem: holds no certificate');
    const path = [certificate, ...certificatesOf(material.chain).map((pem) => new NodeCertificate(pem))];
    const isRooted = path.some((each) => roots.some((root) => isIssuedBy(each, root)));
    if (!isRooted) throw new Error('root-cert.pem: no certificate of the chain is signed by one of its roots');
    return new Authority(material, limits, new x509.X509Certificate(material.certificate), key, hash);
  }

  get roots(): string {
    return this.material.roots;
  }

  get expiresAtMs(): number {
    return this.#issuer.notAfter.getTime();
  }

  /** Signs the key of `csr` for `identity`; whatever names the request asks for are ignored. Throws `CsrError`. */
  async signWorkload(csr: string, identity: Identity, askedSeconds: number): Promise<string[]> {
    const publicKey = await keyOfCsr(csr);
    const san = new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uriOf(identity) }], true);
    return this.#sign(publicKey, san, '', askedSeconds);
  }

  /** A new key and its certificate for `names` (DNS). */
  async issueServing(names: readonly string[], askedSeconds: number): Promise<{ chain: string; key: string }> {
    const pair = await generateKey();
    const san = new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value })));
    const publicKey = new x509.PublicKey(await webcrypto.subtle.exportKey('spki', pair.publicKey));
    const chain = await this.#sign(publicKey, san, `CN=${names[0]}`, askedSeconds);
    return { chain: chain.slice(0, -1).join(''), key: await keyPem(pair.privateKey) };
  }

  /** The leaf first, then the chain, the roots last. */
  async #sign(
    publicKey: x509.PublicKey,
    names: x509.SubjectAlternativeNameExtension,
    subject: string,
    askedSeconds: number,
  ): Promise<string[]> {
    const now = Date.now();
    const { defaultSeconds, maxSeconds } = this.#limits;
    const seconds = Math.min(askedSeconds > 0 ? askedSeconds : defaultSeconds, maxSeconds);
    const leaf = await x509.X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject,
        issuer: this.#issuer.subjectName,
        notBefore: new Date(Math.max(now - backdateMs, this.#issuer.notBefore.getTime())),
        // A leaf that outlives its issuer would fail before its holder renews it.
        notAfter: new Date(Math.min(now + seconds * 1000, this.expiresAtMs)),
        publicKey,
        signingKey: this.#key,
        signingAlgorithm: { ...this.#key.algorithm, hash: this.#hash },
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          await x509.AuthorityKeyIdentifierExtension.create(this.#issuer.publicKey, false, webcrypto as Crypto),
          names,
        ],
      },
      webcrypto as Crypto,
    );
    return [`${leaf.toString('pem')}\n`, ...this.#upper, certificatesOf(this.roots).join('')];
  }
}

/** A root of its own making: ECDSA P-256, ten years. */
export async function makeRoot(organization: string): Promise<AuthorityMaterial> {
  const pair = await generateKey();
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: `O=${organization}`,
      notBefore: new Date(Date.now() - backdateMs),
      notAfter: new Date(Date.now() + 10 * 365 * 86_400_000),
      keys: pair,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(
          await webcrypto.subtle.exportKey('spki', pair.publicKey),
          false,
          webcrypto as Crypto,
        ),
      ],
    },
    webcrypto as Crypto,
  );
  const certificate = `${root.toString('pem')}\n`;
  return { certificate, key: await keyPem(pair.privateKey), chain: '', roots: certificate };
}

/** The single PEM certificates of a text that may hold several and words between. */
export function certificatesOf(pem: string): string[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((each) => `${each}\n`);
}

function generateKey() {
  return webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END PRIVATE KEY-----\n`;
}

/** 16 random bytes, positive (RFC 5280 §4.1.2.2: at most 20 octets). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function importKey(pem: string): Promise<{ key: webcrypto.CryptoKey; hash: string }> {
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new Error(`ca-key.pem: ${(error as Error).message}`);
  }
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === 'ec' && (curve === 'prime256v1' || curve === 'secp384r1')) {
    const is256 = curve === 'prime256v1';
    const algorithm = { name: 'ECDSA', namedCurve: is256 ? 'P-256' : 'P-384' };
    const hash = is256 ? 'SHA-256' : 'SHA-384';
    return { key: await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']), hash };
  }
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { key: await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']), hash: 'SHA-256' };
  }
  throw new Error(
    `ca-key.pem: ${key.asymmetricKeyType} ${curve ?? ''} is not supported; use ECDSA P-256, P-384 or RSA`,
  );
}

/** The request's public key once its signature and its strength are proven. */
async function keyOfCsr(pem: string): Promise<x509.PublicKey> {
  if (pem.length > maxCsrBytes) throw new CsrError(`the request has ${pem.length} bytes, more than ${maxCsrBytes}`);
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(pem);
  } catch (error) {
    throw new CsrError(`not a PKCS#10 request in PEM: ${(error as Error).message}`);
  }
  const { algorithm } = request.publicKey;
  const { name, namedCurve, modulusLength } = algorithm as {
    name: string;
    namedCurve?: string;
    modulusLength?: number;
  };
  const isStrong =
    name === 'ECDSA' || name === 'ECDH'
      ? namedCurve === 'P-256' || namedCurve === 'P-384'
      : name.startsWith('RSA') && modulusLength! >= 2048 && modulusLength! <= 8192;
  if (!isStrong)
    throw new CsrError(
      `a key of ${name} ${namedCurve ?? modulusLength ?? ''}: use ECDSA P-256, P-384 or RSA of 2048 bits or more`,
    );
  const isProven = await request.verify(webcrypto as Crypto).catch(() => false);
  if (!isProven) throw new CsrError('the signature of the request is not made with its key');
  return request.publicKey;
}

function isIssuedBy(certificate: NodeCertificate, issuer: NodeCertificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

const fingerprint = (pem: string) => createHash('sha256').update(new NodeCertificate(pem).raw).digest('hex');
