import { fromJson } from '@bufbuild/protobuf';
import test from 'ava';
import { RBACSchema } from '../../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { Field } from '../config/field.ts';
import { compileRbac } from '../config/rbac.ts';
import { registry } from '../config/registry.ts';
import type { Rbac } from '../config/table.ts';
import type { PeerIdentity } from '../net/connection.ts';
import { authorize } from './authorize.ts';
import type { RequestFacts } from './facts.ts';

const peer = (uri: string): PeerIdentity => ({
  principal: uri,
  uriSans: [uri],
  dnsSans: [],
  ipSans: [],
  emailSans: [],
  subject: '',
  issuer: '',
  serial: '',
  fingerprint: '',
  fingerprint1: '',
  validFromMs: 0,
  validToMs: 0,
});

function facts(more: Partial<RequestFacts> & { headers?: Record<string, string> } = {}): RequestFacts {
  const { headers = {}, ...rest } = more;
  return {
    method: 'GET',
    path: '/items?x=1',
    authority: 'shop',
    scheme: 'http',
    header: (name) => headers[name] ?? (name === ':method' ? 'GET' : null),
    headerValues: (name) => headers[name]?.split(',') ?? [],
    peer: peer('spiffe://cluster.local/ns/shop/sa/front'),
    mtls: true,
    sni: 'outbound_.80_._.shop',
    source: { ip: '10.1.2.3', port: 5 },
    client: { ip: '192.0.2.7', port: 0 },
    destination: { ip: '10.1.0.9', port: 8080 },
    dynamicMetadata: null,
    random: 0,
    ...rest,
  };
}

function rbac(action: string, policies: Record<string, object>): Rbac {
  const field = new Field('rbac');
  const compiled = compileRbac(field, fromJson(RBACSchema, { rules: { action, policies } } as never, { registry }));
  if (field.problems.length > 0) throw new Error(field.problems.join('\n'));
  return compiled[0];
}

const any = [{ any: true }];
const rule = (permission: object, principal: object = { any: true }) => ({
  permissions: [permission],
  principals: [principal],
});

const conditions: Array<[about: string, permission: object, principal: object, holds: boolean]> = [
  [
    'identity',
    { any: true },
    { authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/shop/sa/front' } } },
    true,
  ],
  [
    'other identity',
    { any: true },
    { authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/shop/sa/back' } } },
    false,
  ],
  ['namespace', { any: true }, { authenticated: { principal_name: { safe_regex: { regex: '.*/ns/shop/.*' } } } }, true],
  ['any identity', { any: true }, { authenticated: {} }, true],
  ['path without query', { url_path: { path: { exact: '/items' } } }, { any: true }, true],
  ['method', { header: { name: ':method', string_match: { exact: 'POST' } } }, { any: true }, false],
  ['port', { destination_port: 8080 }, { any: true }, true],
  ['port range, end excluded', { destination_port_range: { start: 8000, end: 8080 } }, { any: true }, false],
  ['destination', { destination_ip: { address_prefix: '10.1.0.0', prefix_len: 24 } }, { any: true }, true],
  ['server name', { requested_server_name: { prefix: 'outbound_.80' } }, { any: true }, true],
  ['the socket’s source', { any: true }, { direct_remote_ip: { address_prefix: '10.1.2.3', prefix_len: 32 } }, true],
  ['the trusted client', { any: true }, { remote_ip: { address_prefix: '192.0.2.0', prefix_len: 24 } }, true],
  [
    'neither',
    { not_rule: { and_rules: { rules: [{ destination_port: 8080 }, { any: true }] } } },
    { any: true },
    false,
  ],
  [
    'one of',
    { any: true },
    { or_ids: { ids: [{ remote_ip: { address_prefix: '1.1.1.1', prefix_len: 32 } }, { authenticated: {} }] } },
    true,
  ],
  [
    'a claim that nobody made',
    { any: true },
    {
      metadata: {
        filter: 'envoy.filters.http.jwt_authn',
        path: [{ key: 'sub' }],
        value: { string_match: { exact: 'x' } },
      },
    },
    false,
  ],
  [
    'not a claim',
    { any: true },
    {
      not_id: {
        metadata: {
          filter: 'envoy.filters.http.jwt_authn',
          path: [{ key: 'sub' }],
          value: { string_match: { exact: 'x' } },
        },
      },
    },
    true,
  ],
];
for (const [about, permission, principal, holds] of conditions)
  test(`a rule on ${about} ${holds ? 'holds' : 'does not hold'}`, (t) => {
    t.is(authorize([rbac('ALLOW', { p: rule(permission, principal) })], facts()).allowed, holds);
  });

test('nobody is authenticated without mutual TLS', (t) => {
  const filters = [rbac('ALLOW', { p: { permissions: any, principals: [{ authenticated: {} }] } })];
  t.false(authorize(filters, facts({ peer: null, mtls: false })).allowed);
});

test('a DENY policy refuses under its name, before any ALLOW', (t) => {
  const filters = [
    rbac('DENY', {
      'ns[shop]-policy[b]-rule[0]': rule({ any: true }),
      'ns[shop]-policy[a]-rule[1]': rule({ any: true }),
    }),
    rbac('ALLOW', { all: rule({ any: true }) }),
  ];
  t.deepEqual(authorize(filters, facts()), {
    allowed: false,
    policy: 'ns[shop]-policy[a]-rule[1]',
    detail: 'rbac_access_denied_matched_policy[ns[shop]-policy[a]-rule[1]]',
  });
});

test('an ALLOW filter without a match tells the policies that it asked', (t) => {
  const miss = rule({ destination_port: 1 });
  const filters = [
    rbac('ALLOW', {
      'ns[shop]-policy[a]-rule[0]': miss,
      'ns[shop]-policy[a]-rule[1]': miss,
      'ns[shop]-policy[b]-rule[0]': miss,
    }),
  ];
  t.deepEqual(authorize(filters, facts()), {
    allowed: false,
    policy: '',
    detail: 'rbac_access_denied_matched_policy[none];evaluated=ns[shop]-policy[a],ns[shop]-policy[b]',
  });
  t.deepEqual(authorize([rbac('ALLOW', {})], facts()), {
    allowed: false,
    policy: '',
    detail: 'rbac_access_denied_matched_policy[none]',
  });
});

test('LOG and shadow rules refuse nobody, and a trace hears of every policy', (t) => {
  const shadow = compileRbac(
    new Field('rbac'),
    fromJson(RBACSchema, { shadow_rules: { action: 'DENY', policies: { s: rule({ any: true }) } } } as never, {
      registry,
    }),
  );
  const filters = [
    ...shadow,
    rbac('LOG', { l: rule({ any: true }) }),
    rbac('ALLOW', { a: rule({ destination_port: 1 }), b: rule({ any: true }) }),
  ];
  const heard: string[] = [];
  const trace = {
    policy: (_: Rbac, { name }: { name: string }, matched: boolean, isShadow: boolean) =>
      void heard.push(`${name} ${matched} ${isShadow}`),
  };
  t.true(authorize(filters, facts(), trace).allowed);
  t.deepEqual(heard, ['s true true', 'l true false', 'a false false', 'b true false']);
});
