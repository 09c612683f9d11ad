import { addressOf, openssl } from './library.ts';

const maxChains = 1000;
const dayMs = 86_400_000;

let digest = 0n;
let digestAddress = 0n;
const digestBytes = Buffer.allocUnsafeSlow(32);

/**
 * Which certificates were found good under one context, until the first of their chain expires: peers come back with the same one for
 * hours, and following it to its root costs as much as the rest of a handshake's verification. That the peer holds the key is
 * still proved each time (RFC 8446 §4.4.3).
 */
export class VerifiedChains {
  /** By what the peer is (a certificate may serve one side only) and the SHA-256 of the whole leaf: until when, in ms since 1970. */
  private readonly goodUntil = new Map<string, number>();

  /** In OpenSSL's place (SSL_CTX_set_cert_verify_callback): 1 goes on with the handshake. */
  verify(verification: bigint, ofServer: boolean): number {
    const leaf = openssl.verificationCertificate(verification);
    if (leaf === null) return openssl.verify(verification);
    const name = `${ofServer}${digestOf(leaf)}`;
    const until = this.goodUntil.get(name);
    if (until !== undefined) {
      if (Date.now() < until) {
        openssl.verificationSetError(verification, 0);
        return 1;
      }
      this.goodUntil.delete(name);
    }
    const result = openssl.verify(verification);
    if (result === 1 && openssl.verificationError(verification) === 0) this.keep(name, verification);
    return result;
  }

  private keep(name: string, verification: bigint): void {
    const chain = openssl.verificationChain(verification);
    if (chain === null) return;
    let least = Number.POSITIVE_INFINITY;
    for (let i = openssl.stackLength(chain) - 1; i >= 0; i--)
      least = Math.min(least, expiryMs(openssl.stackItem(chain, i)));
    if (this.goodUntil.size >= maxChains) this.goodUntil.delete(this.goodUntil.keys().next().value!);
    this.goodUntil.set(name, least);
  }
}

/** When a certificate expires, in ms since 1970; 0 when that cannot be told. */
export function expiryMs(certificate: bigint): number {
  const days: [number] = [0];
  const seconds: [number] = [0];
  const end = openssl.certificateNotAfter(certificate);
  if (openssl.timeDifference(days, seconds, null, end) !== 1) return 0;
  return Date.now() + days[0] * dayMs + seconds[0] * 1000;
}

function digestOf(certificate: bigint): string {
  if (digest === 0n) {
    digest = openssl.digestSha256();
    digestAddress = addressOf(digestBytes);
  }
  openssl.certificateDigest(certificate, digest, digestAddress, null);
  return digestBytes.toString('latin1');
}
