import test from 'ava';
import { findingsOf, type Row, table } from '../testing/validation-table.ts';

const http = { number: 80, name: 'http', protocol: 'HTTP' };
const https = { number: 443, name: 'https', protocol: 'HTTPS' };
const one = (server: object) => ({
  selector: { istio: 'ingressgateway' },
  servers: [{ port: http, hosts: ['*'], ...server }],
});
const tls = (settings: object, port: object = https) => one({ port, tls: settings });

const rows: Row[] = [
  ['the least', one({}), []],
  ['nothing', {}, ['servers: needs at least one server', 'warning selector: is empty and so selects every workload']],
  ['hosts', one({ hosts: [] }), ['servers[0].hosts: needs at least one host']],
  ['hosts of every form', one({ hosts: ['*', '*.a.com', './a.com', '*/a.com', 'shop/*.a.com', '10.0.0.1'] }), []],
  [
    'hosts of wrong forms',
    one({ hosts: ['short', 'a*.b.com', 'A b/a.com', 'a.*.com'] }),
    [
      'servers[0].hosts[0]: must be a full host name, is "short"',
      'servers[0].hosts[1]: is no host name: "a*" in "a*.b.com" is neither a DNS label nor a wildcard',
      'servers[0].hosts[2]: must be HOST or NAMESPACE/HOST, and "A b" is no namespace',
      'servers[0].hosts[3]: is no host name: "*" in "a.*.com" is not a DNS label',
    ],
  ],
  [
    'port',
    one({ port: { number: 0, name: '', protocol: 'HTPP', targetPort: 8080 } }),
    [
      'servers[0].port.name: must not be empty',
      'servers[0].port.targetPort: has no effect on gateways; remove it',
      'servers[0].port.number: must be 1–65535, is 0',
      'servers[0].port.protocol: must be HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL, is "HTPP"',
    ],
  ],
  [
    'port names',
    {
      selector: { a: 'b' },
      servers: [
        { port: http, hosts: ['*'] },
        { port: http, hosts: ['a.com'] },
      ],
    },
    ['servers[1].port.name: "http" is used before, by server 0'],
  ],
  ['socket', one({ port: { ...http, number: 0 }, bind: 'unix:///run/a' }), []],
  [
    'socket with a port',
    one({ bind: 'unix://a' }),
    [
      'servers[0].bind: must be the absolute path of a socket or "@NAME", is "a"',
      'servers[0].port.number: must be 0 for a Unix socket, is 80',
    ],
  ],
  ['bind', one({ bind: 'localhost' }), ['servers[0].bind: must be an IP address or unix://PATH, is "localhost"']],
  ['https without tls', one({ port: https }), ['servers[0].tls: is required for protocol HTTPS']],
  [
    'http with tls',
    tls({ mode: 'SIMPLE', credentialName: 'c' }, http),
    ['servers[0].tls: cannot terminate TLS for protocol HTTP; use HTTPS'],
  ],
  ['http that redirects', tls({ httpsRedirect: true }, http), []],
  [
    'tcp with tls',
    tls({ mode: 'SIMPLE', credentialName: 'c', httpsRedirect: true }, { ...http, protocol: 'TCP' }),
    [
      'servers[0].tls: cannot be set for protocol TCP; use TLS',
      'warning servers[0].tls.httpsRedirect: does nothing for protocol TCP',
    ],
  ],
  ['simple', tls({ mode: 'SIMPLE', serverCertificate: 'a', privateKey: 'b' }), []],
  [
    'simple without a certificate',
    tls({ mode: 'SIMPLE' }),
    [
      'servers[0].tls.serverCertificate: is required in mode SIMPLE, unless credentialName is set',
      'servers[0].tls.privateKey: is required in mode SIMPLE, unless credentialName is set',
    ],
  ],
  [
    'mutual without a bundle',
    tls({ mode: 'MUTUAL', tlsCertificates: [{ serverCertificate: 'a' }] }),
    [
      'servers[0].tls.caCertificates: is required in mode MUTUAL, unless credentialName is set',
      'servers[0].tls.tlsCertificates[0].privateKey: is required in mode MUTUAL, unless credentialName is set',
    ],
  ],
  [
    'two certificates',
    tls({ mode: 'SIMPLE', credentialName: 'c', serverCertificate: 'a', privateKey: 'b' }),
    ['servers[0].tls.credentialName: cannot be set together with serverCertificate'],
  ],
  [
    'two credentials',
    tls({ mode: 'SIMPLE', credentialName: 'c', credentialNames: ['d'] }),
    ['servers[0].tls: credentialName and credentialNames cannot be set together'],
  ],
  [
    'three credentials',
    tls({ mode: 'SIMPLE', credentialNames: ['d', 'e', 'f'] }),
    ['servers[0].tls.credentialNames: must have at most 2 entries, has 3'],
  ],
  [
    'mesh certificates',
    tls({ mode: 'ISTIO_MUTUAL', credentialName: 'c' }),
    ["servers[0].tls.credentialName: cannot be set in mode ISTIO_MUTUAL, which uses the mesh's own certificates"],
  ],
  [
    'passthrough',
    tls({ mode: 'PASSTHROUGH', credentialName: 'c' }),
    ['warning servers[0].tls.credentialName: is not used in mode PASSTHROUGH'],
  ],
  [
    'ciphers',
    tls({ mode: 'SIMPLE', credentialName: 'c', cipherSuites: ['AES128-SHA', 'AES128-SHA', 'ROT13', '-SHA'] }),
    [
      'warning servers[0].tls.cipherSuites[1]: "AES128-SHA" is there twice',
      'warning servers[0].tls.cipherSuites[2]: "ROT13" is not a known cipher suite and is ignored',
    ],
  ],
  [
    'old versions',
    tls({ mode: 'SIMPLE', credentialName: 'c', minProtocolVersion: 'TLSV1_0', caCrl: 'f' }),
    [
      'servers[0].tls.caCrl: cannot be set together with credentialName; put the list into the Secret',
      'servers[0].tls.caCrl: cannot be used in mode SIMPLE, which asks clients for no certificate',
      'warning servers[0].tls.minProtocolVersion: below TLSV1_2 works only with cipherSuites that such clients know',
    ],
  ],
];

table('networking.istio.io/v1alpha3', 'Gateway', rows);

test('a name with dots', (t) => {
  const object = { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'a.b' }, spec: one({}) };
  t.deepEqual(findingsOf(object), ['metadata.name: must be a DNS label (no dots), is "a.b"']);
});
