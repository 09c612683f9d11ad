/** TLS material that gateways ask for by SDS, `kubernetes://NAME`: from Secrets of the gateway's own namespace. */
import { create } from '@bufbuild/protobuf';
import {
  SecretSchema,
  type Secret as XdsSecret,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { encodeResources, type Resource } from './resources.ts';

export interface SecretSource {
  /**
   * By resource name, everything that a gateway of `namespace` may have: the certificates of its own namespace, and those, as
   * `namespace/name`, that the Gateways it serves refer to (`kubernetes-gateway://NAMESPACE/NAME`).
   */
  of(namespace: string, granted: readonly string[]): ReadonlyMap<string, Resource>;
  onChange(listener: () => void): void;
}

/** PEM under the names that Secrets of type `kubernetes.io/tls`, or Istio's generic ones, use. */
export interface TlsSecret {
  certificate: string;
  key: string;
  trust: string;
}

/** From a Secret's `data` (base64). Null when it holds nothing of TLS. Istio's rule: `tls.crt`/`tls.key` or `cert`/`key`, with `ca.crt` or `cacert`. */
export function tlsSecretOf(data: { [key: string]: string } | undefined): TlsSecret | null {
  if (!data) return null;
  const text = (...names: string[]) => {
    const found = names.find((name) => data[name]);
    return found ? Buffer.from(data[found], 'base64').toString() : '';
  };
  const secret = { certificate: text('tls.crt', 'cert'), key: text('tls.key', 'key'), trust: text('ca.crt', 'cacert') };
  return (secret.certificate && secret.key) || secret.trust ? secret : null;
}

/** The resources of one Secret: `kubernetes://NAME` is its certificate, `kubernetes://NAME-cacert` whom it trusts (Istio's names). */
export function resourcesOfSecret(
  name: string,
  { certificate, key, trust }: TlsSecret,
  scheme: 'kubernetes' | 'kubernetes-gateway' = 'kubernetes',
): Map<string, Resource> {
  const inline = (text: string) => ({ specifier: { case: 'inlineString' as const, value: text } });
  const secrets: XdsSecret[] = [];
  if (certificate && key) {
    const value = { certificateChain: inline(certificate), privateKey: inline(key) };
    secrets.push(create(SecretSchema, { name: `${scheme}://${name}`, type: { case: 'tlsCertificate', value } }));
  }
  if (trust) {
    const resource = name.endsWith('-cacert') && !certificate ? name : `${name}-cacert`;
    const value = { trustedCa: inline(trust) };
    secrets.push(create(SecretSchema, { name: `${scheme}://${resource}`, type: { case: 'validationContext', value } }));
  }
  return encodeResources('', { secret: secrets }).types.secret as Map<string, Resource>;
}
