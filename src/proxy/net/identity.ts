import { hash, X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { NameMatch, TlsSettings } from '../config/table.ts';
import type { UpstreamTlsFacts } from '../http/exchange.ts';
import type { TlsConnection } from '../openssl/connection.ts';
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

/** Peers come again: what their certificates say is read once. Oldest first. */
const known = new Map<string, PeerIdentity>();
const maxKnown = 1024;

/** What a certificate (DER) says; of a peer's, once it is proven. */
export function identityOf(certificate: Buffer): PeerIdentity {
  const fingerprint = hash('sha256', certificate, 'hex');
  const before = known.get(fingerprint);
  if (before !== undefined) return before;
  if (known.size >= maxKnown) known.delete(known.keys().next().value as string);
  const facts = readFacts(new X509Certificate(certificate));
  known.set(fingerprint, facts);
  return facts;
}

function readFacts(certificate: X509Certificate): PeerIdentity {
  const names = alternativeNames(certificate.subjectAltName);
  return {
    principal: names.uriSans[0] ?? '',
    ...names,
    subject: nameText(certificate.subject),
    issuer: nameText(certificate.issuer),
    serial: plainHex(certificate.serialNumber),
    fingerprint: plainHex(certificate.fingerprint256),
    fingerprint1: plainHex(certificate.fingerprint),
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
  };
}

/** By the certificate as its context keeps it: renewed ones must not push peers out of what is known. */
const owns = new WeakMap<Buffer, CertificateFacts>();

/** The certificate that this side showed. */
export function ownCertificate({ ownCertificate: own }: TlsConnection): CertificateFacts | null {
  if (own === null) return null;
  let facts = owns.get(own);
  if (facts === undefined) {
    facts = readFacts(new X509Certificate(own));
    owns.set(own, facts);
  }
  return facts;
}

/** What a handshake towards an upstream agreed on, and the certificates of both sides. */
export function upstreamTls(connection: TlsConnection): UpstreamTlsFacts {
  const peer = connection.peerCertificate;
  return {
    version: connection.version,
    cipher: connection.cipher,
    sni: connection.serverName,
    peer: peer === null ? null : identityOf(peer),
    own: ownCertificate(connection),
  };
}

/** Whether one of the certificate's names matches one of the required ones. */
function namesMatch(required: readonly NameMatch[], names: AlternativeNames): boolean {
  const { uriSans, dnsSans, emailSans, ipSans } = names;
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

/** What a peer's certificate (DER) lacks besides a chain to the trust bundle, or null. */
export function certificateFault(
  certificate: Buffer,
  { subjectAltNames, pins }: Pick<TlsSettings, 'subjectAltNames' | 'pins'>,
): 'name' | 'pin' | null {
  if (subjectAltNames.length > 0 && !namesMatch(subjectAltNames, identityOf(certificate))) return 'name';
  if (pins === null || pins.certificates.has(hash('sha256', certificate, 'hex'))) return null;
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return pins.keys.has(hash('sha256', key, 'base64')) ? null : 'pin';
}

/** What the reason of a refused handshake says of it. */
export const faultText = {
  name: 'holds none of the required names',
  pin: 'is none of the pinned ones',
} as const;
