import { type Row, table } from '../testing/validation-table.ts';

const rows: Row[] = [
  [
    'as Istio shows it',
    {
      selector: { matchLabels: { app: 'httpbin' } },
      jwtRules: [{ issuer: 'issuer-foo', jwksUri: 'https://example.com/.well-known/jwks.json' }],
    },
    [],
  ],
  ['no issuer', { jwtRules: [{}] }, ['jwtRules[0].issuer: is required']],
  [
    'keys twice',
    { jwtRules: [{ issuer: 'a', jwks: '{"keys":[]}', jwksUri: 'http://a/' }] },
    ['jwtRules[0]: at most one of jwks and jwksUri can be set'],
  ],
  [
    'keys that are none',
    { jwtRules: [{ issuer: 'a', jwks: '{}' }] },
    ['jwtRules[0].jwks: must be a JSON Web Key Set: {"keys": […]}'],
  ],
  [
    'keys from a file',
    { jwtRules: [{ issuer: 'a', jwksUri: 'file:///keys' }] },
    ['jwtRules[0].jwksUri: must be a URL of http or https, is "file:///keys"'],
  ],
  [
    'a header of its own',
    { jwtRules: [{ issuer: 'a', outputPayloadToHeader: 'Authorization' }] },
    ['warning jwtRules[0]: writes over the header "authorization" that the request came with'],
  ],
];
table('security.istio.io/v1', 'RequestAuthentication', rows);
