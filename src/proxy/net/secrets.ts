import type { SecureContext } from 'node:tls';

export interface SecretRequest {
  /** Name of the certificate and key; null for none (a client that does not show one). */
  readonly certificate: string | null;
  /** Name of the trust bundle; null trusts nothing and validates nothing. */
  readonly trust: string | null;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** The TLS material of this proxy, kept fresh elsewhere (SDS names `default` and `ROOTCA`, or names made for inline PEM). */
export interface Secrets {
  /**
   * The context for a handshake that starts now. The same object comes back until one of its secrets is renewed: sessions
   * and pools are kept under it. Null while a secret has not arrived; the handshake is then refused.
   */
  context(request: SecretRequest): SecureContext | null;
}
