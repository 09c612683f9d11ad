import { type Row, table } from '../testing/validation-table.ts';

const http = { number: 80, name: 'http', protocol: 'HTTP' };
const entry = (spec: object) => ({ hosts: ['api.example.com'], ports: [http], resolution: 'DNS', ...spec });

const rows: Row[] = [
  ['the least', { hosts: ['a.com'] }, []],
  ['no host', { hosts: [] }, ['hosts: must not be empty']],
  ['nothing', {}, ['hosts: is required']],
  ['any host', entry({ hosts: ['*'] }), ['hosts[0]: must not be the wildcard alone, is "*"']],
  [
    'partial wildcard',
    entry({ hosts: ['*a.com'], resolution: 'NONE' }),
    ['warning hosts[0]: may have a wildcard as its whole first label only, is "*a.com"'],
  ],
  [
    'addresses',
    entry({ addresses: ['10.0.0.1', '10.0.0.0/8', 'x'], resolution: 'STATIC', endpoints: [{ address: '10.0.0.2' }] }),
    ['addresses[2]: must be an address or a block such as 10.0.0.0/8, is "x"'],
  ],
  [
    'blocks with DNS',
    entry({ addresses: ['10.0.0.0/8'] }),
    [': addresses can be blocks for resolution NONE and STATIC alone'],
  ],
  [
    'ports',
    entry({
      ports: [
        { ...http, name: 'a b' },
        { number: 0, name: 'x', protocol: 'HTPP' },
      ],
    }),
    [
      'ports[1].number: must be 1–65535, is 0',
      'ports[0].name: must be a DNS label, is "a b"',
      'ports[1].protocol: must be HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL, is "HTPP"',
    ],
  ],
  [
    'ports twice',
    entry({ ports: [http, http] }),
    ['ports[1].name: "http" is used before, by entry 0', 'ports: must have every port number once'],
  ],
  [
    'hosts on a TCP port',
    entry({ hosts: ['a.com', 'b.com'], ports: [{ number: 1, name: 'tcp', protocol: 'TCP' }] }),
    ['ports[0].protocol: must be HTTP or TLS because there are several hosts, is TCP'],
  ],
  [
    'wildcard to resolve',
    entry({ hosts: ['*.a.com'] }),
    ['hosts[0]: cannot be resolved for resolution DNS; name endpoints, or hosts without a wildcard'],
  ],
  [
    'endpoints without resolution',
    entry({ resolution: 'NONE', endpoints: [{ address: '10.0.0.1' }] }),
    [': endpoints cannot be set for resolution NONE'],
  ],
  [
    'endpoints',
    entry({ resolution: 'STATIC', endpoints: [{ address: 'a.com', ports: { other: 1 }, labels: { 'a b': '' } }, {}] }),
    [
      'endpoints[1]: needs an address, or a network',
      'endpoints[0].address: must be an IP address for resolution STATIC, is "a.com"',
      'endpoints[0].ports.other: "other" is not the name of one of the ServiceEntry\'s ports',
      'endpoints[0].labels["a b"]: is not a key that a label can have',
    ],
  ],
  [
    'named endpoints',
    entry({ endpoints: [{ address: 'us.a.com', ports: { http: 8080 } }, { address: 'a_b' }] }),
    ['endpoints[1].address: is no host name: "a_b" in "a_b" is not a DNS label'],
  ],
  [
    'sockets',
    entry({
      resolution: 'STATIC',
      endpoints: [{ address: 'unix:///run/a' }, { address: 'unix://run/', ports: { http: 1 } }],
    }),
    [
      'endpoints[1].address: must be an absolute path or begin with @ after unix://, is "unix://run/"',
      'endpoints[1].address: must be a socket, not a folder, is "unix://run/"',
      'endpoints[1]: a Unix socket has no ports',
    ],
  ],
  [
    'endpoint ports',
    entry({ endpoints: [{ address: 'a.com', ports: { '': 0 } }] }),
    [
      'endpoints[0].ports[""]: must be 1–65535, is 0',
      'endpoints[0].ports: must have port names (letters, digits, dashes) as its keys',
      'endpoints[0].ports[""]: "" is not the name of one of the ServiceEntry\'s ports',
    ],
  ],
  [
    'selector and endpoints',
    entry({ workloadSelector: { labels: { a: '*' } }, endpoints: [{ address: 'a.com' }] }),
    [
      'workloadSelector.labels.a: must not have a wildcard, is "*"',
      ': workloadSelector and endpoints cannot be set together',
    ],
  ],
  [
    'round robin',
    entry({ resolution: 'DNS_ROUND_ROBIN', endpoints: [{ address: 'a.com' }, { address: 'b.com' }] }),
    [': resolution DNS_ROUND_ROBIN takes at most one endpoint'],
  ],
  [
    'dynamic',
    entry({ hosts: ['*.a.com', 'b.com'], resolution: 'DYNAMIC_DNS', addresses: ['10.0.0.1'] }),
    [
      'addresses: cannot be set for resolution DYNAMIC_DNS',
      'hosts[1]: must begin with a wildcard for resolution DYNAMIC_DNS, is "b.com"',
    ],
  ],
  [
    'dynamic tcp',
    entry({ hosts: ['*.a.com'], resolution: 'DYNAMIC_DNS', ports: [{ number: 1, name: 'tcp', protocol: 'TCP' }] }),
    ['ports[0].protocol: must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS, is TCP'],
  ],
  ['exported to no one', entry({ exportTo: ['~'] }), []],
];

table('networking.istio.io/v1', 'ServiceEntry', rows);
