import type { StringMatch } from '../match.ts';

/** What both sides of TLS are configured with. */
export interface TlsSettings {
  readonly alpn: readonly string[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** Null leaves what this proxy prefers. */
  readonly parameters: TlsParameters | null;
  /** Name of the trust bundle, or null. */
  readonly trust: string | null;
  /** The peer's certificate must hold one of these names; empty accepts any that chains. */
  readonly subjectAltNames: readonly NameMatch[];
  /** Null for none: whose certificate is taken by its digest. */
  readonly pins: CertificatePins | null;
  /** Takes a certificate that does not chain to the trust bundle too (Envoy: ACCEPT_UNTRUSTED). */
  readonly acceptUntrusted: boolean;
}

/** In OpenSSL's words; '' for its own choice. */
export interface TlsParameters {
  readonly ciphers: string;
  readonly groups: string;
  readonly signatureAlgorithms: string;
  /** Seconds that a session may be resumed; 0 for OpenSSL's own (Envoy: session_timeout). */
  readonly sessionSeconds: number;
  readonly issuesTickets: boolean;
  /** Keys of the tickets that a server gives, 80 bytes, or null for keys of this process. */
  readonly ticketKeys: Buffer | null;
}

export interface NameMatch extends StringMatch {
  readonly type: 'uri' | 'dns' | 'email' | 'ip' | 'any';
}

export interface CertificatePins {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly certificates: ReadonlySet<string>;
  /** SHA-256 of the SubjectPublicKeyInfo, base64. */
  readonly keys: ReadonlySet<string>;
}
