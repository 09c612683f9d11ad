/** Gateway (networking.istio.io): ports that a gateway's proxies listen on. https://istio.io/latest/docs/reference/config/networking/gateway/ */
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, object, required, ruled, uint32 } from '../schema/schema.ts';
import { flag, type IstioStatus, labelMap, networkingKind, optionalFlag, text, texts } from './common.ts';
import { checkGateway, checkServer } from './rules/gateway-rules.ts';

const tlsVersion = enumOf(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3']);

const certificateFiles = object({ caCertificates: text, privateKey: text, serverCertificate: text });

export const serverTls = object(
  {
    caCertCredentialName: text,
    caCertificates: text,
    caCrl: text,
    cipherSuites: texts,
    credentialName: text,
    credentialNames: array(text, { minItems: 1, maxItems: 2 }),
    ecdhCurves: texts,
    httpsRedirect: flag,
    insecureSkipVerify: optionalFlag,
    maxProtocolVersion: tlsVersion,
    minProtocolVersion: tlsVersion,
    mode: enumOf(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL']),
    privateKey: text,
    serverCertificate: text,
    subjectAltNames: texts,
    tlsCertificates: array(certificateFiles, { minItems: 1, maxItems: 2 }),
    verifyCertificateHash: texts,
    verifyCertificateSpki: texts,
  },
  {
    cel: [
      {
        rule: '(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1',
        message: 'credentialNames and tlsCertificates cannot be set together',
        holds: (tls) => !(tls.tlsCertificates && tls.credentialNames),
      },
      {
        rule: '(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1',
        message: 'credentialName and credentialNames cannot be set together',
        holds: (tls) => !(tls.credentialName !== undefined && tls.credentialNames),
      },
    ],
  },
);

const serverPort = object({
  name: required(text),
  number: required(uint32()),
  protocol: required(text),
  targetPort: uint32(),
});

const server = object({
  bind: text,
  defaultEndpoint: text,
  hosts: required(texts),
  name: text,
  port: required(serverPort),
  tls: serverTls,
});

const spec = object({ selector: labelMap, servers: array(ruled(server, checkServer)) });

export type ServerTlsSettings = Infer<typeof serverTls>;
export type ServerPort = Infer<typeof serverPort>;
export type Server = Infer<typeof server>;
export type GatewaySpec = Infer<typeof spec>;
export type Gateway = KubeObject<'Gateway', GatewaySpec, IstioStatus>;

export const gateway = networkingKind({
  kind: 'Gateway',
  plural: 'gateways',
  shortName: 'gw',
  columns: [],
  spec,
  rules: [checkGateway],
});
