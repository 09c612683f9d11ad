/** TLS settings of the mesh's own kind, and those that resources ask for. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServerTlsSettings } from '../../api/istio/gateway.ts';
import type { TransportSocketSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ApiConfigSource_ApiType, ApiVersion } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import { ProxyProtocolConfig_Version } from '../../xds/gen/envoy/config/core/v3/proxy_protocol_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../../xds/gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { RawBufferSchema } from '../../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import { TlsParameters_TlsProtocol } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { SdsSecretConfigSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { StringMatcherSchema } from '../../xds/gen/envoy/type/matcher/v3/string_pb.js';
import { any } from './message.ts';

type TransportSocket = MessageInitShape<typeof TransportSocketSchema>;
type CommonTls = MessageInitShape<typeof CommonTlsContextSchema>;
type StringMatcher = MessageInitShape<typeof StringMatcherSchema>;

/** The workload's own certificate and the mesh's roots come from its agent, never from the control plane. */
function fromAgent(name: 'default' | 'ROOTCA'): MessageInitShape<typeof SdsSecretConfigSchema> {
  return {
    name,
    sdsConfig: {
      resourceApiVersion: ApiVersion.V3,
      configSourceSpecifier: {
        case: 'apiConfigSource',
        value: {
          apiType: ApiConfigSource_ApiType.GRPC,
          transportApiVersion: ApiVersion.V3,
          setNodeOnFirstMessageOnly: true,
          grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'sds-grpc' } } }],
        },
      },
    },
  };
}

function fromControlPlane(name: string): MessageInitShape<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: { resourceApiVersion: ApiVersion.V3, configSourceSpecifier: { case: 'ads', value: {} } } };
}

function meshContext(alpn: string[], subjectAltNames: StringMatcher[]): CommonTls {
  return {
    alpnProtocols: alpn,
    tlsParams: {
      tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2,
      tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
    },
    tlsCertificateSdsSecretConfigs: [fromAgent('default')],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: { matchSubjectAltNames: subjectAltNames },
        validationContextSdsSecretConfig: fromAgent('ROOTCA'),
      },
    },
  };
}

/** ALPN that a mesh client offers: how the server tells mutual TLS of the mesh, and what is inside. */
export const meshAlpn = {
  http: ['istio-http/1.1', 'istio'],
  http2: ['istio-h2', 'istio', 'h2'],
  /** Also for a port whose protocol is detected: whoever finds HTTP on it offers `istio-http/1.1` instead. */
  tcp: ['istio-peer-exchange', 'istio'],
} as const;

/**
 * What an inbound chain of mutual TLS chooses from: for HTTP the names that say which version is inside (Istio's list), then those of clients
 * that offer nothing else.
 */
export const meshServerOffer = {
  http: ['h2', 'http/1.1', 'istio-http/1.1', 'istio'],
  tcp: ['istio-peer-exchange', 'istio'],
} as const;

/** What an inbound chain takes for mutual TLS of the mesh. */
export const meshServerAlpn = {
  all: ['istio', 'istio-peer-exchange', 'istio-http/1.0', 'istio-http/1.1', 'istio-h2'],
  http: ['istio-http/1.0', 'istio-http/1.1', 'istio-h2'],
  tcp: ['istio', 'istio-peer-exchange'],
} as const;

const tlsSocket = 'envoy.transport_sockets.tls';

export const rawSocket: TransportSocket = {
  name: 'envoy.transport_sockets.raw_buffer',
  configType: { case: 'typedConfig', value: any(RawBufferSchema, {}) },
};

/** A transport that says first whose connection it carries (Envoy: upstream_proxy_protocol). */
export function tellingSocket(version: 'V1' | 'V2', transportSocket: TransportSocket = rawSocket): TransportSocket {
  const config = { version: version === 'V2' ? ProxyProtocolConfig_Version.V2 : ProxyProtocolConfig_Version.V1 };
  const value = any(ProxyProtocolUpstreamTransportSchema, { config, transportSocket });
  return {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    configType: { case: 'typedConfig', value },
  };
}

export function meshUpstream(
  sni: string,
  alpn: readonly string[],
  subjectAltNames: readonly string[],
): TransportSocket {
  return {
    name: tlsSocket,
    configType: {
      case: 'typedConfig',
      value: any(UpstreamTlsContextSchema, {
        sni,
        commonTlsContext: meshContext([...alpn], subjectAltNames.map(exactly)),
      }),
    },
  };
}

