import { hash, X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { NameMatch, TlsSettings } from '../config/table.ts';
import type { UpstreamTlsFacts } from '../http/exchange.ts';
import type { CertificateFacts, PeerIdentity } from './connection.ts';

type AlternativeNames = Pick<CertificateFacts, 'uriSans' | 'dnsSans' | 'ipSans' | 'emailSans'>;

/**
 * Splits Node's text form of subject alternative names, `URI:spiffe://…, DNS:a.b`. Node writes a value that holds a comma,
 * quote or control character as a JSON string, so that no name can pretend to be two.
 */
export function alternativeNames(text: string | undefined): AlternativeNames {
  const names = { URI: [] as string[], DNS: [] as string[], 'IP Address': [] as string[], email: [] as string[] };
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
    if (Object.hasOwn(names, match[1])) names[match[1] as keyof typeof names].push(value);
  }
  return { uriSans: names.URI, dnsSans: names.DNS, ipSans: names['IP Address'], emailSans: names.email };
}

/** Node lists a name one attribute a line, first to last; RFC 2253 writes it last to first with commas. */
function nameText(name: string | undefined): string {
  return (name ?? '').split('\n').filter(Boolean).reverse().join(',');
}

const plainHex = (text: string): string => text.replaceAll(':', '').toLowerCase();

function certificateFacts(certificate: X509Certificate): CertificateFacts {
  return {
    ...alternativeNames(certificate.subjectAltName),
    subject: nameText(certificate.subject),
    issuer: nameText(certificate.issuer),
    serial: plainHex(certificate.serialNumber),
    fingerprint: plainHex(certificate.fingerprint256),
    fingerprint1: plainHex(certificate.fingerprint),
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
  };
}

/** The identity in a peer's certificate; null when it showed none. */
export function peerIdentity(socket: TLSSocket): PeerIdentity | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  const facts = certificateFacts(certificate);
  return { principal: facts.uriSans[0] ?? '', ...facts };
}

const ownCertificates = new WeakMap<SecureContext, CertificateFacts | null>();

/** The certificate that this side showed: read once for all connections that show it. */
export function ownCertificate(socket: TLSSocket, context: SecureContext): CertificateFacts | null {
  let facts = ownCertificates.get(context);
  if (facts === undefined) {
    const own = socket.getX509Certificate();
    facts = own instanceof X509Certificate ? certificateFacts(own) : null;
    ownCertificates.set(context, facts);
  }
  return facts;
}

/** What a handshake towards an upstream agreed on, and the certificates of both sides. */
export function upstreamTls(socket: TLSSocket): UpstreamTlsFacts {
  const peer = socket.getPeerX509Certificate();
  const own = socket.getX509Certificate();
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.standardName ?? '',
    sni: (socket as unknown as { servername?: string | false }).servername || '',
    peer: peer === undefined ? null : certificateFacts(peer),
    own: own instanceof X509Certificate ? certificateFacts(own) : null,
  };
}

/** Whether one of the certificate's names matches one of the required ones; nothing required always does. */
export function namesMatch(required: readonly NameMatch[], text: string | undefined): boolean {
  if (required.length === 0) return true;
  const { uriSans, dnsSans, emailSans, ipSans } = alternativeNames(text);
  return required.some(({ type, test }) => {
    if (type === 'uri') return uriSans.some(test);
    if (type === 'dns') return dnsSans.some(test);
    if (type === 'email') return emailSans.some(test);
    if (type === 'ip') return ipSans.some((ip) => test(plainIp(ip)));
    return uriSans.some(test) || dnsSans.some(test) || emailSans.some(test) || ipSans.some((ip) => test(plainIp(ip)));
  });
}

/** OpenSSL writes IPv6 addresses in capitals with all groups. */
function plainIp(ip: string): string {
  return isIPv6(ip) ? new URL(`http://[${ip}]`).hostname.slice(1, -1) : ip;
}

/** What a peer's certificate lacks besides a chain to the trust bundle, or null. */
export function certificateFault(
  certificate: X509Certificate,
  { subjectAltNames, pins }: Pick<TlsSettings, 'subjectAltNames' | 'pins'>,
): 'name' | 'pin' | null {
  if (!namesMatch(subjectAltNames, certificate.subjectAltName)) return 'name';
  if (pins === null || pins.certificates.has(plainHex(certificate.fingerprint256))) return null;
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return pins.keys.has(hash('sha256', key, 'base64')) ? null : 'pin';
}

/** What the reason of a refused handshake says of it. */
export const faultText = {
  name: 'holds none of the required names',
  pin: 'is none of the pinned ones',
} as const;
