import type { TlsSettings } from '../config/table.ts';
import type { TlsContext } from '../openssl/context.ts';

export interface SecretRequest extends Pick<TlsSettings, 'trust' | 'minVersion' | 'maxVersion' | 'parameters'> {
  /** Names of certificates with their keys; empty for none (a client that does not show one). */
  readonly certificates: readonly string[];
}

/** The TLS material of this proxy, kept fresh elsewhere (SDS names `default` and `ROOTCA`, or names made for inline PEM). */
export interface Secrets {
  /**
   * The context for a handshake that starts now. The same object comes back until one of its secrets is renewed: sessions
   * and pools are kept under it. Of several certificates those are shown that hold `serverName` (lower case; ''), exactly or
   * by wildcard; when none does, the first, or the first of each kind of key (`scansAll`). Null while a secret has not
   * arrived; the handshake is then refused.
   */
  context(request: SecretRequest, serverName: string, scansAll: boolean): TlsContext | null;
}
