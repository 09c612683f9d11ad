/** What is known about one accepted connection before any request is read; it does not change afterwards. */

export interface Address {
  /** Textual IPv4 or IPv6 address, an IPv4-mapped one unwrapped; a path for a Unix socket; '' when unknown. */
  readonly ip: string;
  readonly port: number;
}

/** What a certificate says of itself. */
export interface CertificateFacts {
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  readonly ipSans: readonly string[];
  readonly emailSans: readonly string[];
  /** RFC 2253 text, as Envoy's %DOWNSTREAM_PEER_SUBJECT% writes it. */
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** SHA-256 of the DER certificate, lower-case hex: the Hash element of x-forwarded-client-cert. */
  readonly fingerprint: string;
  /** SHA-1 of the same. */
  readonly fingerprint1: string;
  /** Milliseconds since the epoch. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** The identity that a client certificate proved, after it chained to the trust bundle. */
export interface PeerIdentity extends CertificateFacts {
  /** The first URI subject alternative name, `spiffe://…`; '' when the certificate holds none. */
  readonly principal: string;
}

/** Both ends of a connection. */
export interface Addresses {
  /** The caller: what a PROXY protocol header says, else what the socket shows. */
  readonly remote: Address;
  /** The peer that the socket shows (Envoy: direct remote address). */
  readonly socketRemote: Address;
  /** Where the caller meant to go: the original destination when the traffic was redirected, else the local address. */
  readonly local: Address;
  /** The address of the socket itself, before the original destination replaces it. */
  readonly socketLocal: Address;
}

export interface ConnectionFacts extends Addresses {
  /** Grows by one with each accepted connection of this process. */
  readonly id: number;
  readonly listener: string;
  readonly filterChain: string;
  readonly direction: 'inbound' | 'outbound' | 'unspecified';
  readonly tls: boolean;
  /** True when the client proved an identity by certificate. */
  readonly mtls: boolean;
  /** URI name of the certificate that this side showed; ''. */
  readonly ownPrincipal: string;
  readonly peer: PeerIdentity | null;
  /** The certificate that this side showed; null without TLS. */
  readonly ownCertificate: CertificateFacts | null;
  /** Server name of the ClientHello, seen whether or not TLS ends here; ''. */
  readonly sni: string;
  /** Protocols that the ClientHello offered, in its order. */
  readonly offeredAlpn: readonly string[];
  /** Protocol that the handshake agreed on; ''. */
  readonly alpn: string;
  /** `TLSv1.3`; '' without TLS. */
  readonly tlsVersion: string;
  readonly tlsCipher: string;
  /** Milliseconds since the epoch. */
  readonly acceptedAtMs: number;
}

/** Turns an IPv4-mapped IPv6 address into IPv4; leaves everything else. */
export function unmapped(ip: string): string {
  return ip.startsWith('::ffff:') && ip.includes('.', 7) ? ip.slice(7) : ip;
}

export const unknownAddress: Address = { ip: '', port: 0 };
