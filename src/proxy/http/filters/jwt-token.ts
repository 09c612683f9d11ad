/** A token as it came (RFC 7519, compact serialisation of RFC 7515 §7.1), and what is wrong with it. */

/** What became of a token; words and order are those that Envoy's users see (jwt_verify_lib). */
export const jwtStatus = {
  ok: 'OK',
  missing: 'Jwt is missing',
  notYetValid: 'Jwt not yet valid',
  expired: 'Jwt is expired',
  badFormat: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  headerEncoding: 'Jwt header is an invalid Base64url encoded',
  headerJson: 'Jwt header is an invalid JSON',
  algMissing: 'Jwt header [alg] field is required and must be a string',
  algUnknown: 'Jwt header [alg] is not supported',
  kidType: 'Jwt header [kid] field is not a string',
  payloadEncoding: 'Jwt payload is an invalid Base64url encoded',
  payloadJson: 'Jwt payload is an invalid JSON',
  issType: 'Jwt payload [iss] field is not a string',
  subType: 'Jwt payload [sub] field is not a string',
  iatType: 'Jwt payload [iat] field is not an integer',
  iatNegative: 'Jwt payload [iat] field is not a positive 64 bit integer',
  nbfType: 'Jwt payload [nbf] field is not an integer',
  nbfNegative: 'Jwt payload [nbf] field is not a positive 64 bit integer',
  expType: 'Jwt payload [exp] field is not an integer',
  expNegative: 'Jwt payload [exp] field is not a positive 64 bit integer',
  jtiType: 'Jwt payload [jti] field is not a string',
  audType: 'Jwt payload [aud] field is not a string or string list',
  signatureEncoding: 'Jwt signature is an invalid Base64url encoded',
  ed25519Length: 'Jwt ED25519 signature is wrong length',
  unknownIssuer: 'Jwt issuer is not configured',
  audience: 'Audiences in Jwt are not allowed',
  verification: 'Jwt verification fails',
  noKeys: "Jwks doesn't have any valid public key",
  noMatchingKey: "Jwks doesn't have key to match kid or alg from Jwt",
  fetchFailed: 'Jwks remote fetch is failed',
} as const;

export type JwtStatus = (typeof jwtStatus)[keyof typeof jwtStatus];

/** Statuses of key sets that this proxy does not tell apart lie between these. */
const numbers = new Map<JwtStatus, number>(Object.values(jwtStatus).map((status, i) => [status, i]));
numbers.set(jwtStatus.noKeys, 31);
numbers.set(jwtStatus.noMatchingKey, 32);
numbers.set(jwtStatus.fetchFailed, 40);

/** A status by its place in jwt_verify_lib's list. */
export const statusNumber = (status: JwtStatus): number => numbers.get(status) ?? 0;

export type Claims = Readonly<Record<string, unknown>>;

export interface ParsedToken {
  readonly text: string;
  /** Not OK when the token cannot be read; the rest is empty then. */
  readonly status: JwtStatus;
  readonly header: Claims;
  readonly payload: Claims;
  readonly payloadText: string;
  readonly alg: string;
  readonly kid: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  /** Seconds since the epoch; 0 when absent. */
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly expires: number;
}

const algorithms = new Set('ES256 ES384 ES512 HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA'.split(' '));

class Unreadable extends Error {
  readonly status: JwtStatus;

  constructor(status: JwtStatus) {
    super(status);
    this.status = status;
  }
}

export function parseToken(text: string): ParsedToken {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return {
      text,
      status: error.status,
      header: {},
      payload: {},
      payloadText: '',
      alg: '',
      kid: '',
      issuer: '',
      subject: '',
      audiences: [],
      issuedAt: 0,
      notBefore: 0,
      expires: 0,
    };
  }
}

function parse(text: string): ParsedToken {
  const parts = text.split('.');
  if (parts.length !== 3 || parts.includes('')) throw new Unreadable(jwtStatus.badFormat);
  const [headerText, payloadText, signatureText] = parts;
  const header = object(headerText, jwtStatus.headerEncoding, jwtStatus.headerJson);
  const alg = header.alg;
  if (typeof alg !== 'string') throw new Unreadable(jwtStatus.algMissing);
  if (!algorithms.has(alg)) throw new Unreadable(jwtStatus.algUnknown);
  const kid = textOf(header, 'kid', jwtStatus.kidType);
  const payload = object(payloadText, jwtStatus.payloadEncoding, jwtStatus.payloadJson);
  const parsed = {
    text,
    status: jwtStatus.ok,
    header,
    payload,
    payloadText,
    alg,
    kid,
    issuer: textOf(payload, 'iss', jwtStatus.issType),
    subject: textOf(payload, 'sub', jwtStatus.subType),
    issuedAt: secondsOf(payload, 'iat', jwtStatus.iatType, jwtStatus.iatNegative),
    notBefore: secondsOf(payload, 'nbf', jwtStatus.nbfType, jwtStatus.nbfNegative),
    expires: secondsOf(payload, 'exp', jwtStatus.expType, jwtStatus.expNegative),
  };
  textOf(payload, 'jti', jwtStatus.jtiType);
  const audiences = audiencesOf(payload);
  if (!isBase64url(signatureText)) throw new Unreadable(jwtStatus.signatureEncoding);
  return { ...parsed, audiences };
}

/** With padding or without, as Envoy takes it; RFC 7515 §2 allows it without only. */
const isBase64url = (text: string): boolean => /^[\w-]*={0,2}$/.test(text) && text.replace(/=+$/, '').length % 4 !== 1;

function object(text: string, encoding: JwtStatus, json: JwtStatus): Claims {
  if (!isBase64url(text)) throw new Unreadable(encoding);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    throw new Unreadable(json);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Unreadable(json);
  return value as Claims;
}

function textOf(claims: Claims, name: string, wrong: JwtStatus): string {
  if (!Object.hasOwn(claims, name)) return '';
  const value = claims[name];
  if (typeof value !== 'string') throw new Unreadable(wrong);
  return value;
}

/** Fractions are dropped. */
function secondsOf(claims: Claims, name: string, wrong: JwtStatus, negative: JwtStatus): number {
  if (!Object.hasOwn(claims, name)) return 0;
  const value = claims[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Unreadable(wrong);
  if (value < 0) throw new Unreadable(negative);
  return Math.floor(value);
}

function audiencesOf(claims: Claims): readonly string[] {
  if (!Object.hasOwn(claims, 'aud')) return [];
  const { aud } = claims;
  if (typeof aud === 'string') return [aud];
  if (Array.isArray(aud) && aud.every((one) => typeof one === 'string')) return aud;
  throw new Unreadable(jwtStatus.audType);
}

/** The payload with the claims that are lists in one text as lists (Envoy: space_delimited_claims). */
export function withLists(payload: Claims, names: readonly string[]): Claims {
  if (names.length === 0) return payload;
  const lists: Record<string, unknown> = {};
  for (const name of names) {
    const value = payload[name];
    if (typeof value === 'string') lists[name] = value.split(' ').filter(Boolean);
  }
  return { ...payload, ...lists };
}
