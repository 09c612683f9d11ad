import { X509Certificate } from 'node:crypto';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { StringMatch } from '../config/match.ts';
import type { PeerIdentity } from './connection.ts';

/**
 * Splits Node's text form of subject alternative names, `URI:spiffe://…, DNS:a.b`. Node writes a value that holds a comma,
 * quote or control character as a JSON string, so that no name can pretend to be two.
 */
export function alternativeNames(text: string | undefined): { uriSans: string[]; dnsSans: string[] } {
  const uriSans: string[] = [];
  const dnsSans: string[] = [];
  const entry = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)/gy;
  for (let match = entry.exec(text ?? ''); match !== null; match = entry.exec(text ?? '')) {
    let value = match[2];
    if (value.startsWith('"')) {
      try {
        value = String(JSON.parse(value));
      } catch {
        continue;
      }
    }
    if (match[1] === 'URI') uriSans.push(value);
    else if (match[1] === 'DNS') dnsSans.push(value);
  }
  return { uriSans, dnsSans };
}

/** Node lists a subject one attribute a line, first to last; RFC 2253 writes it last to first with commas. */
function subjectText(subject: string | undefined): string {
  return (subject ?? '').split('\n').filter(Boolean).reverse().join(',');
}

/** The identity in a peer's certificate; null when it showed none. */
export function peerIdentity(socket: TLSSocket): PeerIdentity | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  const { uriSans, dnsSans } = alternativeNames(certificate.subjectAltName);
  return {
    principal: uriSans[0] ?? '',
    uriSans,
    dnsSans,
    subject: subjectText(certificate.subject),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

const ownPrincipals = new WeakMap<SecureContext, string>();

/** The URI name of the certificate that this side showed, for the By element of x-forwarded-client-cert; ''. */
export function ownPrincipal(socket: TLSSocket, context: SecureContext): string {
  let principal = ownPrincipals.get(context);
  if (principal === undefined) {
    const own = socket.getX509Certificate();
    principal = own instanceof X509Certificate ? (alternativeNames(own.subjectAltName).uriSans[0] ?? '') : '';
    ownPrincipals.set(context, principal);
  }
  return principal;
}

/** Whether one of the certificate's names matches one of the required ones; nothing required always does. */
export function namesMatch(required: readonly StringMatch[], text: string | undefined): boolean {
  if (required.length === 0) return true;
  const { uriSans, dnsSans } = alternativeNames(text);
  return required.some(({ test }) => uriSans.some(test) || dnsSans.some(test));
}
