/** JWT authentication (Envoy: extensions.filters.http.jwt_authn.v3). */
import {
  type JwtAuthentication,
  JwtAuthenticationSchema,
  JwtProviderSchema,
  type PerRouteConfig,
  type JwtProvider as ProviderMessage,
  type RemoteJwks,
  RemoteJwksSchema,
  type JwtRequirement as RequirementMessage,
} from '../../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { withoutSlash } from '../http/filters/jwt-judge.ts';
import { KeySet } from '../http/filters/jwt-keys.ts';
import { readData } from './data-source.ts';
import { durationMs, type Field, words } from './field.ts';
import { compileHttpUri } from './http-uri.ts';
import { compileMatch } from './route.ts';
import { compileString } from './string-match.ts';
import type { JwtFilter, JwtKeySource, JwtPlaces, JwtProvider, JwtRequirement, RouteJwt } from './table.ts';

const known = words('providers rules bypass_cors_preflight requirement_map strip_failure_response');
const knownProvider =
  words(`issuer audiences subjects require_expiration max_lifetime remote_jwks local_jwks forward from_headers from_params
  from_cookies forward_payload_header pad_forward_payload_header payload_in_metadata normalize_payload_in_metadata
  header_in_metadata failed_status_in_metadata clock_skew_seconds jwt_cache_config claim_to_headers`);
const knownRemote = words('http_uri cache_duration async_fetch retry_policy');

type Providers = ReadonlyMap<string, JwtProvider>;

export function compileJwt(field: Field, message: JwtAuthentication): JwtFilter {
  field.only(JwtAuthenticationSchema, message, known);
  const providers: Providers = new Map(
    Object.entries(message.providers).map(([name, provider]) => [
      name,
      compileProvider(field.at(`providers[${JSON.stringify(name)}]`), name, provider),
    ]),
  );
  const named = new Map<string, JwtRequirement>();
  for (const [name, requirement] of Object.entries(message.requirementMap)) {
    const compiled = compileRequirement(field.at(`requirement_map[${JSON.stringify(name)}]`), requirement, providers);
    if (compiled !== null) named.set(name, compiled);
  }
  return {
    kind: 'jwt',
    rules: message.rules.map(({ match, requirementType: type }, i) => {
      const at = field.at('rules', i);
      if (!match) at.at('match').fail('is not given');
      let requirement: JwtRequirement | null = null;
      if (type.case === 'requires') requirement = compileRequirement(at.at('requires'), type.value, providers);
      else if (type.case === 'requirementName') {
        requirement = named.get(type.value) ?? null;
        if (!requirement) at.at('requirement_name').fail(`${type.value} is not in requirement_map`);
      }
      return { match: compileMatch(at.at('match'), match), requirement };
    }),
    named,
    bypassCorsPreflight: message.bypassCorsPreflight,
    stripsReason: message.stripFailureResponse,
  };
}

export function compileRouteJwt(field: Field, { requirementSpecifier: specifier }: PerRouteConfig): RouteJwt {
  if (specifier.case === 'requirementName') return { kind: 'jwt', requirement: specifier.value };
  if (specifier.case !== 'disabled') field.fail('has neither disabled nor requirement_name');
  return { kind: 'jwt', requirement: null };
}

function compileProvider(field: Field, name: string, message: ProviderMessage): JwtProvider {
  field.only(JwtProviderSchema, message, knownProvider);
  return {
    name,
    issuer: message.issuer,
    audiences: new Set(message.audiences.map(withoutSlash)),
    subjects: message.subjects ? compileString(field.at('subjects'), message.subjects) : null,
    requiresExpiration: message.requireExpiration,
    maxLifetimeSeconds: message.maxLifetime ? durationMs(message.maxLifetime, 0) / 1000 : null,
    clockSkewSeconds: message.clockSkewSeconds || 60,
    places: compilePlaces(message),
    forward: message.forward,
    payloadHeader: message.forwardPayloadHeader.toLowerCase(),
    padsPayload: message.padForwardPayloadHeader,
    claimHeaders: message.claimToHeaders.map(({ headerName, claimName }) => ({
      header: headerName.toLowerCase(),
      claim: claimName.split('.'),
    })),
    payloadInMetadata: message.payloadInMetadata,
    headerInMetadata: message.headerInMetadata,
    failedStatusInMetadata: message.failedStatusInMetadata,
    listClaims: message.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    keys: compileKeys(field, message),
  };
}

