/** What a request's tokens are worth: a pure function of the requirement, the tokens, and what is known about their signatures. */
import type { JwtFilter, JwtProvider, JwtRequirement, RouteJwt } from '../../config/table.ts';
import type { RequestFacts } from '../facts.ts';
import { matchesRoute } from '../route.ts';
import { type JwtStatus, jwtStatus, type ParsedToken } from './jwt-token.ts';

/** A token at one of the places where a provider looks for it. */
export interface FoundToken {
  readonly token: ParsedToken;
  /** Issuers whose providers look there; null takes any. */
  readonly issuers: ReadonlySet<string> | null;
  /** Header or query parameter to take it out of when it is not to go on; ''. */
  readonly header: string;
  readonly parameter: string;
}

/** What the judge asks for. */
export interface TokenFacts {
  /** Seconds since the epoch. */
  readonly now: number;
  /** The tokens at the places of these providers, in Envoy's order. */
  find(providers: readonly JwtProvider[]): readonly FoundToken[];
  /** Null when it is not known yet: the judgement cannot be made. */
  signature(provider: JwtProvider, token: ParsedToken): JwtStatus | null;
  /** Told of every token that was accepted, and of why one was not. */
  accepted(provider: JwtProvider, found: FoundToken): void;
  failed(provider: JwtProvider, status: JwtStatus): void;
}

/** What a request must show; null for nothing, `unknown` when its route calls a requirement by a name that is none. */
export function requirementOf(
  facts: RequestFacts,
  filter: JwtFilter,
  said: RouteJwt | null,
): JwtRequirement | null | 'unknown' {
  if (said !== null) return said.requirement === null ? null : (filter.named.get(said.requirement) ?? 'unknown');
  for (const { match, requirement } of filter.rules) if (matchesRoute(match, facts)) return requirement;
  return null;
}

/** A request by which a browser asks whether it may ask (Fetch Standard, CORS-preflight request). */
export const isPreflight = (facts: Pick<RequestFacts, 'method' | 'header'>): boolean =>
  facts.method === 'OPTIONS' && !!facts.header('origin') && !!facts.header('access-control-request-method');

export const wrongName = (filter: JwtFilter, { requirement }: RouteJwt): string =>
  `Wrong requirement_name: ${requirement}. It should be one of [${[...filter.named.keys()].join(',')}]`;

/** %RESPONSE_CODE_DETAILS% of a refusal. */
export const detailsOf = (reason: string): string => `jwt_authn_access_denied{${reason.replace(/\s/g, '_')}}`;

export const refusalOf = (status: JwtStatus): 401 | 403 => (status === jwtStatus.audience ? 403 : 401);

/** `waits`: some signature is not known. */
export type Judgement = JwtStatus | 'waits';

export function judge(requirement: JwtRequirement, facts: TokenFacts): Judgement {
  switch (requirement.kind) {
    case 'provider': {
      const { provider, audiences } = requirement;
      return judgeTokens(facts.find([provider]), provider, audiences ?? provider.audiences, facts);
    }
    case 'all':
      for (const part of requirement.requirements) {
        const status = judge(part, facts);
        if (status !== jwtStatus.ok) return status;
      }
      return jwtStatus.ok;
    case 'any':
      return judgeAny(requirement.requirements, facts);
    case 'allowMissing':
    case 'allowMissingOrFailed':
      return judgeOptional(requirement, facts);
  }
}

/** Of several failures, the one that tells most: a missing token tells least, one of another issuer little more. */
function judgeAny(requirements: readonly JwtRequirement[], facts: TokenFacts): Judgement {
  let worst: JwtStatus = jwtStatus.missing;
  for (const part of requirements) {
    const status = judge(part, facts);
    if (status === jwtStatus.ok || status === 'waits') return status;
    if (status !== jwtStatus.missing && (status !== jwtStatus.unknownIssuer || worst === jwtStatus.missing))
      worst = status;
  }
  return worst;
}

/** All of a provider's tokens must be good: an upstream may take any of them for the one that was verified. */
function judgeTokens(
  tokens: readonly FoundToken[],
  provider: JwtProvider,
  audiences: ReadonlySet<string>,
  facts: TokenFacts,
): Judgement {
  let status: Judgement = jwtStatus.missing;
  for (const found of tokens) {
    status = judgeToken(found, provider, audiences, facts);
    if (status !== jwtStatus.ok) break;
    facts.accepted(provider, found);
  }
  if (status !== jwtStatus.ok && status !== 'waits' && status !== jwtStatus.missing) facts.failed(provider, status);
  return status;
}

function judgeOptional(
  { kind, providers }: Extract<JwtRequirement, { providers: unknown }>,
  facts: TokenFacts,
): Judgement {
  let status: Judgement = jwtStatus.ok;
  for (const found of facts.find(providers)) {
    const { token } = found;
    // The first provider of the token's issuer, or else one for any.
    const provider =
      providers.find(({ issuer }) => issuer !== '' && issuer === token.issuer) ??
      providers.find(({ issuer }) => issuer === '');
    const one: Judgement =
      token.status !== jwtStatus.ok
        ? token.status
        : provider === undefined
          ? jwtStatus.unknownIssuer
          : judgeToken(found, provider, provider.audiences, facts);
    if (one === 'waits') return one;
    if (one === jwtStatus.ok) facts.accepted(provider!, found);
    else status = one;
  }
  return kind === 'allowMissingOrFailed' ? jwtStatus.ok : status;
}

function judgeToken(
  { token, issuers }: FoundToken,
  provider: JwtProvider,
  audiences: ReadonlySet<string>,
  facts: TokenFacts,
): Judgement {
  if (token.status !== jwtStatus.ok) return token.status;
  if (issuers !== null && !issuers.has(token.issuer)) return jwtStatus.unknownIssuer;
  if (provider.subjects !== null && !provider.subjects.test(token.subject)) return jwtStatus.verification;
  const times = judgeTimes(token, provider, facts.now);
  if (times !== jwtStatus.ok) return times;
  if (audiences.size > 0 && !token.audiences.some((audience) => audiences.has(withoutSlash(audience))))
    return jwtStatus.audience;
  return facts.signature(provider, token) ?? 'waits';
}

function judgeTimes(token: ParsedToken, provider: JwtProvider, now: number): JwtStatus {
  const skew = provider.clockSkewSeconds;
  if (provider.requiresExpiration && token.expires === 0) return jwtStatus.verification;
  if (now + skew < token.notBefore) return jwtStatus.notYetValid;
  if (token.expires !== 0 && now > token.expires + skew) return jwtStatus.expired;
  if (provider.maxLifetimeSeconds !== null) {
    if (token.expires === 0) return jwtStatus.verification;
    if (token.expires - (token.issuedAt || now) > provider.maxLifetimeSeconds + skew) return jwtStatus.verification;
  }
  return jwtStatus.ok;
}

/** Audiences are compared without their scheme's ending slash (jwt_verify_lib: CheckAudience). */
export const withoutSlash = (audience: string): string => audience.replace(/^https?:\/\//, '').replace(/\/$/, '');
