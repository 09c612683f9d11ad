/** JSON Web Tokens: who may pass with which, and what of them goes on. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { direct, extension, get, type HttpCase, prefix, to } from '../case.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ed = generateKeyPairSync('ed25519');
const secret = Buffer.alloc(64, 7);

const jwk = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more });
const jwks = (...keys: object[]) => ({ local_jwks: { inline_string: JSON.stringify({ keys }) } });
const encoded = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const now = Math.floor(Date.now() / 1000);

interface Signing {
  readonly alg?: string;
  readonly key?: KeyObject;
  readonly header?: object;
}

function token(payload: unknown, { alg = 'RS256', key = rsa.privateKey, header = {} }: Signing = {}): string {
  const text = `${encoded({ alg, typ: 'JWT', ...header })}.${encoded(payload)}`;
  return `${text}.${signature(text, alg, key).toString('base64url')}`;
}

function signature(text: string, alg: string, key: KeyObject): Buffer {
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith('HS')) return createHmac(hash, secret).update(text).digest();
  if (alg.startsWith('ES')) return sign(hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  if (alg === 'EdDSA') return sign(null, Buffer.from(text), key);
  if (alg.startsWith('PS'))
    return sign(hash, Buffer.from(text), { key, padding: 6, saltLength: Number(alg.slice(2)) / 8 });
  return sign(hash, Buffer.from(text), key);
}

const issuer = 'https://login.test';
const claims = (more: object = {}) => ({ iss: issuer, sub: 'ann', aud: 'shop', exp: now + 3600, ...more });
const bearer = (text: string) => `authorization: Bearer ${text}`;
const good = token(claims());

const provider = (more: object = {}) => ({ issuer, ...jwks(jwk(rsa.publicKey)), forward: true, ...more });
const anyPath = (requirement: object) => [{ match: { prefix: '/' }, ...requirement }];
const needs = (requires: object) => anyPath({ requires });

const jwt = (fields: object) =>
  extension('jwt', 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', fields as never);

const one = (name: string, more: object, ...requests: string[]): HttpCase => ({
  name: `jwt: ${name}`,
  filters: [jwt({ providers: { login: provider(more) }, rules: needs({ provider_name: 'login' }) })],
  requests,
});

const shows = (format: string) => ({
  host: {
    response_headers_to_add: [
      { header: { key: 'x-shown', value: format }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
    ],
  },
});

const algorithm = (alg: string, pair: { privateKey: KeyObject; publicKey: KeyObject } | null): HttpCase =>
  one(
    `signed by ${alg}`,
    jwks(pair === null ? { kty: 'oct', k: secret.toString('base64url') } : jwk(pair.publicKey)),
    get('/', bearer(token(claims(), { alg, ...(pair && { key: pair.privateKey }) }))),
    get('/', bearer(`${token(claims(), { alg, ...(pair && { key: pair.privateKey }) }).slice(0, -8)}AAAAAAAA`)),
  );

const raw = (header: string, payload: string, sig = 'c2ln') => `${header}.${payload}.${sig}`;
const head = encoded({ alg: 'RS256' });
const partner = {
  issuer: 'https://partner.test',
  ...jwks(jwk(other.publicKey)),
  forward: true,
};
const fromPartner = token(claims({ iss: 'https://partner.test' }), { key: other.privateKey });
const both = { login: provider(), partner };
const requiring = (name: string, requires: object, ...requests: string[]): HttpCase => ({
  name: `jwt: ${name}`,
  filters: [jwt({ providers: both, rules: needs(requires) })],
  requests,
});

const tokens = [
  get('/'),
  get('/', bearer(good)),
  get('/', bearer(fromPartner)),
  get('/', bearer(token(claims({ exp: now - 100 })))),
  get('/', bearer('nonsense')),
];

export const jwts: readonly HttpCase[] = [
  one(
    'a good token, none, and one that is none',
    {},
    get('/'),
    get('/', bearer(good)),
    get('/', bearer('x')),
    get('/', 'authorization: Basic abc'),
    get('/', 'authorization: Bearer'),
  ),
  algorithm('RS256', rsa),
  algorithm('RS384', rsa),
  algorithm('RS512', rsa),
  algorithm('PS256', rsa),
  algorithm('ES256', p256),
  algorithm('ES384', p384),
  algorithm('ES512', p521),
  algorithm('HS256', null),
  algorithm('HS512', null),
  algorithm('EdDSA', ed),
  one(
    'what cannot be read says so',
    {},
    ...[
      'a.b',
      'a.b.c.d',
      '..',
      'a..b',
      raw('a!b', 'b'),
      raw(encoded('no json'), 'b'),
      raw(encoded('[1]'), 'b'),
      raw(encoded({}), 'b'),
      raw(encoded({ alg: 1 }), 'b'),
      raw(encoded({ alg: 'none' }), encoded(claims())),
      raw(encoded({ alg: 'RS256', kid: 7 }), encoded(claims())),
      raw(head, '!!'),
      raw(head, encoded('{')),
      raw(head, encoded({ iss: 1 })),
      raw(head, encoded({ sub: 1 })),
      raw(head, encoded({ iat: 'x' })),
      raw(head, encoded({ nbf: 'x' })),
      raw(head, encoded({ exp: 'x' })),
      raw(head, encoded({ exp: -1 })),
      raw(head, encoded({ exp: 1.5 })),
      raw(head, encoded({ jti: 1 })),
      raw(head, encoded({ aud: 1 })),
      raw(head, encoded({ aud: [1] })),
      raw(head, encoded(claims()), '!!'),
    ].map((text) => get('/', bearer(text))),
  ),
  one(
    'times, with the skew that is allowed',
    { clock_skew_seconds: 3600 },
    ...[
      claims({ exp: now - 1800 }),
      claims({ exp: now - 7200 }),
      claims({ nbf: now + 1800 }),
      claims({ nbf: now + 7200 }),
      claims({ exp: undefined }),
      claims({ exp: now + 0.5 + 3600 }),
    ].map((payload) => get('/', bearer(token(payload)))),
  ),
  one(
    'the usual skew',
    {},
    get('/', bearer(token(claims({ exp: now - 100 })))),
    get('/', bearer(token(claims({ nbf: now + 7200 })))),
  ),
  one(
    'an end that must be given',
    { require_expiration: true },
    get('/', bearer(token(claims({ exp: undefined })))),
    get('/', bearer(good)),
  ),
  one(
    'the longest life',
    { max_lifetime: '600s' },
    get('/', bearer(good)),
    get('/', bearer(token(claims({ iat: now, exp: now + 500 })))),
    get('/', bearer(token(claims({ exp: undefined })))),
    get('/', bearer(token(claims({ iat: now, exp: now + 5000 })))),
  ),
  one(
    'issuers',
    {},
    get('/', bearer(token(claims({ iss: 'https://evil.test' })))),
    get('/', bearer(token(claims({ iss: undefined })))),
  ),
  one('any issuer', { issuer: '' }, get('/', bearer(token(claims({ iss: 'https://evil.test' }))))),
  one(
    'audiences',
    { audiences: ['shop', 'https://api.test/'] },
    ...['shop', 'bank', ['bank', 'shop'], 'http://api.test', 'https://api.test/', undefined].map((aud) =>
      get('/', bearer(token(claims({ aud })))),
    ),
  ),
  one(
    'subjects',
    { subjects: { prefix: 'a' } },
    get('/', bearer(good)),
    get('/', bearer(token(claims({ sub: 'bob' })))),
  ),
  one(
    'keys by kid and alg',
    jwks(jwk(rsa.publicKey, { kid: 'one', alg: 'RS256' }), jwk(other.publicKey, { kid: 'two', use: 'sig' })),
    get('/', bearer(token(claims(), { header: { kid: 'one' } }))),
    get('/', bearer(token(claims(), { header: { kid: 'two' } }))),
    get('/', bearer(token(claims(), { header: { kid: 'three' } }))),
    get('/', bearer(token(claims(), { key: other.privateKey, header: { kid: 'two' } }))),
    get('/', bearer(token(claims(), { key: other.privateKey }))),
    get('/', bearer(token(claims(), { alg: 'RS512', header: { kid: 'one' } }))),
    get('/', bearer(token(claims(), { alg: 'HS256' }))),
  ),
  one('a signature by another key', {}, get('/', bearer(token(claims(), { key: other.privateKey })))),
  one(
    'places of its own',
    {
      from_headers: [{ name: 'x-token' }, { name: 'x-other', value_prefix: 'Key ' }],
      from_params: ['t'],
      from_cookies: ['jar'],
    },
    get('/', `x-token: ${good}`),
    get('/', `x-other: Key ${good}`),
    get('/', `x-other: ${good}`),
    get(`/?t=${good}`),
    get('/', `cookie: a=b; jar=${good}`),
    get('/', bearer(good)),
    get('/', `x-token: ${good}|x-other: Key nonsense`),
  ),
  one('the usual parameter', {}, get(`/?a=1&access_token=${good}`)),
  one(
    'a token that does not go on',
    { forward: false },
    get('/', bearer(good)),
    get(`/p?a=1&access_token=${good}&b=2`),
  ),
  one(
    'a good token and a bad one',
    {},
    get(`/?access_token=${good}`, bearer('nonsense')),
    get('/?access_token=nonsense', bearer(good)),
  ),
  one(
    'the payload in a header',
    { forward_payload_header: 'x-payload' },
    get('/', `${bearer(good)}|x-payload: forged`),
    get('/', `${bearer(token(claims({ sub: 'annabel' })))}`),
  ),
  one(
    'the payload in a header, padded',
    { forward_payload_header: 'x-payload', pad_forward_payload_header: true },
    get('/', bearer(good)),
  ),
  one(
    'claims in headers',
    {
      claim_to_headers: [
        { header_name: 'x-sub', claim_name: 'sub' },
        { header_name: 'x-deep', claim_name: 'a.b.c' },
        { header_name: 'x-number', claim_name: 'n' },
        { header_name: 'x-part', claim_name: 'f' },
        { header_name: 'x-flag', claim_name: 't' },
        { header_name: 'x-list', claim_name: 'l' },
        { header_name: 'x-none', claim_name: 'nothing' },
      ],
    },
    get(
      '/',
      `${bearer(token(claims({ a: { b: { c: 'deep' } }, n: 7, f: 1.5, t: true, l: ['x', 'y'] })))}|x-none: forged`,
    ),
  ),
  {
    name: 'jwt: metadata of the payload and the header',
    filters: [
      jwt({
        providers: {
          login: provider({
            payload_in_metadata: 'payload',
            header_in_metadata: 'head',
            normalize_payload_in_metadata: { space_delimited_claims: ['scope'] },
          }),
        },
        rules: needs({ provider_name: 'login' }),
      }),
    ],
    ...shows(
      '%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:sub)% %DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:scope)% %DYNAMIC_METADATA(envoy.filters.http.jwt_authn:head:alg)%',
    ),
    requests: [get('/', bearer(token(claims({ scope: 'read write' }))))],
  },
  {
    name: 'jwt: RBAC on what the token says',
    filters: [
      jwt({
        providers: { login: provider({ payload_in_metadata: 'payload' }) },
        rules: needs({ requires_any: { requirements: [{ provider_name: 'login' }, { allow_missing: {} }] } }),
      }),
      extension('rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
        rules: {
          action: 'ALLOW',
          policies: {
            admins: {
              permissions: [{ any: true }],
              principals: [
                {
                  metadata: {
                    filter: 'envoy.filters.http.jwt_authn',
                    path: [{ key: 'payload' }, { key: 'groups' }],
                    value: { list_match: { one_of: { string_match: { exact: 'admin' } } } },
                  },
                },
              ],
            },
          },
        },
      }),
    ],
    requests: [
      get('/', bearer(token(claims({ groups: ['user', 'admin'] })))),
      get('/', bearer(token(claims({ groups: ['user'] })))),
      get('/'),
      get('/', bearer('nonsense')),
    ],
  },
  {
    name: 'jwt: why a token was not good, in metadata',
    filters: [
      jwt({
        providers: {
          login: provider({
            failed_status_in_metadata: 'why',
            ...jwks(jwk(rsa.publicKey, { kid: 'one', alg: 'RS256' })),
          }),
          away: {
            issuer: 'https://away.test',
            failed_status_in_metadata: 'why',
            remote_jwks: { http_uri: { uri: 'http://keys.test/jwks', cluster: 'dead', timeout: '1s' } },
          },
        },
        rules: [
          {
            match: { path: '/away' },
            requires: { requires_any: { requirements: [{ provider_name: 'away' }, { allow_missing_or_failed: {} }] } },
          },
          { match: { path: '/strict' }, requires: { provider_name: 'login' } },
          {
            match: { path: '/either' },
            requires: { requires_any: { requirements: [{ provider_name: 'login' }, { provider_name: 'away' }] } },
          },
          ...needs({ requires_any: { requirements: [{ provider_name: 'login' }, { allow_missing_or_failed: {} }] } }),
        ],
      }),
    ],
    ...shows('%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:why)%'),
    requests: [
      ...tokens,
      get('/', bearer(token(claims({ aud: 1 })))),
      get('/', bearer(token(claims(), { key: other.privateKey }))),
      get('/', bearer(token(claims({ nbf: now + 600 })))),
      get('/', bearer(token(claims(), { alg: 'RS512', header: { kid: 'one' } }))),
      get('/', bearer('a.b.c')),
      get('/strict'),
      get('/strict', bearer('a.b.c')),
      get('/either'),
      get('/either', bearer('a.b.c')),
      get('/either', bearer(token(claims({ iss: 'https://away.test' })))),
      get('/', bearer(token(claims(), { header: { kid: 'two' } }))),
      get('/away', bearer(token(claims({ iss: 'https://away.test' })))),
      get('/', bearer(raw(head, '!!'))),
    ],
  },
  requiring(
    'any of two',
    { requires_any: { requirements: [{ provider_name: 'login' }, { provider_name: 'partner' }] } },
    ...tokens,
  ),
  requiring(
    'all of two',
    { requires_all: { requirements: [{ provider_name: 'login' }, { provider_name: 'partner' }] } },
    ...tokens,
  ),
  requiring(
    'any, or none',
    { requires_any: { requirements: [{ provider_name: 'login' }, { allow_missing: {} }] } },
    ...tokens,
  ),
  requiring(
    'any, or a bad one',
    { requires_any: { requirements: [{ provider_name: 'login' }, { allow_missing_or_failed: {} }] } },
    ...tokens,
  ),
  requiring('may be missing', { allow_missing: {} }, ...tokens),
  requiring('may be missing or bad', { allow_missing_or_failed: {} }, ...tokens),
  requiring(
    'audiences instead of the provider’s',
    { provider_and_audiences: { provider_name: 'login', audiences: ['bank'] } },
    get('/', bearer(good)),
    get('/', bearer(token(claims({ aud: 'bank' })))),
  ),
  {
    name: 'jwt: rules by path, the first that matches',
    filters: [
      jwt({
        providers: both,
        rules: [
          { match: { path: '/open' } },
          { match: { prefix: '/partner' }, requires: { provider_name: 'partner' } },
          {
            match: { prefix: '/', headers: [{ name: 'x-check', present_match: true }] },
            requires: { provider_name: 'login' },
          },
        ],
      }),
    ],
    requests: [
      get('/open'),
      get('/open?x'),
      get('/partner', bearer(fromPartner)),
      get('/partner', bearer(good)),
      get('/'),
      get('/', 'x-check: 1'),
    ],
  },
  {
    name: 'jwt: requirements by name, of rules and of routes',
    filters: [
      jwt({
        providers: both,
        requirement_map: { mine: { provider_name: 'login' }, theirs: { provider_name: 'partner' } },
        rules: anyPath({ requirement_name: 'mine' }),
      }),
    ],
    routes: [
      prefix('/theirs', to('a'), {
        typed_per_filter_config: {
          jwt: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig',
            requirement_name: 'theirs',
          },
        },
      }),
      prefix('/off', to('a'), {
        typed_per_filter_config: {
          jwt: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig',
            disabled: true,
          },
        },
      }),
      prefix('/wrong', to('a'), {
        typed_per_filter_config: {
          jwt: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig',
            requirement_name: 'nobody',
          },
        },
      }),
      prefix('/direct', direct(200, 'direct')),
      prefix('/', to('a')),
    ],
    requests: [
      get('/theirs', bearer(good)),
      get('/theirs', bearer(fromPartner)),
      get('/off'),
      get('/wrong', bearer(good)),
      get('/direct'),
      get('/direct', bearer(good)),
      get('/', bearer(good)),
    ],
  },
  {
    name: 'jwt: refusals without a reason',
    filters: [jwt({ providers: both, rules: needs({ provider_name: 'login' }), strip_failure_response: true })],
    requests: [get('/'), get('/', bearer('nonsense'))],
  },
  {
    name: 'jwt: preflights pass',
    filters: [jwt({ providers: both, rules: needs({ provider_name: 'login' }), bypass_cors_preflight: true })],
    requests: [
      'OPTIONS / HTTP/1.1\r\nHost: HOST\r\norigin: https://shop.test\r\naccess-control-request-method: PUT\r\n\r\n',
      'OPTIONS / HTTP/1.1\r\nHost: HOST\r\n\r\n',
    ],
  },
  {
    name: 'jwt: over HTTP/2 and gRPC',
    filters: [jwt({ providers: both, rules: needs({ provider_name: 'login' }) })],
    requests: [
      { headers: { ':path': '/', authorization: `Bearer ${good}` } },
      { headers: { ':path': '/' } },
      { headers: { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' }, body: 'x' },
    ],
  },
  {
    name: 'jwt: keys from a server',
    differs: {
      parts: ['upstream'],
      why: 'Envoy adds headers of its own callers (user-agent: Go-browser, x-forwarded-for, …) to what it asks for itself',
    },
    filters: [
      jwt({
        providers: {
          login: {
            issuer,
            forward: true,
            remote_jwks: { http_uri: { uri: 'http://keys.test/none', cluster: 'a', timeout: '1s' } },
          },
          dead: {
            issuer: 'https://dead.test',
            remote_jwks: { http_uri: { uri: 'http://keys.test/jwks', cluster: 'dead', timeout: '1s' } },
          },
        },
        rules: [
          { match: { prefix: '/dead' }, requires: { provider_name: 'dead' } },
          { match: { prefix: '/' }, requires: { provider_name: 'login' } },
        ],
      }),
    ],
    requests: [get('/', bearer(good)), get('/dead', bearer(token(claims({ iss: 'https://dead.test' }))))],
  },
];
