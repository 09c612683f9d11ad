import { type Row, table } from '../testing/validation-table.ts';

const entries: Row[] = [
  ['an address', { address: '10.0.0.1' }, []],
  ['a name', { address: 'vm.example.com', ports: { http: 8080 }, labels: { app: 'a' } }, []],
  ['nothing', {}, [': needs an address, or a network']],
  ['a network alone', { network: 'vm' }, ['warning address: is not set; the workload is reached through network "vm"']],
  ['what is no name', { address: 'a b' }, ['address: is no host name: "a b" in "a b" is not a DNS label']],
  ['a socket', { address: 'unix:///var/run/a' }, []],
  ['a socket with ports', { address: 'unix:///var/run/a', ports: { http: 1 } }, [': a Unix socket has no ports']],
  ['a port out of range', { address: '10.0.0.1', ports: { http: 70_000 } }, ['ports.http: must be 1–65535, is 70000']],
  ['labels', { address: '10.0.0.1', labels: { 'a b': 'c' } }, ['labels["a b"]: is not a key that a label can have']],
];
table('networking.istio.io/v1', 'WorkloadEntry', entries);

const groups: Row[] = [
  [
    'as Istio shows it',
    {
      metadata: { labels: { app: 'a' } },
      template: { ports: { grpc: 3550 }, serviceAccount: 'default' },
      probe: { initialDelaySeconds: 5, httpGet: { path: '/ready', port: 8080 } },
    },
    [],
  ],
  ['no template', {}, ['template: is required']],
  [
    'an address for all',
    { template: { address: '10.0.0.1' } },
    ['warning template.address: has no effect: each workload brings its own'],
  ],
  [
    'a probe of nothing',
    { template: {}, probe: { periodSeconds: 1 } },
    ['probe: needs one of httpGet, tcpSocket, exec and grpc'],
  ],
  [
    'a probe of a path that is none',
    { template: {}, probe: { httpGet: { path: 'ready', port: 1 } } },
    ['probe.httpGet.path: must begin with "/", is "ready"'],
  ],
  [
    'two probes',
    { template: {}, probe: { httpGet: { port: 1 }, tcpSocket: { port: 1 } } },
    ['probe.tcpSocket: cannot be set together with httpGet; choose one of httpGet, tcpSocket, exec, grpc'],
  ],
];
table('networking.istio.io/v1', 'WorkloadGroup', groups);
