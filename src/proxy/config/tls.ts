import { hash } from 'node:crypto';
import type { TransportSocket } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { RawBufferSchema } from '../../xds/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import type {
  CertificateValidationContext,
  SubjectAltNameMatcher,
  TlsParameters as TlsParametersMessage,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  CertificateValidationContextSchema,
  TlsCertificateSchema,
  TlsParametersSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { SdsSecretConfig } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type {
  CommonTlsContext,
  DownstreamTlsContext,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import {
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { TlsContext } from '../openssl/context.ts';
import { compileConfigSource } from './config-source.ts';
import { readData } from './data-source.ts';
import { dispatch, durationMs, type Field, unpack, words } from './field.ts';
import type { StringMatch } from './match.ts';
import { type References, type Secret, trustOf } from './references.ts';
import { compileString } from './string-match.ts';
import type { CertificatePins, DownstreamTls, NameMatch, TlsParameters, TlsSettings, UpstreamTls } from './table.ts';

const knownDownstream =
  words(`common_tls_context require_client_certificate session_ticket_keys disable_stateless_session_resumption
  disable_stateful_session_resumption session_timeout ocsp_staple_policy full_scan_certs_on_sni_mismatch`);
const knownUpstream = words('common_tls_context sni max_session_keys enforce_rsa_key_usage');
const knownCommon = words(`tls_params tls_certificates tls_certificate_sds_secret_configs validation_context
  validation_context_sds_secret_config combined_validation_context alpn_protocols`);
const knownParameters = words(
  'tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves signature_algorithms',
);
const knownCertificate = words('certificate_chain private_key watched_directory');
const knownValidation = words(
  `trusted_ca crl match_typed_subject_alt_names match_subject_alt_names trust_chain_verification
  verify_certificate_spki verify_certificate_hash watched_directory`,
);
const sanTypes = { 1: 'email', 2: 'dns', 3: 'uri', 4: 'ip' } as const;

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
      if (common.certificates.length === 0) at.at('common_tls_context').fail('names no certificate');
      if (message.ocspStaplePolicy !== 0) at.at('ocsp_staple_policy').fail('is not supported');
      return {
        ...common,
        parameters: compileParameters(at, message.commonTlsContext?.tlsParams, message),
        requireClientCertificate: message.requireClientCertificate ?? false,
        scansAll: message.fullScanCertsOnSniMismatch ?? false,
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
      const { certificates, ...common } = compileCommon(at.at('common_tls_context'), message.commonTlsContext, refs);
      if (certificates.length > 1) at.at('common_tls_context').fail('a client shows one certificate');
      return {
        ...common,
        parameters: compileParameters(at, message.commonTlsContext?.tlsParams, null),
        certificate: certificates[0] ?? null,
        sni: message.sni,
        autoSni: false,
        autoSan: false,
      };
    },
  });
}

function compileCommon(field: Field, context: CommonTlsContext | undefined, refs: References) {
  if (context) field.only(CommonTlsContextSchema, context, knownCommon);
  return {
    certificates: context ? compileCertificates(field, context, refs) : [],
    alpn: context?.alpnProtocols ?? [],
    ...compileValidation(field, context, refs),
    ...compileVersions(field.at('tls_params'), context?.tlsParams),
  };
}

function compileCertificates(field: Field, context: CommonTlsContext, refs: References): string[] {
  const asked = context.tlsCertificateSdsSecretConfigs.map((config, i) =>
    compileSds(field.at('tls_certificate_sds_secret_configs', i), config, refs),
  );
  const inline = context.tlsCertificates.map((certificate, i) => {
    const at = field.at('tls_certificates', i);
    at.only(TlsCertificateSchema, certificate, knownCertificate);
    const chain = readData(at.at('certificate_chain'), certificate.certificateChain);
    const key = readData(at.at('private_key'), certificate.privateKey);
    if (chain.length === 0) at.at('certificate_chain').fail('is empty');
    if (key.length === 0) at.at('private_key').fail('is empty');
    return keepInline({ kind: 'certificate', chain, key }, refs);
  });
  return [...asked, ...inline];
}