export function meshDownstream(trustDomains: readonly string[], alpn: readonly string[]): TransportSocket {
  const prefixes: StringMatcher[] = trustDomains.map((domain) => ({
    matchPattern: { case: 'prefix', value: `spiffe://${domain}/` },
  }));
  return {
    name: tlsSocket,
    configType: {
      case: 'typedConfig',
      value: any(DownstreamTlsContextSchema, {
        requireClientCertificate: true,
        commonTlsContext: meshContext([...alpn], prefixes),
      }),
    },
  };
}

const exactly = (value: string): StringMatcher => ({ matchPattern: { case: 'exact', value } });

export interface OriginationSettings {
  sni: string;
  subjectAltNames: readonly string[];
  alpn: readonly string[];
  credentialName: string;
  /** A file, or PEM itself. */
  caCertificates: string;
  clientCertificate: string;
  privateKey: string;
  insecureSkipVerify: boolean;
}

const pem = '-----BEGIN';

/** TLS that a DestinationRule asks for towards a server outside the mesh. Without a CA the system's own is used, as Istio does. */
export function plainUpstream(settings: OriginationSettings): TransportSocket {
  const { sni, credentialName, insecureSkipVerify } = settings;
  const common: CommonTls = { alpnProtocols: [...settings.alpn] };
  if (settings.clientCertificate)
    common.tlsCertificates = [
      {
        certificateChain: { specifier: { case: 'filename', value: settings.clientCertificate } },
        privateKey: { specifier: { case: 'filename', value: settings.privateKey } },
      },
    ];
  const trusted = settings.caCertificates || '/etc/ssl/certs/ca-certificates.crt';
  if (credentialName)
    common.validationContextType = {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: { matchSubjectAltNames: settings.subjectAltNames.map(exactly) },
        validationContextSdsSecretConfig: fromControlPlane(`kubernetes://${credentialName}-cacert`),
      },
    };
  else if (!insecureSkipVerify)
    common.validationContextType = {
      case: 'validationContext',
      value: {
        matchSubjectAltNames: settings.subjectAltNames.map(exactly),
        trustedCa: {
          specifier: trusted.startsWith(pem)
            ? { case: 'inlineString', value: trusted }
            : { case: 'filename', value: trusted },
        },
      },
    };
  return {
    name: tlsSocket,
    configType: { case: 'typedConfig', value: any(UpstreamTlsContextSchema, { sni, commonTlsContext: common }) },
  };
}

/** What a gateway offers where it speaks HTTP. */
export const httpAlpn = ['h2', 'http/1.1'] as const;

/** A Secret of the gateway's own namespace unless the name says more. */
const secretName = (credential: string): string =>
  credential.includes('://') ? credential : `kubernetes://${credential}`;

/** What neither Envoy by itself nor our proxy offers (RFC 8996) is left out; `gateway.ts` tells of it. */
const versions: Readonly<Record<string, TlsParameters_TlsProtocol>> = {
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

/** A gateway server's TLS: SIMPLE shows a certificate, MUTUAL asks for one as well, ISTIO_MUTUAL is the mesh's own. */
export function gatewayDownstream(
  credentials: readonly string[],
  mode: 'SIMPLE' | 'MUTUAL' | 'OPTIONAL_MUTUAL',
  tls: ServerTlsSettings,
  alpn: readonly string[],
): TransportSocket {
  const { cipherSuites = [], ecdhCurves = [], subjectAltNames = [] } = tls;
  const [least, most] = [tls.minProtocolVersion, tls.maxProtocolVersion].map((version) => versions[version ?? ''] ?? 0);
  const common: CommonTls = {
    alpnProtocols: [...alpn],
    tlsCertificateSdsSecretConfigs: credentials.map((credential) => fromControlPlane(secretName(credential))),
  };
  if (least + most + cipherSuites.length + ecdhCurves.length > 0)
    common.tlsParams = {
      tlsMinimumProtocolVersion: least,
      tlsMaximumProtocolVersion: most,
      cipherSuites: [...cipherSuites],
      ecdhCurves: [...ecdhCurves],
    };
  if (mode !== 'SIMPLE')
    common.validationContextType = {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: {
          matchSubjectAltNames: subjectAltNames.map(exactly),
          verifyCertificateHash: [...(tls.verifyCertificateHash ?? [])],
          verifyCertificateSpki: [...(tls.verifyCertificateSpki ?? [])],
        },
        validationContextSdsSecretConfig: fromControlPlane(`${secretName(credentials[0])}-cacert`),
      },
    };
  return {
    name: tlsSocket,
    configType: {
      case: 'typedConfig',
      value: any(DownstreamTlsContextSchema, { requireClientCertificate: mode === 'MUTUAL', commonTlsContext: common }),
    },
  };
}
