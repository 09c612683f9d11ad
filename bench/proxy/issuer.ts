/** Signs the tokens of the bench, and tells the keys to check them by. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';

export type Algorithm = 'RS256' | 'ES256';

interface Keys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const issuerName = 'https://issuer.bench.example';
export const audience = 'shop.bench';

export class Issuer {
  private readonly keys: Readonly<Record<Algorithm, Keys>> = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  };

  /** JSON Web Key Set with one key. */
  keySet(algorithm: Algorithm): string {
    const key = this.keys[algorithm].publicKey.export({ format: 'jwk' });
    return JSON.stringify({ keys: [{ ...key, kid: algorithm, alg: algorithm, use: 'sig' }] });
  }

  /** Good for an hour. */
  token(algorithm: Algorithm): Promise<string> {
    return new SignJWT({ groups: ['readers', 'writers'] })
      .setProtectedHeader({ alg: algorithm, kid: algorithm, typ: 'JWT' })
      .setIssuer(issuerName)
      .setAudience(audience)
      .setSubject('somebody')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(this.keys[algorithm].privateKey);
  }
}
