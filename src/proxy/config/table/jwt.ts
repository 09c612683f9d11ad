import type { StringMatch } from '../match.ts';
import type { RouteMatch } from './route.ts';

/** JSON Web Tokens (RFC 7519) asked of requests (Envoy: jwt_authn). */
export interface JwtFilter {
  readonly kind: 'jwt';
  /** The first that matches counts; a null requirement asks for nothing. */
  readonly rules: ReadonlyArray<{ readonly match: RouteMatch; readonly requirement: JwtRequirement | null }>;
  /** Those that routes call by name. */
  readonly named: ReadonlyMap<string, JwtRequirement>;
  readonly bypassCorsPreflight: boolean;
  /** Refusals tell no reason. */
  readonly stripsReason: boolean;
}

export interface RouteJwt {
  readonly kind: 'jwt';
  /** A name out of the filter's `named`; null asks for nothing. */
  readonly requirement: string | null;
}

export type JwtRequirement =
  /** `audiences` are instead of the provider's; null leaves those. */
  | { readonly kind: 'provider'; readonly provider: JwtProvider; readonly audiences: ReadonlySet<string> | null }
  | { readonly kind: 'any' | 'all'; readonly requirements: readonly JwtRequirement[] }
  /** A token, wherever one of these providers looks for it, may be missing; or be a bad one too. */
  | { readonly kind: 'allowMissing' | 'allowMissingOrFailed'; readonly providers: readonly JwtProvider[] };

export interface JwtProvider {
  readonly name: string;
  /** '' takes any. */
  readonly issuer: string;
  /** One of them must be the token's; empty takes any. */
  readonly audiences: ReadonlySet<string>;
  readonly subjects: StringMatch | null;
  readonly requiresExpiration: boolean;
  /** From `iat`, or now, to `exp`; null for any. */
  readonly maxLifetimeSeconds: number | null;
  readonly clockSkewSeconds: number;
  readonly places: JwtPlaces;
  /** The token goes on to the upstream. */
  readonly forward: boolean;
  /** Header that takes the payload, base64url, and whether it is padded; ''. */
  readonly payloadHeader: string;
  readonly padsPayload: boolean;
  readonly claimHeaders: ReadonlyArray<{ readonly header: string; readonly claim: readonly string[] }>;
  /** Keys in the request's metadata; ''. */
  readonly payloadInMetadata: string;
  readonly headerInMetadata: string;
  readonly failedStatusInMetadata: string;
  /** Claims that become lists in the metadata (Envoy: space_delimited_claims). */
  readonly listClaims: readonly string[];
  readonly keys: JwtKeySource;
}

export interface JwtPlaces {
  readonly headers: ReadonlyArray<{ readonly name: string; readonly prefix: string }>;
  readonly parameters: readonly string[];
  readonly cookies: readonly string[];
}

export type JwtKeySource =
  /** A JWK set (RFC 7517 §5) in JSON. */
  | { readonly kind: 'local'; readonly jwks: string }
  | {
      readonly kind: 'remote';
      readonly cluster: string;
      readonly authority: string;
      readonly path: string;
      readonly timeoutMs: number;
      readonly cacheMs: number;
      readonly retries: number;
      /** Outdated keys are used until new ones have come. */
      readonly refreshesBehind: boolean;
    };
