/**
 * A PKCS#10 request (RFC 2986) for a SPIFFE identity. Written out in DER here, since a library for it would cost the proxy
 * more memory than the rest of its agent; the key and the signature are node:crypto's.
 */
import { type KeyObject, sign } from 'node:crypto';

function der(tag: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), body]);
}

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const set = (...parts: Buffer[]): Buffer => der(0x31, ...parts);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

const extensionRequest = oid('2a864886f70d01090e');
const subjectAltName = oid('551d11');
const ecdsaWithSha256 = oid('2a8648ce3d040302');
const uriName = 0x86;
const version0 = der(0x02, Buffer.of(0));

/** PEM of a request with an empty subject and `uri` as its subject alternative name, signed with an EC key. */
export function certificateRequest(key: { publicKey: KeyObject; privateKey: KeyObject }, uri: string): string {
  const names = sequence(der(uriName, Buffer.from(uri)));
  // The subject is empty, so the extension is critical (RFC 5280 §4.2.1.6).
  const extension = sequence(subjectAltName, der(0x01, Buffer.of(0xff)), der(0x04, names));
  const attributes = der(0xa0, sequence(extensionRequest, set(sequence(extension))));
  const info = sequence(version0, sequence(), key.publicKey.export({ type: 'spki', format: 'der' }), attributes);
  const signature = sign('sha256', info, key.privateKey);
  const request = sequence(info, sequence(ecdsaWithSha256), der(0x03, Buffer.of(0), signature));
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}