function compileSds(field: Field, { name, sdsConfig }: SdsSecretConfig, refs: References): string {
  if (!name) field.at('name').fail('is empty');
  refs.secrets.add(name);
  compileConfigSource(field.at('sds_config'), sdsConfig, refs, 'secret');
  return name;
}

function keepInline(secret: Secret, refs: References): string {
  const bytes = Buffer.concat(
    secret.kind === 'trust' ? [secret.roots, secret.crl ?? Buffer.alloc(0)] : [secret.chain, secret.key],
  );
  const name = `inline:${hash('sha256', bytes, 'base64url')}`;
  refs.inlineSecrets.set(name, secret);
  return name;
}

type Validation = Pick<TlsSettings, 'trust' | 'subjectAltNames' | 'pins' | 'acceptUntrusted'>;

const nothing: Validation = { trust: null, subjectAltNames: [], pins: null, acceptUntrusted: false };

function compileValidation(field: Field, context: CommonTlsContext | undefined, refs: References): Validation {
  const type = context?.validationContextType;
  switch (type?.case) {
    case 'validationContext': {
      const at = field.at('validation_context');
      const validation = validate(at, type.value, refs);
      if (validation.trust === null && validation.subjectAltNames.length > 0)
        at.at('match_typed_subject_alt_names').fail('names prove nothing without trusted_ca');
      return validation;
    }
    case 'validationContextSdsSecretConfig':
      return {
        ...nothing,
        trust: compileSds(field.at('validation_context_sds_secret_config'), type.value, refs),
      };
    case 'combinedValidationContext': {
      const at = field.at('combined_validation_context');
      const { defaultValidationContext, validationContextSdsSecretConfig: sds } = type.value;
      const base = defaultValidationContext
        ? validate(at.at('default_validation_context'), defaultValidationContext, refs)
        : nothing;
      if (!sds) return base;
      return { ...base, trust: compileSds(at.at('validation_context_sds_secret_config'), sds, refs) };
    }
    case undefined:
      return nothing;
    default:
      field.fail(`${type?.case} is not supported`);
      return nothing;
  }
}

function validate(field: Field, context: CertificateValidationContext, refs: References): Validation {
  field.only(CertificateValidationContextSchema, context, knownValidation);
  const roots = readData(field.at('trusted_ca'), context.trustedCa);
  const crl = readData(field.at('crl'), context.crl);
  if (crl.length > 0 && roots.length === 0) field.at('crl').fail('says nothing without trusted_ca');
  const any = (match: StringMatch): NameMatch => ({ type: 'any', ...match });
  return {
    trust: roots.length > 0 ? keepInline(trustOf(roots, crl), refs) : null,
    subjectAltNames: [
      ...context.matchTypedSubjectAltNames.map((m, i) => compileSan(field.at('match_typed_subject_alt_names', i), m)),
      ...context.matchSubjectAltNames.map((m, i) => any(compileString(field.at('match_subject_alt_names', i), m))),
    ],
    pins: compilePins(field, context),
    acceptUntrusted: context.trustChainVerification === 1,
  };
}

function compilePins(field: Field, context: CertificateValidationContext): CertificatePins | null {
  const { verifyCertificateHash: hashes, verifyCertificateSpki: keys } = context;
  if (hashes.length === 0 && keys.length === 0) return null;
  const certificates = hashes.map((text, i) => {
    const hex = text.replaceAll(':', '').toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(hex)) field.at('verify_certificate_hash', i).fail(`${text} is no SHA-256 in hex`);
    return hex;
  });
  for (const [i, text] of keys.entries())
    if (!/^[A-Za-z0-9+/]{43}=$/.test(text))
      field.at('verify_certificate_spki', i).fail(`${text} is no SHA-256 in base64`);
  return { certificates: new Set(certificates), keys: new Set(keys) };
}

