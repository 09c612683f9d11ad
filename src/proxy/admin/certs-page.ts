/** /certs: the certificates that are in use, without their keys (envoy.admin.v3.Certificates). */
import { X509Certificate } from 'node:crypto';
import type { SecretStore } from '../config/secret-store.ts';
import { alternativeNames } from '../net/identity.ts';

export function certificates(secrets: SecretStore): object[] {
  return secrets.names.flatMap((name) => {
    const secret = secrets.get(name);
    if (!secret) return [];
    const bundle = (secret.kind === 'trust' ? secret.roots : secret.chain).toString();
    const told = (bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((pem) =>
      certificate(name, new X509Certificate(pem)),
    );
    return [secret.kind === 'trust' ? { ca_cert: told, cert_chain: [] } : { ca_cert: [], cert_chain: told }];
  });
}

function certificate(path: string, { serialNumber, subjectAltName, validFrom, validTo }: X509Certificate): object {
  const { uriSans, dnsSans, ipSans } = alternativeNames(subjectAltName);
  return {
    path,
    serial_number: serialNumber.toLowerCase(),
    subject_alt_names: [
      ...dnsSans.map((dns) => ({ dns })),
      ...uriSans.map((uri) => ({ uri })),
      ...ipSans.map((ip) => ({ ip_address: ip })),
    ],
    days_until_expiration: `${Math.max(0, Math.floor((Date.parse(validTo) - Date.now()) / 86_400_000))}`,
    valid_from: new Date(validFrom).toISOString().replace('.000', ''),
    expiration_time: new Date(validTo).toISOString().replace('.000', ''),
  };
}
