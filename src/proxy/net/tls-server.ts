import type { X509Certificate } from 'node:crypto';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { DownstreamTls } from '../config/table.ts';
import type { CertificateFacts, PeerIdentity } from './connection.ts';
import type { ClientHello } from './detect.ts';
import { certificateFault, faultText, identityOf, ownCertificate } from './identity.ts';
import type { Secrets } from './secrets.ts';
import { Transport } from './transport.ts';

export interface Terminated {
  readonly transport: Transport;
  readonly peer: PeerIdentity | null;
  readonly ownCertificate: CertificateFacts | null;
  readonly alpn: string;
  readonly version: string;
  readonly cipher: string;
}

/** A handshake that takes longer is dropped: half-made connections must not pile up. */
export const handshakeTimeoutMs = 15_000;

/**
 * Node gathers what comes in a buffer of 1 KiB for each connection, and adds one of 16 KiB for good when that is full: a large
 * ClientHello (a post-quantum key share has 1.2 KiB) goes to OpenSSL in pieces that never fill it. 16 KiB an idle connection.
 */
const pieceBytes = 1023;

/**
 * Ends TLS on a connection whose ClientHello was peeked at: `peeked` goes into the handshake first. Calls `done` once,
 * with null and the reason when the handshake failed or the client's certificate does not satisfy `tls`.
 */
export function terminateTls(
  plain: Transport,
  peeked: Buffer,
  hello: ClientHello,
  tls: DownstreamTls,
  secrets: Secrets,
  done: (terminated: Terminated | null, reason: string) => void,
): void {
  const context = secrets.context(tls, hello.sni, tls.scansAll);
  if (context === null) {
    plain.reset();
    done(null, `certificate ${tls.certificates.join(', ')} or trust ${tls.trust} has not arrived yet`);
    return;
  }
  // No protocol in common goes on without one (RFC 7301 asks for an alert, Envoy carries on, and callers rely on it).
  const alpn = tls.alpn.find((protocol) => hello.alpn.includes(protocol));
  const socket = plain.socket;
  plain.receiver = detached;
  // A flowing socket would hand these bytes to nobody; TLSSocket takes what waits in a paused one, then reads by itself.
  socket.pause();
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext: context,
    requestCert: tls.trust !== null || tls.pins !== null || tls.requireClientCertificate,
    // Judged below, so that the reason can be told.
    rejectUnauthorized: false,
    ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
  });
  const transport = new Transport(true);
  transport.attach(secure);
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
    onClose: (error) => settle(null, error?.message ?? 'closed during the TLS handshake'),
  };
  secure.once('secure', () => {
    const asks = tls.trust !== null || tls.pins !== null || tls.requireClientCertificate;
    const certificate = asks ? secure.getPeerX509Certificate() : undefined;
    const refusal = asks ? judge(secure, tls, certificate) : null;
    if (refusal !== null) {
      settle(null, refusal);
      return;
    }
    settle(
      {
        transport,
        peer: certificate !== undefined && proves(secure, tls) ? identityOf(certificate) : null,
        ownCertificate: ownCertificate(secure, context as SecureContext),
        alpn: secure.alpnProtocol || '',
        version: secure.getProtocol() ?? '',
        cipher: secure.getCipher()?.standardName ?? '',
      },
      '',
    );
  });
  const { _handle } = secure as unknown as { _handle: { receive(bytes: Buffer): void } | null };
  for (let at = 0; at < peeked.length; at += pieceBytes) _handle?.receive(peeked.subarray(at, at + pieceBytes));
}

const detached = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** Why the client's certificate is not enough, or null. */
function judge(socket: TLSSocket, tls: DownstreamTls, certificate: X509Certificate | undefined): string | null {
  if (certificate === undefined) return tls.requireClientCertificate ? 'the client showed no certificate' : null;
  if (tls.trust !== null && !tls.acceptUntrusted) {
    const reason = verifyError(socket);
    if (reason !== null) return `the client's certificate is not trusted: ${reason.message}`;
  }
  const fault = certificateFault(certificate, tls);
  return fault === null ? null : `the client's certificate ${faultText[fault]}`;
}

/** A certificate proves its holder only when something was held against it. */
function proves(socket: TLSSocket, tls: DownstreamTls): boolean {
  if (tls.pins !== null) return true;
  return tls.trust !== null && (!tls.acceptUntrusted || verifyError(socket) === null);
}

/** OpenSSL's verdict on the chain; Node tells it only after a handshake that was not left to the caller to judge. */
function verifyError(socket: TLSSocket): Error | null {
  const { _handle } = socket as unknown as { _handle: { verifyError(): Error | null } | null };
  return _handle === null ? new Error('the connection is gone') : _handle.verifyError();
}
