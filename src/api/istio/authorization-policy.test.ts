import test from 'ava';
import { findingsOf, type Row, table } from '../testing/validation-table.ts';

const rule = (part: object, action = 'ALLOW') => ({ action, rules: [part] });
const from = (source: object, action?: string) => rule({ from: [{ source }] }, action);
const to = (operation: object, action?: string) => rule({ to: [{ operation }] }, action);

const rows: Row[] = [
  ['allow nothing', {}, []],
  ['allow everything', { rules: [{}] }, []],
  [
    'productpage only',
    {
      selector: { matchLabels: { app: 'reviews' } },
      ...from({ principals: ['cluster.local/ns/default/sa/bookinfo-productpage'] }),
    },
    [],
  ],
  [
    'deny without rules',
    { action: 'DENY' },
    ['rules: is required for action DENY: without rules it never applies; an empty rule {} applies to every request'],
  ],
  [
    'custom',
    { action: 'CUSTOM' },
    [
      'provider.name: is required for action CUSTOM',
      'rules: is required for action CUSTOM: without rules it never applies; an empty rule {} applies to every request',
    ],
  ],
  [
    'provider for another action',
    { provider: { name: 'a' } },
    ['provider: can be set for action CUSTOM alone, is ALLOW'],
  ],
  [
    'custom by identity',
    {
      provider: { name: 'a' },
      ...rule(
        {
          from: [{ source: { principals: ['a'], ipBlocks: ['10.0.0.1'] } }],
          when: [{ key: 'request.auth.claims[a]', values: ['b'] }],
        },
        'CUSTOM',
      ),
    },
    [
      'rules[0].from[0].source.principals: cannot be used with action CUSTOM',
      'rules[0].when[0].key: "request.auth.claims[a]" cannot be used with action CUSTOM',
    ],
  ],
  [
    'selector and target',
    { selector: {}, targetRef: { kind: 'Service', name: 'a' } },
    [
      ': at most one of selector, targetRef and targetRefs can be set',
      'warning selector: has no labels and so selects every workload of the namespace',
    ],
  ],
  [
    'targets',
    {
      targetRefs: [
        { kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'a' },
        { kind: 'Pod', name: 'a', namespace: 'b' },
      ],
    },
    [
      'targetRefs[1].namespace: must not be set: a policy targets its own namespace, is "b"',
      'targetRefs[1].kind: must be a Service, ServiceEntry, Gateway or GatewayClass with its group, is "Pod"',
    ],
  ],
  [
    'selector wildcards',
    { selector: { matchLabels: { 'a*': '*' } } },
    [
      'selector.matchLabels["a*"]: must not have a wildcard, is "*"',
      'selector.matchLabels: must have keys without a wildcard',
    ],
  ],
  [
    'empty parts',
    rule({ from: [], to: [{}, { operation: {} }] }),
    [
      'rules[0].from: must not be empty; leave it out to match every source',
      'rules[0].to[0].operation: is required',
      'rules[0].to[1].operation: must not be empty: it would match nothing in particular',
    ],
  ],
  [
    'empty values',
    from({ principals: [''], namespaces: ['a'] }),
    ['rules[0].from[0].source.principals[0]: must not be empty'],
  ],
  [
    'addresses',
    from({ ipBlocks: ['10.0.0.0/8', '::1/128', '10.0.0.0/33', 'x'], notRemoteIpBlocks: ['y'] }),
    [
      'rules[0].from[0].source.ipBlocks[2]: must be an address or a block such as 10.0.0.0/8, is "10.0.0.0/33"',
      'rules[0].from[0].source.ipBlocks[3]: must be an address or a block such as 10.0.0.0/8, is "x"',
      'rules[0].from[0].source.notRemoteIpBlocks[0]: must be an address or a block such as 10.0.0.0/8, is "y"',
    ],
  ],
  [
    'service accounts',
    from({ serviceAccounts: ['a', 'n/a', 'a/', '*', 'a/b/c'] }),
    [
      'rules[0].from[0].source.serviceAccounts[2]: must be NAME or NAMESPACE/NAME, is "a/"',
      'rules[0].from[0].source.serviceAccounts[3]: must not have a wildcard, is "*"',
      'rules[0].from[0].source.serviceAccounts[4]: must be NAME or NAMESPACE/NAME, is "a/b/c"',
    ],
  ],
  [
    'service accounts and principals',
    from({ serviceAccounts: ['a'], principals: ['b'] }),
    ['rules[0].from[0].source: serviceAccounts cannot be set together with principals or namespaces'],
  ],
  [
    'trust domains',
    from({ trustDomains: ['*', '*.a', 'a*', 'a*b', 'a/b'] }),
    [
      'rules[0].from[0].source.trustDomains[3]: may have one "*", at its begin or end, is "a*b"',
      'rules[0].from[0].source.trustDomains[4]: must not have a "/", is "a/b"',
    ],
  ],
  [
    'ports',
    to({ ports: ['80', '70000', 'http'] }),
    [
      'rules[0].to[0].operation.ports[1]: must be a port, 0–65535, is "70000"',
      'rules[0].to[0].operation.ports[2]: must be a port, 0–65535, is "http"',
    ],
  ],
  [
    'paths',
    to({ paths: ['/a*', '/a/{*}/b', '/a/{**}', '/{**}/b/{*}', '/a{*}', '/a/{b}'] }),
    [
      'rules[0].to[0].operation.paths[3]: has a template after {**}, is "/{**}/b/{*}"',
      'rules[0].to[0].operation.paths[4]: may have {*} and {**} as whole segments, and "a{*}" is neither such nor plain text',
      'rules[0].to[0].operation.paths[5]: may have {*} and {**} as whole segments, and "{b}" is neither such nor plain text',
    ],
  ],
  [
    'conditions',
    rule({
      when: [
        { key: 'request.headers[x-user]', values: ['a'] },
        { key: 'request.headers', values: ['a'] },
        { key: 'source.ip' },
        { key: 'source.ip', notValues: ['x'] },
        { key: 'destination.labels[a]', values: ['a'] },
        { key: 'source.pricipal', values: ['a'] },
      ],
    }),
    [
      'rules[0].when[1].key: needs a name in brackets, such as request.headers[x-user], is "request.headers"',
      'rules[0].when[2]: needs values or notValues',
      'rules[0].when[3].notValues[0]: must be an address or a block such as 10.0.0.0/8, is "x"',
      "rules[0].when[4].key: is not supported; use the policy's selector",
      'rules[0].when[5].key: "source.pricipal" is not an attribute; did you mean "source.principal"?',
    ],
  ],
  [
    'deny by HTTP alone',
    to({ methods: ['POST'] }, 'DENY'),
    [
      'warning rules[0]: asks for HTTP alone, so every connection to a port that is not HTTP is denied; name the ports in to.operation.ports',
    ],
  ],
  ['deny by HTTP on a port', to({ methods: ['POST'], ports: ['80'] }, 'DENY'), []],
  ['deny by identity', from({ namespaces: ['a'] }, 'DENY'), []],
];

table('security.istio.io/v1', 'AuthorizationPolicy', rows);

test('dry run', (t) => {
  const policy = (value: string, action: string) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'x', annotations: { 'istio.io/dry-run': value } },
    spec: { action, rules: [{}] },
  });
  t.deepEqual(findingsOf(policy('true', 'DENY')), []);
  t.deepEqual(findingsOf(policy('perhaps', 'DENY')), [
    'metadata.annotations["istio.io/dry-run"]: must be true or false, is "perhaps"',
  ]);
  t.deepEqual(findingsOf(policy('true', 'AUDIT')), [
    'metadata.annotations["istio.io/dry-run"]: can be used with ALLOW and DENY alone, the action is AUDIT',
  ]);
});
