/** Whether what is given as a certificate can be one. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { TlsSecret } from '../serve/gateway-secrets.ts';

/** Why a server cannot show it, or null. */
export function certificateFault(tls: TlsSecret | null): string | null {
  if (!tls?.certificate || !tls.key) return 'holds no certificate with its key (tls.crt, tls.key)';
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(tls.certificate);
  } catch {
    return 'tls.crt is no certificate in PEM';
  }
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(tls.key))) return 'tls.key is not the key of tls.crt';
  } catch {
    return 'tls.key is no private key in PEM';
  }
  return null;
}

/** The text itself when every part of it is a certificate, else null. */
export function readableCertificates(pem: string | undefined): string | null {
  const parts = pem?.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (parts.length === 0) return null;
  try {
    for (const part of parts) new X509Certificate(part);
    return `${parts.join('\n')}\n`;
  } catch {
    return null;
  }
}
