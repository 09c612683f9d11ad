import { hash } from 'node:crypto';
import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { RawBufferSchema } from '../../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import type {
  CertificateValidationContext,
  SubjectAltNameMatcher,
  TlsParameters,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  CertificateValidationContextSchema,
  TlsParametersSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { CommonTlsContext } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import {
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { readData } from './data-source.ts';
import { dispatch, type Field, unpack, words } from './field.ts';
import type { StringMatch } from './match.ts';
import type { References, Secret } from './references.ts';
import { compileString } from './string-match.ts';
import type { DownstreamTls, UpstreamTls } from './table.ts';

const knownDownstream =
  words(`common_tls_context require_client_certificate session_ticket_keys disable_stateless_session_resumption
  disable_stateful_session_resumption session_timeout ocsp_staple_policy full_scan_certs_on_sni_mismatch`);
const knownUpstream = words('common_tls_context sni max_session_keys enforce_rsa_key_usage');
const knownCommon = words(`tls_params tls_certificates tls_certificate_sds_secret_configs validation_context
  validation_context_sds_secret_config combined_validation_context alpn_protocols`);
// The cipher suites and curves are Node's own: a peer that speaks TLS 1.2 with ECDHE and AES-GCM, or 1.3, finds a match.
const knownParameters = words(
  'tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves signature_algorithms',
);
const knownValidation = words(
  'trusted_ca match_typed_subject_alt_names match_subject_alt_names trust_chain_verification',
);
const uri = 3;
const dns = 2;

/** Null for plain text. */
export function compileDownstreamTls(
  field: Field,
  socket: TransportSocket | undefined,
  refs: References,
): DownstreamTls | null {
  if (!socket) return null;
  return dispatch<DownstreamTls | null>(field, socket.configType, {
    [RawBufferSchema.typeName]: () => null,
    [DownstreamTlsContextSchema.typeName]: (at, any) => {
      const message = unpack(at, any, DownstreamTlsContextSchema);
      if (!message) return null;
      at.only(DownstreamTlsContextSchema, message, knownDownstream);
      const common = compileCommon(at.at('common_tls_context'), message.commonTlsContext, refs);
      if (!common.certificate) at.at('common_tls_context').fail('names no certificate');
      const { certificate, ...rest } = common;
      return {
        certificate: certificate ?? '',
        ...rest,
        requireClientCertificate: message.requireClientCertificate ?? false,
      };
    },
  });
}

/** Null for plain text. */
export function compileUpstreamTls(
  field: Field,
  socket: TransportSocket | undefined,
  refs: References,
): UpstreamTls | null {
  if (!socket) return null;
  return dispatch<UpstreamTls | null>(field, socket.configType, {
    [RawBufferSchema.typeName]: () => null,
    [UpstreamTlsContextSchema.typeName]: (at, any) => {
      const message = unpack(at, any, UpstreamTlsContextSchema);
      if (!message) return null;
      at.only(UpstreamTlsContextSchema, message, knownUpstream);
      const common = compileCommon(at.at('common_tls_context'), message.commonTlsContext, refs);
      return { ...common, sni: message.sni, autoSni: false };
    },
  });
}

function compileCommon(field: Field, context: CommonTlsContext | undefined, refs: References) {
  if (context) field.only(CommonTlsContextSchema, context, knownCommon);
  return {
    certificate: context ? compileCertificate(field, context, refs) : null,
    alpn: context?.alpnProtocols ?? [],
    ...compileValidation(field, context, refs),
    ...compileVersions(field.at('tls_params'), context?.tlsParams),
  };
}

function compileCertificate(field: Field, context: CommonTlsContext, refs: References): string | null {
  const sds = context.tlsCertificateSdsSecretConfigs;
  const inline = context.tlsCertificates;
  if (sds.length + inline.length > 1) field.fail('several certificates are not supported');
  if (sds.length > 0) {
    refs.secrets.add(sds[0].name);
    return sds[0].name;
  }
  if (inline.length === 0) return null;
  const at = field.at('tls_certificates', 0);
  const chain = readData(at.at('certificate_chain'), inline[0].certificateChain);
  const key = readData(at.at('private_key'), inline[0].privateKey);
  if (chain.length === 0) at.at('certificate_chain').fail('is empty');
  if (key.length === 0) at.at('private_key').fail('is empty');
  return keepInline({ kind: 'certificate', chain, key }, refs);
}

function keepInline(secret: Secret, refs: References): string {
  const bytes = secret.kind === 'trust' ? secret.roots : Buffer.concat([secret.chain, secret.key]);
  const name = `inline:${hash('sha256', bytes, 'base64url')}`;
  refs.inlineSecrets.set(name, secret);
  return name;
}

function compileValidation(
  field: Field,
  context: CommonTlsContext | undefined,
  refs: References,
): { trust: string | null; subjectAltNames: StringMatch[] } {
  const type = context?.validationContextType;
  switch (type?.case) {
    case 'validationContext':
      return validate(field.at('validation_context'), type.value, refs);
    case 'validationContextSdsSecretConfig':
      refs.secrets.add(type.value.name);
      return { trust: type.value.name, subjectAltNames: [] };
    case 'combinedValidationContext': {
      const at = field.at('combined_validation_context');
      const { defaultValidationContext, validationContextSdsSecretConfig: sds } = type.value;
      const base = defaultValidationContext
        ? validate(at.at('default_validation_context'), defaultValidationContext, refs)
        : { trust: null, subjectAltNames: [] };
      if (!sds) return base;
      refs.secrets.add(sds.name);
      return { trust: sds.name, subjectAltNames: base.subjectAltNames };
    }
    case undefined:
      return { trust: null, subjectAltNames: [] };
    default:
      field.fail(`${type?.case} is not supported`);
      return { trust: null, subjectAltNames: [] };
  }
}

function validate(field: Field, context: CertificateValidationContext, refs: References) {
  field.only(CertificateValidationContextSchema, context, knownValidation);
  if (context.trustChainVerification !== 0)
    field.at('trust_chain_verification').fail('ACCEPT_UNTRUSTED is not supported');
  const roots = readData(field.at('trusted_ca'), context.trustedCa);
  const subjectAltNames = [
    ...context.matchTypedSubjectAltNames.map((m, i) => compileSan(field.at('match_typed_subject_alt_names', i), m)),
    ...context.matchSubjectAltNames.map((m, i) => compileString(field.at('match_subject_alt_names', i), m)),
  ];
  return { trust: roots.length > 0 ? keepInline({ kind: 'trust', roots }, refs) : null, subjectAltNames };
}

function compileSan(field: Field, san: SubjectAltNameMatcher): StringMatch {
  if (san.sanType !== uri && san.sanType !== dns) field.at('san_type').fail('only URI and DNS are supported');
  return compileString(field.at('matcher'), san.matcher);
}

function compileVersions(field: Field, parameters: TlsParameters | undefined) {
  if (parameters) field.only(TlsParametersSchema, parameters, knownParameters);
  const newest = 4;
  const least = parameters?.tlsMinimumProtocolVersion || 3;
  const most = parameters?.tlsMaximumProtocolVersion || newest;
  if (most < 3) field.at('tls_maximum_protocol_version').fail('TLS before 1.2 is not supported');
  if (most < least) field.at('tls_maximum_protocol_version').fail('is older than the minimum');
  return {
    minVersion: least === newest ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    maxVersion: most === newest ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
  };
}