/** Without any place a token is looked for in Authorization and in the parameter access_token. */
function compilePlaces({ fromHeaders, fromParams, fromCookies }: ProviderMessage): JwtPlaces {
  if (fromHeaders.length === 0 && fromParams.length === 0 && fromCookies.length === 0)
    return { headers: [{ name: 'authorization', prefix: 'Bearer ' }], parameters: ['access_token'], cookies: [] };
  return {
    headers: fromHeaders.map(({ name, valuePrefix }) => ({ name: name.toLowerCase(), prefix: valuePrefix })),
    parameters: fromParams,
    cookies: fromCookies,
  };
}

function compileKeys(field: Field, { jwksSourceSpecifier: source }: ProviderMessage): JwtKeySource {
  if (source.case === 'remoteJwks') return compileRemote(field.at('remote_jwks'), source.value);
  if (source.case === undefined) field.fail('has neither remote_jwks nor local_jwks');
  const at = field.at('local_jwks');
  const jwks = readData(at, source.value).toString();
  try {
    if (source.case !== undefined && new KeySet(jwks).empty) at.fail('holds no key');
  } catch (error) {
    at.fail(`is no JWK set: ${(error as Error).message}`);
  }
  return { kind: 'local', jwks };
}

function compileRemote(field: Field, message: RemoteJwks): JwtKeySource {
  field.only(RemoteJwksSchema, message, knownRemote);
  return {
    kind: 'remote',
    ...compileHttpUri(field.at('http_uri'), message.httpUri),
    cacheMs: durationMs(message.cacheDuration, 600_000),
    retries: message.retryPolicy ? (message.retryPolicy.numRetries ?? 1) : 0,
    refreshesBehind: message.asyncFetch !== undefined,
  };
}

/** Null asks for nothing. */
function compileRequirement(
  field: Field,
  { requiresType: type }: RequirementMessage,
  providers: Providers,
): JwtRequirement | null {
  switch (type.case) {
    case 'providerName':
      return providerRequirement(field.at('provider_name'), type.value, [], providers);
    case 'providerAndAudiences':
      return providerRequirement(
        field.at('provider_and_audiences').at('provider_name'),
        type.value.providerName,
        type.value.audiences,
        providers,
      );
    case 'requiresAny':
      return compileAny(field.at('requires_any'), type.value.requirements, providers);
    case 'requiresAll':
      return {
        kind: 'all',
        requirements: type.value.requirements.flatMap(
          (part, i) => compileRequirement(field.at('requires_all').at('requirements', i), part, providers) ?? [],
        ),
      };
    case 'allowMissing':
    case 'allowMissingOrFailed':
      return { kind: type.case, providers: [...providers.values()] };
    default:
      return null;
  }
}

function providerRequirement(
  field: Field,
  name: string,
  audiences: readonly string[],
  providers: Providers,
): JwtRequirement | null {
  const provider = providers.get(name);
  if (provider === undefined) {
    field.fail(`${JSON.stringify(name)} is not among the providers`);
    return null;
  }
  return {
    kind: 'provider',
    provider,
    audiences: audiences.length > 0 ? new Set(audiences.map(withoutSlash)) : null,
  };
}

/** A permission to go without counts last, and for the providers of this list only. */
function compileAny(field: Field, parts: readonly RequirementMessage[], providers: Providers): JwtRequirement | null {
  const requirements: JwtRequirement[] = [];
  let without: 'allowMissing' | 'allowMissingOrFailed' | null = null;
  for (const [i, part] of parts.entries()) {
    const kind = part.requiresType.case;
    if (kind === 'allowMissing' || kind === 'allowMissingOrFailed') {
      if (without !== 'allowMissingOrFailed') without = kind;
      continue;
    }
    const compiled = compileRequirement(field.at('requirements', i), part, providers);
    // One that asks for nothing is met.
    if (compiled === null) return null;
    requirements.push(compiled);
  }
  if (without === null) return { kind: 'any', requirements };
  const own = requirements.flatMap((one) => (one.kind === 'provider' ? [one.provider] : []));
  const last: JwtRequirement = { kind: without, providers: own.length > 0 ? own : [...providers.values()] };
  return { kind: 'any', requirements: [...requirements, last] };
}
