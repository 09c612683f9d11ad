import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { fromJson } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { JwtAuthenticationSchema } from '../../../xds/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js';
import { Field } from '../../config/field.ts';
import { compileJwt } from '../../config/jwt.ts';
import { ok } from '../../testing/peers.ts';
import { get, originFor, TestProxy } from '../../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../../testing/tables.ts';
import { parseToken } from './jwt-token.ts';

const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const [first, second] = [pair(), pair()];
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

function token(key: KeyObject, payload: object = {}): string {
  const text = `${encoded({ alg: 'ES256' })}.${encoded({ iss: 'login', ...payload })}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

const keySet = (...keys: KeyObject[]) => JSON.stringify({ keys: keys.map((key) => key.export({ format: 'jwk' })) });

function filterOf(provider: object) {
  const field = new Field('jwt');
  const config = compileJwt(
    field,
    fromJson(JwtAuthenticationSchema, {
      providers: { login: { issuer: 'login', forward: true, ...provider } },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'login' } }],
    } as never),
  );
  if (field.problems.length > 0) throw new Error(field.problems.join('\n'));
  return [{ name: 'jwt', disabled: false, statPrefix: 'http.test.jwt_authn.', config }];
}

const remote = (fields: object = {}) =>
  filterOf({ remote_jwks: { http_uri: { uri: 'http://keys/jwks', cluster: 'keys', timeout: '2s' }, ...fields } });

/** A proxy whose keys come from `keys`, in front of an origin that says what it got. */
async function guarded(t: ExecutionContext, filters: ReturnType<typeof filterOf>, keys: () => string | null) {
  let fetches = 0;
  const server = await originFor(t, () => {
    fetches++;
    return keys();
  });
  const origin = await originFor(t, ({ body }) => ok(`got ${body}`));
  const clusters = [clusterOf('a', [endpointOf(origin.port)]), clusterOf('keys', [endpointOf(server.port)])];
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], clusters, { filters });
  const counters = () => proxy.runtime.statistics.filter('http.test.jwt_authn.', 'jwt');
  return { proxy, counters, fetches: () => fetches };
}

const bearing = (text: string) => `authorization: Bearer ${text}\r\n`;

test('requests that come at once share one fetch of the keys, and keep their bodies', async (t) => {
  const { proxy, counters, fetches } = await guarded(t, remote(), () => ok(keySet(first.publicKey)));
  const post = (body: string) =>
    `POST / HTTP/1.1\r\nHost: a\r\n${bearing(token(first.privateKey))}Content-Length: ${body.length}\r\n\r\n${body}`;
  const answers = await Promise.all(['one', 'two', 'three'].map((body) => proxy.ask(t, post(body))));
  for (const [i, answer] of answers.entries()) t.regex(answer, new RegExp(`got ${['one', 'two', 'three'][i]}$`));
  t.is(fetches(), 1);
  t.like(counters(), { allowed: 3, denied: 0, jwks_fetch_success: 1 });
});

test('a token is verified once for each set of keys', async (t) => {
  const { proxy, counters } = await guarded(
    t,
    filterOf({ local_jwks: { inline_string: keySet(first.publicKey) } }),
    () => '',
  );
  const caller = await proxy.caller(t);
  const text = token(first.privateKey);
  for (let i = 0; i < 3; i++) t.regex(await caller.send(get('/', bearing(text))).responses(), / 200 /);
  t.like(counters(), { allowed: 3, jwt_cache_hit: 3 });
  t.regex(await caller.send(get('/', bearing(token(second.privateKey)))).responses(), /Jwt verification fails$/);
});

test('keys that are outdated are fetched again, and a token of an old key is refused then', async (t) => {
  let current = first;
  const { proxy, fetches } = await guarded(t, remote({ cache_duration: '0s' }), () => ok(keySet(current.publicKey)));
  const text = token(first.privateKey);
  t.regex(await proxy.ask(t, get('/', bearing(text))), / 200 /);
  current = second;
  t.regex(await proxy.ask(t, get('/', bearing(text))), /Jwt verification fails$/);
  t.regex(await proxy.ask(t, get('/', bearing(token(second.privateKey)))), / 200 /);
  t.is(fetches(), 3);
});

test('keys that cannot be had refuse the request, and the next one asks again', async (t) => {
  const answers = ['HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n', ok('{}'), ok(keySet(first.publicKey))];
  const { proxy, counters } = await guarded(t, remote(), () => answers.shift() ?? null);
  const text = token(first.privateKey);
  t.regex(await proxy.ask(t, get('/', bearing(text))), /^HTTP\/1\.1 401 [\s\S]*Jwks remote fetch is failed$/);
  t.regex(await proxy.ask(t, get('/', bearing(text))), /^HTTP\/1\.1 401 [\s\S]*Jwks remote fetch is failed$/);
  t.regex(await proxy.ask(t, get('/', bearing(text))), / 200 /);
  t.like(counters(), { allowed: 1, denied: 2, jwks_fetch_failed: 2, jwks_fetch_success: 1 });
});

test('a caller that leaves while keys are fetched is told of in the log', async (t) => {
  const { promise: asked, resolve } = Promise.withResolvers<null>();
  const { proxy } = await guarded(t, remote(), () => {
    resolve(null);
    return null;
  });
  const caller = await proxy.caller(t);
  caller.send(get('/', bearing(token(first.privateKey))));
  await asked;
  caller.stop();
  await proxy.witness.until(({ finished }) => finished.length === 1);
  const { flags, details } = proxy.witness.finished[0];
  t.deepEqual([flags, details], ['DC', 'downstream_remote_disconnect']);
});

test('a provider without usable keys, or a requirement of an unknown one, is refused by its path', (t) => {
  const field = new Field('jwt');
  compileJwt(
    field,
    fromJson(JwtAuthenticationSchema, {
      providers: { a: { local_jwks: { inline_string: '{}' } }, b: {} },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'c' } }],
    } as never),
  );
  t.deepEqual(field.problems, [
    'jwt: providers["a"].local_jwks: is no JWK set: has no list "keys"',
    'jwt: providers["b"]: has neither remote_jwks nor local_jwks',
    'jwt: rules[0].requires.provider_name: "c" is not among the providers',
  ]);
});

test('whatever text is given for a token, it is read or refused', (t) => {
  const parts = fc.oneof(
    fc.string(),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 4 }), (given) => {
      const { status } = parseToken(given.join('.'));
      return typeof status === 'string' && status.length > 0;
    }),
  );
  t.pass();
});
