import { type Row, table } from '../testing/validation-table.ts';

const port = (number: number, protocol = 'HTTP') => ({ number, protocol, name: 'p' });

const rows: Row[] = [
  ['the namespace and its control plane', { egress: [{ hosts: ['./*', 'istio-system/*'] }] }, []],
  [
    'a listener of its own, then the rest',
    {
      workloadSelector: { labels: { app: 'ratings' } },
      ingress: [{ port: port(9080), defaultEndpoint: 'unix:///var/run/someuds.sock' }],
      egress: [{ bind: '127.0.0.1', port: port(3306, 'MYSQL'), hosts: ['prod-us1/*'] }, { hosts: ['*/*'] }],
    },
    [],
  ],
  ['nothing', {}, [': says nothing: needs egress, ingress, outboundTrafficPolicy or inboundConnectionPool']],
  [
    'a host without a namespace',
    { egress: [{ hosts: ['reviews'] }] },
    ['egress[0].hosts[0]: must be NAMESPACE/NAME, such as ./* or */api.example.com, is "reviews"'],
  ],
  [
    'none but one',
    { egress: [{ hosts: ['~/reviews'] }] },
    ['egress[0].hosts[0]: must be ~/* when no service is meant, is "~/reviews"'],
  ],
  ['no host', { egress: [{ hosts: [] }] }, ['egress[0].hosts: must not be empty; ~/* is none at all']],
  [
    'the rest comes first',
    { egress: [{ hosts: ['*/*'] }, { port: port(80), hosts: ['*/*'] }] },
    ['egress[0]: without a port takes every port and so must be the last and the only one of its kind'],
  ],
  [
    'one port twice',
    { ingress: [{ port: port(80) }, { port: port(80) }] },
    ['ingress[1].port.number: 80 is the port of ingress[0] as well'],
  ],
  [
    'an endpoint elsewhere',
    { ingress: [{ port: port(80), defaultEndpoint: '10.0.0.1:80' }] },
    [
      'ingress[0].defaultEndpoint: must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH, is "10.0.0.1:80"',
    ],
  ],
  [
    'a protocol that is none',
    { ingress: [{ port: port(80, 'HTPP') }] },
    ['ingress[0].port.protocol: must be HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL, is "HTPP"'],
  ],
  [
    'an address without a port',
    { egress: [{ bind: '127.0.0.1', hosts: ['*/*'] }] },
    ['egress[0].bind: needs a port: without one, ports follow from the hosts'],
  ],
  [
    'a way out that is not allowed',
    { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY', egressProxy: { host: 'egress.example.com' } } },
    ['outboundTrafficPolicy.egressProxy: can be set for mode ALLOW_ANY alone'],
  ],
];
table('networking.istio.io/v1', 'Sidecar', rows);
