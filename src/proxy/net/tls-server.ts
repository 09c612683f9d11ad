import type { DownstreamTls } from '../config/table.ts';
import { TlsConnection } from '../openssl/connection.ts';
import { forgetPeerKeySoon } from '../openssl/peer-keys.ts';
import type { CertificateFacts, PeerIdentity } from './connection.ts';
import type { ClientHello } from './detect.ts';
import { certificateFault, faultText, identityOf, ownCertificate } from './identity.ts';
import type { Secrets } from './secrets.ts';
import type { Transport } from './transport.ts';

/** What a handshake agreed on. */
export interface Terminated {
  readonly peer: PeerIdentity | null;
  readonly ownCertificate: CertificateFacts | null;
  readonly alpn: string;
  readonly version: string;
  readonly cipher: string;
}

/** A handshake that takes longer is dropped: half-made connections must not pile up. */
export const handshakeTimeoutMs = 15_000;

/**
 * Ends TLS on a connection whose ClientHello was peeked at: `peeked` goes into the handshake first. Calls `done` once,
 * with null and the reason when the handshake failed or the client's certificate does not satisfy `tls`.
 */
export function terminateTls(
  transport: Transport,
  peeked: Buffer,
  hello: ClientHello,
  tls: DownstreamTls,
  secrets: Secrets,
  done: (terminated: Terminated | null, reason: string) => void,
): void {
  const context = secrets.context(tls, hello.sni, tls.scansAll);
  if (context === null) {
    transport.reset();
    done(null, `certificate ${tls.certificates.join(', ')} or trust ${tls.trust} has not arrived yet`);
    return;
  }
  const asks = tls.trust !== null || tls.pins !== null || tls.requireClientCertificate;
  const enforces = tls.trust !== null && !tls.acceptUntrusted;
  const connection = TlsConnection.server(context, {
    verification: enforces ? 'enforced' : asks ? 'told' : 'none',
    requiresCertificate: tls.requireClientCertificate,
    // No protocol in common goes on without one (RFC 7301 asks for an alert, Envoy carries on, and callers rely on it).
    alpn: tls.alpn.find((protocol) => hello.alpn.includes(protocol)) ?? null,
  });
  let settled = false;
  const settle = (terminated: Terminated | null, reason: string) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (terminated === null) transport.destroy();
    done(terminated, reason);
  };
  const timer = setTimeout(() => settle(null, 'TLS handshake timed out'), handshakeTimeoutMs);
  transport.receiver = {
    ...detached,
    onEnd: () => settle(null, 'closed during the TLS handshake'),
    onClose: (error) => settle(null, failureText(connection, error)),
  };
  transport.secure(connection, () => {
    const certificate = asks ? connection.peerCertificate : null;
    const fault = certificate === null ? null : certificateFault(certificate, tls);
    if (fault !== null) {
      settle(null, `the client's certificate ${faultText[fault]}`);
      return;
    }
    const peer = certificate !== null && proves(connection, tls) ? identityOf(certificate) : null;
    if (certificate !== null) {
      connection.forgetPeerChain();
      forgetPeerKeySoon(connection);
    }
    const { alpn, version, cipher } = connection;
    settle({ peer, ownCertificate: ownCertificate(connection), alpn, version, cipher }, '');
  });
  transport.take(peeked, peeked.length);
  transport.socket.resume();
}

const detached = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** Why the handshake ended early. */
function failureText({ refusal }: TlsConnection, error: Error | null): string {
  if (refusal !== null) return `the client's certificate is not trusted: ${refusal}`;
  return error?.message ?? 'closed during the TLS handshake';
}

/** A certificate proves its holder only when something was held against it. */
function proves(connection: TlsConnection, tls: DownstreamTls): boolean {
  if (tls.pins !== null) return true;
  return tls.trust !== null && (!tls.acceptUntrusted || connection.verifyError === null);
}