function compileSan(field: Field, san: SubjectAltNameMatcher): NameMatch {
  const type = sanTypes[san.sanType as keyof typeof sanTypes];
  if (!type) field.at('san_type').fail('only EMAIL, DNS, URI and IP_ADDRESS are supported');
  const match = compileString(field.at('matcher'), san.matcher);
  const pattern = san.matcher?.matchPattern;
  // A certificate's own wildcard covers the name that is asked for (Envoy: exact matches of DNS names).
  if (type !== 'dns' || pattern?.case !== 'exact') return { type: type ?? 'any', ...match };
  const wildcard = `*${pattern.value.slice(pattern.value.indexOf('.'))}`.toLowerCase();
  const covers = pattern.value.includes('.') ? wildcard : null;
  return { type, text: match.text, test: (name) => match.test(name) || name.toLowerCase() === covers };
}

/** Null when nothing is asked for. */
function compileParameters(
  field: Field,
  given: TlsParametersMessage | undefined,
  server: DownstreamTlsContext | null,
): TlsParameters | null {
  const parameters: TlsParameters = {
    // BoringSSL writes suites of equal rank as [A|B].
    ciphers: (given?.cipherSuites ?? [])
      .map((suite) => suite.replace(/^\[(.*)\]$/, '$1').replaceAll('|', ':'))
      .join(':'),
    groups: (given?.ecdhCurves ?? []).join(':'),
    signatureAlgorithms: (given?.signatureAlgorithms ?? []).join(':'),
    sessionSeconds: Math.floor(durationMs(server?.sessionTimeout, 0) / 1000),
    issuesTickets: !(
      server?.sessionTicketKeysType.case === 'disableStatelessSessionResumption' && server.sessionTicketKeysType.value
    ),
    ticketKeys: server && compileTicketKeys(field, server),
  };
  const { ciphers, groups, signatureAlgorithms, sessionSeconds, issuesTickets, ticketKeys } = parameters;
  if (!ciphers && !groups && !signatureAlgorithms && !sessionSeconds && issuesTickets && !ticketKeys) return null;
  try {
    new TlsContext({
      certificates: [],
      roots: null,
      revoked: null,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      parameters,
    }).free();
  } catch (error) {
    field
      .at('common_tls_context')
      .at('tls_params')
      .fail(`OpenSSL refuses it: ${(error as Error).message}`);
  }
  return parameters;
}

/** Of 80 bytes, OpenSSL's as well as BoringSSL's: its name, a key of HMAC and one of AES. */
function compileTicketKeys(field: Field, { sessionTicketKeysType: given }: DownstreamTlsContext): Buffer | null {
  if (given.case === 'sessionTicketKeysSdsSecretConfig')
    field.at('session_ticket_keys_sds_secret_config').fail('is not supported');
  if (given.case !== 'sessionTicketKeys') return null;
  const at = field.at('session_ticket_keys').at('keys', 0);
  const key = readData(at, given.value.keys[0]);
  if (key.length !== 80) at.fail(`holds ${key.length} bytes, not 80`);
  return key;
}

function compileVersions(field: Field, parameters: TlsParametersMessage | undefined) {
  if (parameters) field.only(TlsParametersSchema, parameters, knownParameters);
  const newest = 4;
  const least = parameters?.tlsMinimumProtocolVersion || 3;
  const most = parameters?.tlsMaximumProtocolVersion || newest;
  if (least < 3) field.at('tls_minimum_protocol_version').fail('TLS before 1.2 is not supported');
  if (most < 3) field.at('tls_maximum_protocol_version').fail('TLS before 1.2 is not supported');
  if (most < least) field.at('tls_maximum_protocol_version').fail('is older than the minimum');
  return {
    minVersion: least === newest ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    maxVersion: most === newest ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
  };
}
