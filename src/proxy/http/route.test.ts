import { fromJson } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { Field } from '../config/field.ts';
import { registry } from '../config/registry.ts';
import { compileRoutes } from '../config/route.ts';
import type { RouteTable } from '../config/table.ts';
import { unknownAddress } from '../net/connection.ts';
import type { RequestFacts } from './facts.ts';
import { findHost, findRoute, withoutPort } from './route.ts';

function table(virtualHosts: object[], more: object = {}): RouteTable {
  const field = new Field('route r');
  const message = fromJson(RouteConfigurationSchema, { name: 'r', virtual_hosts: virtualHosts, ...more } as never, {
    registry,
  });
  const compiled = compileRoutes(field, message);
  if (field.problems.length > 0) throw new Error(field.problems.join('\n'));
  return compiled;
}

function facts(path: string, headers: Record<string, string> = {}, more: Partial<RequestFacts> = {}): RequestFacts {
  const all: Record<string, string> = { ':method': 'GET', ':path': path, ':authority': 'shop', ...headers };
  return {
    method: all[':method'],
    path,
    authority: all[':authority'],
    scheme: 'http',
    header: (name) => all[name]?.replaceAll('&', ',') ?? null,
    headerValues: (name) => all[name]?.split('&') ?? [],
    peer: null,
    mtls: false,
    sni: '',
    source: unknownAddress,
    client: unknownAddress,
    destination: unknownAddress,
    dynamicMetadata: null,
    random: 0,
    ...more,
  };
}

const to = (name: string) => ({ name, direct_response: { status: 200 } });
const host = (name: string, ...domains: string[]) => ({
  name,
  domains,
  routes: [{ match: { prefix: '/' }, ...to(name) }],
});

test('hosts: exact, then the longest suffix, then the longest prefix, then any', (t) => {
  const routes = table([
    host('any', '*'),
    host('exact', 'a.shop.com'),
    host('suffix', '*.com'),
    host('longer', '*.shop.com'),
    host('prefix', 'shop.*'),
    host('longest', 'shop.c*'),
  ]);
  const name = (authority: string) => findHost(routes, authority)?.name;
  t.is(name('A.Shop.com'), 'exact');
  t.is(name('b.shop.com'), 'longer');
  t.is(name('x.com'), 'suffix');
  t.is(name('shop.de'), 'prefix');
  t.is(name('shop.ch'), 'longest');
  t.is(name('.com'), 'any');
  t.is(name('a.shop.com:80'), 'any');
  t.is(
    findHost(table([host('exact', 'a.shop.com')], { ignore_port_in_host_matching: true }), 'a.shop.com:80')?.name,
    'exact',
  );
  t.is(findHost(table([host('exact', 'a')]), 'b'), null);
});

test('a port is cut off a name, an address and a literal of IPv6', (t) => {
  t.deepEqual(['a:80', 'a', '[::1]:80', '[::1]', '10.0.0.1:9'].map(withoutPort), [
    'a',
    'a',
    '[::1]',
    '[::1]',
    '10.0.0.1',
  ]);
});

const match = (value: object) =>
  table([
    {
      name: 'h',
      domains: ['*'],
      routes: [
        { match: value, ...to('yes') },
        { match: { prefix: '/' }, ...to('no') },
      ],
    },
  ]);
const cases: Array<[about: string, match: object, yes: RequestFacts[], no: RequestFacts[]]> = [
  ['exact path', { path: '/a' }, [facts('/a'), facts('/a?b')], [facts('/a/'), facts('/A')]],
  ['exact path in any case', { path: '/A', case_sensitive: false }, [facts('/a')], [facts('/b')]],
  ['prefix', { prefix: '/a' }, [facts('/a'), facts('/ab')], [facts('/b')]],
  ['separated prefix', { path_separated_prefix: '/a' }, [facts('/a'), facts('/a/b'), facts('/a?x')], [facts('/ab')]],
  ['regex', { safe_regex: { regex: '/v[12]/.*' } }, [facts('/v1/x?y=/')], [facts('/v3/x'), facts('/x/v1/')]],
  [
    'header present',
    { prefix: '/', headers: [{ name: 'X-A', present_match: true }] },
    [facts('/', { 'x-a': '' })],
    [facts('/')],
  ],
  [
    'header absent',
    { prefix: '/', headers: [{ name: 'x-a', present_match: true, invert_match: true }] },
    [facts('/')],
    [facts('/', { 'x-a': '1' })],
  ],
  [
    'header in a range',
    { prefix: '/', headers: [{ name: 'x-n', range_match: { start: -1, end: 3 } }] },
    [facts('/', { 'x-n': '-1' })],
    [facts('/', { 'x-n': '3' }), facts('/', { 'x-n': 'a' }), facts('/')],
  ],
  [
    'header not equal',
    { prefix: '/', headers: [{ name: 'x-a', string_match: { exact: 'b' }, invert_match: true }] },
    [facts('/', { 'x-a': 'c' })],
    [facts('/', { 'x-a': 'b' }), facts('/')],
  ],
  [
    'header not equal, missing is empty',
    {
      prefix: '/',
      headers: [{ name: 'x-a', string_match: { exact: 'b' }, invert_match: true, treat_missing_header_as_empty: true }],
    },
    [facts('/')],
    [facts('/', { 'x-a': 'b' })],
  ],
  [
    'method',
    { prefix: '/', headers: [{ name: ':method', string_match: { exact: 'PUT' } }] },
    [facts('/', { ':method': 'PUT' })],
    [facts('/')],
  ],
  [
    'query',
    { prefix: '/', query_parameters: [{ name: 'q', string_match: { exact: 'a%20b' } }] },
    [facts('/?x&q=a%20b&q=c')],
    [facts('/?q=c&q=a%20b'), facts('/')],
  ],
  [
    'query present',
    { prefix: '/', query_parameters: [{ name: 'q', present_match: true }] },
    [facts('/?q')],
    [facts('/?qq')],
  ],
  [
    'gRPC',
    { prefix: '/', grpc: {} },
    [facts('/', { 'content-type': 'application/grpc+proto' })],
    [facts('/', { 'content-type': 'application/grpc-web' })],
  ],
  [
    'share',
    { prefix: '/', runtime_fraction: { default_value: { numerator: 25 } } },
    [facts('/', {}, { random: 249_999 })],
    [facts('/', {}, { random: 250_000 })],
  ],
];
for (const [about, value, yes, no] of cases)
  test(`routes: ${about}`, (t) => {
    const routes = match(value);
    for (const request of yes) t.is(findRoute(routes, request)?.route.name, 'yes', request.path);
    for (const request of no) t.is(findRoute(routes, request)?.route.name, 'no', request.path);
  });

test('of several values of a header one that matches is enough, each by itself', (t) => {
  const two = facts('/', { 'x-a': '1&2' });
  const matched = (value: string, invert = false) =>
    findRoute(
      match({ prefix: '/', headers: [{ name: 'x-a', string_match: { exact: value }, invert_match: invert }] }),
      two,
    )?.route.name;
  t.is(matched('2'), 'yes');
  t.is(matched('1,2'), 'no');
  t.is(matched('2', true), 'no');
  t.is(matched('3', true), 'yes');
});

test('the order in which virtual hosts are given does not matter', (t) => {
  const label = fc.constantFrom('a', 'b', 'ab');
  const domain = fc.oneof(
    fc.constant('*'),
    fc.array(label, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.')),
    fc.array(label, { minLength: 1, maxLength: 2 }).map((parts) => `*.${parts.join('.')}`),
    fc.array(label, { minLength: 1, maxLength: 2 }).map((parts) => `${parts.join('.')}.*`),
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(domain, { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      fc.array(label, { minLength: 1, maxLength: 4 }),
      (domains, keys, parts) => {
        const shuffled = domains
          .map((d) => [keys.next().value, d] as const)
          .sort((a, b) => a[0] - b[0])
          .map(([, d]) => d);
        const authority = parts.join('.');
        const found = (order: readonly string[]) => findHost(table(order.map((d) => host(d, d))), authority)?.name;
        return found(domains) === found(shuffled);
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});
